package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"pith/policies/model"
	"pith/policies/tokenizer"
	"pith/rollout/engine"
	"pith/rollout/engine/local"
	"pith/rollout/engine/serve"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

var (
	_ http.Handler    = (*serve.Server)(nil)
	_ engine.Streamer = (*local.Engine)(nil)
)

var small = model.Config{Arch: model.Qwen3, VocabSize: 40, HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 4, NumKVHeads: 2,
	HeadDim: 8, MaxContext: 96, RMSNormEps: 1e-6, RopeTheta: 10000, QKNorm: true, BOS: 1, EOS: 2}

// weights are random, with next-token distributions neither flat nor certain.
func weights(seed uint64, c model.Config) *model.Weights {
	w := model.NewWeights(c)
	w.Init(seed, model.InitOptions{EmbeddingSD: 0.3, LinearSD: 1 / math.Sqrt(float64(c.HiddenSize))})
	return w
}

// vocabulary is a tokenizer of n words.
func vocabulary(t testing.TB, n int) *tokenizer.Words {
	t.Helper()
	names := []string{"<pad>", "<bos>", "<eos>"}
	for i := len(names); i < n; i++ {
		names = append(names, fmt.Sprintf("w%d", i))
	}
	tok, err := tokenizer.NewWords(names, tokenizer.Roles{BOS: "<bos>", EOS: "<eos>", PAD: "<pad>"})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// fixture is a server of the local engine behind a real socket.
type fixture struct {
	t      testing.TB
	engine *local.Engine
	base   engine.PolicyRef
	server *serve.Server
	http   *httptest.Server
	root   string // directory that weights may be loaded from
}

// start serves a policy with the context given, 0 for the small one's.
func start(t testing.TB, context int, change ...func(*serve.Options)) *fixture {
	t.Helper()
	c := small
	if context > 0 {
		c.MaxContext = context
	}
	f := &fixture{t: t, engine: local.New(local.Options{Slots: 16}), root: t.TempDir()}
	ref, err := f.engine.Publish(t.Context(), engine.Artifact{Policy: engine.PolicyRef{ID: "base"}, Kind: engine.ArtifactMemory, Handle: weights(1, c)})
	if err != nil {
		t.Fatal(err)
	}
	f.base = ref
	o := serve.Options{Sampler: f.engine, Publisher: f.engine, Observer: f.engine, Tokenizer: vocabulary(t, c.VocabSize), EOS: []int32{2},
		Model: "small", Base: ref, Roots: []string{f.root}}
	for _, f := range change {
		f(&o)
	}
	if f.server, err = serve.New(o); err != nil {
		t.Fatal(err)
	}
	f.http = httptest.NewServer(f.server)
	t.Cleanup(func() {
		f.server.Close()
		f.http.Close()
		f.engine.Close()
	})
	return f
}

// send makes a request and returns status and body.
func (f *fixture) send(ctx context.Context, method, path, body string) (int, []byte) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, f.http.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	res, err := f.http.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, got
}

// post makes a request that has to succeed and decodes the answer.
func (f *fixture) post(path string, body any, into any) {
	f.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	status, got := f.send(f.t.Context(), "POST", path, string(text))
	if status != http.StatusOK {
		f.t.Fatalf("POST %s: status %d: %s", path, status, got)
	}
	d := json.NewDecoder(bytes.NewReader(got))
	if err := d.Decode(into); err != nil {
		f.t.Fatalf("POST %s: %v in %s", path, err, got)
	}
}

// drawn is one continuation as a client reads it.
type drawn struct {
	Tokens   []int32
	Logprobs []float32
	Finish   string
}

type object = map[string]any

// asVLLMGenerate asks POST /inference/v1/generate.
func (f *fixture) asVLLMGenerate(prompt []int32, p object) []drawn {
	f.t.Helper()
	p["logprobs"] = 0
	var got struct {
		Choices []struct {
			TokenIDs []int32 `json:"token_ids"`
			Finish   string  `json:"finish_reason"`
			Logprobs struct {
				Content []struct {
					TokenID int32   `json:"token_id"`
					Logprob float64 `json:"logprob"`
				}
			}
		}
	}
	f.post("/inference/v1/generate", object{"token_ids": prompt, "sampling_params": p}, &got)
	out := make([]drawn, len(got.Choices))
	for i, c := range got.Choices {
		out[i] = drawn{Tokens: c.TokenIDs, Finish: c.Finish}
		for k, l := range c.Logprobs.Content {
			if l.TokenID != c.TokenIDs[k] {
				f.t.Fatalf("choice %d: token_ids and logprobs disagree at %d", i, k)
			}
			out[i].Logprobs = append(out[i].Logprobs, float32(l.Logprob))
		}
	}
	return out
}

// asVLLMCompletions asks POST /v1/completions.
func (f *fixture) asVLLMCompletions(prompt []int32, p object) []drawn {
	f.t.Helper()
	p["prompt"], p["logprobs"], p["return_token_ids"] = prompt, 1, true
	var got struct {
		Choices []struct {
			TokenIDs []int32 `json:"token_ids"`
			Finish   string  `json:"finish_reason"`
			Logprobs struct {
				TokenLogprobs []float64 `json:"token_logprobs"`
			}
		}
	}
	f.post("/v1/completions", p, &got)
	out := make([]drawn, len(got.Choices))
	for i, c := range got.Choices {
		out[i] = drawn{Tokens: c.TokenIDs, Finish: c.Finish}
		for _, l := range c.Logprobs.TokenLogprobs {
			out[i].Logprobs = append(out[i].Logprobs, float32(l))
		}
	}
	return out
}

// asSGLang asks POST /generate.
func (f *fixture) asSGLang(prompt []int32, p object) []drawn {
	f.t.Helper()
	for from, to := range map[string]string{"max_tokens": "max_new_tokens", "min_tokens": "min_new_tokens", "seed": "sampling_seed"} {
		if v, ok := p[from]; ok {
			p[to] = v
			delete(p, from)
		}
	}
	type one struct {
		OutputIDs []int32 `json:"output_ids"`
		Meta      struct {
			Finish   struct{ Type string } `json:"finish_reason"`
			Logprobs [][]*float64          `json:"output_token_logprobs"`
		} `json:"meta_info"`
	}
	var raw json.RawMessage
	f.post("/generate", object{"input_ids": prompt, "return_logprob": true, "sampling_params": p}, &raw)
	var got []one
	if raw[0] == '[' {
		if err := json.Unmarshal(raw, &got); err != nil {
			f.t.Fatal(err)
		}
	} else {
		got = make([]one, 1)
		if err := json.Unmarshal(raw, &got[0]); err != nil {
			f.t.Fatal(err)
		}
	}
	out := make([]drawn, len(got))
	for i, c := range got {
		out[i] = drawn{Tokens: c.OutputIDs, Finish: c.Meta.Finish.Type}
		for _, l := range c.Meta.Logprobs {
			out[i].Logprobs = append(out[i].Logprobs, float32(*l[0]))
		}
	}
	return out
}

// asked are the ways to ask for tokens in the dialects.
var asked = map[string]func(*fixture, []int32, object) []drawn{
	"vLLM generate":    (*fixture).asVLLMGenerate,
	"vLLM completions": (*fixture).asVLLMCompletions,
	"SGLang generate":  (*fixture).asSGLang,
}
