package serve_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/policies/model/lora"
	"pith/policies/model/safetensors"
	"pith/rollout/engine"
	"pith/rollout/engine/serve"
)

// scores asks for the log-probabilities of a prompt, as vLLM gives them.
func (f *fixture) scores(model string, prompt []int32) []float32 {
	f.t.Helper()
	var got struct {
		Choices []struct {
			PromptLogprobs []map[string]struct{ Logprob float64 } `json:"prompt_logprobs"`
		}
	}
	f.post("/v1/completions", object{"model": model, "prompt": prompt, "max_tokens": 1, "prompt_logprobs": 0}, &got)
	all := got.Choices[0].PromptLogprobs
	if len(all) != len(prompt) || all[0] != nil {
		f.t.Fatalf("%d prompt log-probabilities for %d tokens, the first is %v", len(all), len(prompt), all[0])
	}
	out := make([]float32, len(prompt))
	for i := 1; i < len(prompt); i++ {
		l, ok := all[i][fmt.Sprint(prompt[i])]
		if !ok || len(all[i]) != 1 {
			f.t.Fatalf("position %d: %v", i, all[i])
		}
		out[i] = float32(l.Logprob)
	}
	return out
}

func TestPromptsAreScoredAsTheEngineScoresThem(t *testing.T) {
	f := start(t, 0)
	prompt := []int32{1, 9, 22, 5, 17, 2, 30}
	want, _, err := f.engine.Score(t.Context(), f.base, [][]int32{prompt})
	if err != nil {
		t.Fatal(err)
	}
	want[0][0] = 0 // there is none
	if diff := cmp.Diff(want[0], f.scores("", prompt), bits); diff != "" {
		t.Errorf("vLLM, engine (-), HTTP (+):\n%s", diff)
	}
	var got struct {
		Meta struct {
			In [][]*float64 `json:"input_token_logprobs"`
		} `json:"meta_info"`
	}
	for _, n := range []int{0, 1} {
		f.post("/generate", object{"input_ids": prompt, "return_logprob": true, "logprob_start_len": 0, "sampling_params": object{"max_new_tokens": n}}, &got)
		if len(got.Meta.In) != len(prompt) || got.Meta.In[0][0] != nil {
			t.Fatalf("%v", got.Meta.In)
		}
		for i := 1; i < len(prompt); i++ {
			if l := float32(*got.Meta.In[i][0]); l != want[0][i] || int32(*got.Meta.In[i][1]) != prompt[i] {
				t.Errorf("SGLang, max_new_tokens %d, position %d: %v", n, i, got.Meta.In[i])
			}
		}
	}
	var echo struct {
		Choices []struct {
			Logprobs struct {
				TokenLogprobs []*float64 `json:"token_logprobs"`
			}
		}
	}
	f.post("/v1/completions", object{"prompt": prompt, "max_tokens": 1, "echo": true, "logprobs": 0}, &echo)
	if all := echo.Choices[0].Logprobs.TokenLogprobs; len(all) != len(prompt)+1 || all[0] != nil || float32(*all[3]) != want[0][3] {
		t.Errorf("echo: %d log-probabilities", len(all))
	}
}

func TestEachDialectTellsItsOwnKindOfLogProbability(t *testing.T) {
	const temperature, topK = 0.6, 7
	prompt := []int32{1, 9, 22}
	sampling := func() object {
		return object{"temperature": temperature, "top_k": topK, "max_tokens": 20, "seed": 5, "ignore_eos": true}
	}
	near := func(t *testing.T, got, want []float32) {
		t.Helper()
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-5 {
				t.Fatalf("token %d has log-probability %v, want %v", i, got[i], want[i])
			}
		}
	}
	raw := start(t, 0)
	processed := start(t, 0, func(o *serve.Options) { o.VLLMLogprobs = engine.LogprobProcessed })
	res, err := raw.engine.Sample(t.Context(), engine.SampleRequest{ID: "r", Policy: raw.base, Prompt: prompt, N: 1,
		Params: engine.Params{MaxTokens: 20, Temperature: temperature, TopP: 1, TopK: topK, Seed: 5}})
	if err != nil {
		t.Fatal(err)
	}
	tokens := res.Seqs[0].Tokens
	scores, _, err := raw.engine.Score(t.Context(), raw.base, [][]int32{slices.Concat(prompt, tokens)})
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(*fixture, []int32, object) []drawn{"vLLM generate": asked["vLLM generate"], "vLLM completions": asked["vLLM completions"]} {
		t.Run(name, func(t *testing.T) {
			got := ask(raw, prompt, sampling())[0]
			if !slices.Equal(got.Tokens, tokens) {
				t.Fatal("other tokens")
			}
			near(t, got.Logprobs, scores[0][len(prompt):])
			near(t, ask(processed, prompt, sampling())[0].Logprobs, res.Seqs[0].Logprobs)
		})
	}
	t.Run("SGLang's are tempered and not filtered", func(t *testing.T) {
		tempered, err := raw.engine.Sample(t.Context(), engine.SampleRequest{ID: "r", Policy: raw.base, Prompt: prompt, N: 1, Kind: engine.LogprobTempered,
			Params: engine.Params{MaxTokens: 20, Temperature: temperature, TopP: 1, TopK: topK, Seed: 5}})
		if err != nil {
			t.Fatal(err)
		}
		got := raw.asSGLang(prompt, sampling())[0].Logprobs
		near(t, got, tempered.Seqs[0].Logprobs)
		if math.Abs(float64(got[0]-res.Seqs[0].Logprobs[0])) < 1e-6 {
			t.Error("they are those of the filtered distribution")
		}
	})
	t.Run("llama-server's are raw", func(t *testing.T) {
		var got struct {
			Probabilities []struct{ Logprob float64 } `json:"completion_probabilities"`
		}
		raw.post("/completion", object{"prompt": prompt, "n_predict": 20, "temperature": temperature, "top_k": topK, "samplers": []string{"top_k", "temperature"},
			"seed": 5, "ignore_eos": true, "n_probs": 1}, &got)
		for i, l := range scores[0][len(prompt):] {
			if math.Abs(float64(l)-got.Probabilities[i].Logprob) > 1e-5 {
				t.Fatalf("token %d has log-probability %v, want %v", i, got.Probabilities[i].Logprob, l)
			}
		}
	})
}

func TestWeightsAreReplacedInEveryDialect(t *testing.T) {
	prompt := []int32{1, 9, 22, 5}
	for _, tc := range []struct {
		name  string
		calls [][2]string // path and body; %q is the directory
		want  string      // version
	}{
		{"vLLM, in three steps", [][2]string{{"/init_weight_transfer_engine", `{"init_info":{}}`}, {"/start_weight_update", `{"is_checkpoint_format":true}`},
			{"/update_weights", `{"update_info":{"path":%q}}`}, {"/finish_weight_update", `{"weight_version":"12"}`}}, "12"},
		{"vLLM, reload_weights", [][2]string{{"/collective_rpc", `{"method":"reload_weights","kwargs":{"weights_path":%q}}`}}, "default"},
		{"prime-rl's extension", [][2]string{{"/update_weights", `{"weight_dir":%q}`}, {"/update_weight_version", `{"new_version":"7"}`}}, "7"},
		{"SGLang", [][2]string{{"/pause_generation", `{"mode":"retract"}`}, {"/update_weights_from_disk", `{"model_path":%q,"weight_version":"v3","flush_cache":true}`},
			{"/continue_generation", `{}`}}, "v3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, 0)
			dir := f.save("next", 2, small.MaxContext)
			before := f.scores("", prompt)
			for _, c := range tc.calls {
				body := c[1]
				if i := len(body) - len(`%q}`); i > 0 && slices.Contains([]byte(body), '%') {
					body = fmt.Sprintf(body, dir)
				}
				f.must("POST", c[0], body)
			}
			if got := f.must("GET", "/weight_info", ""); got != fmt.Sprintf(`{"weight_version":%q}`, tc.want) {
				t.Error(got)
			}
			if slices.Equal(before, f.scores("", prompt)) {
				t.Error("the weights are the old ones")
			}
			live, err := f.engine.Live(t.Context())
			if err != nil || len(live) != 1 {
				t.Errorf("live policies are %v (%v), want the new one alone", live, err)
			}
		})
	}
}

func TestAdaptersStandBesideTheBase(t *testing.T) {
	base := weights(1, small)
	f := start(t, 0, func(o *serve.Options) { o.Publisher = serve.Merging(o.Publisher, base) })
	// A small change of one matrix is an adapter of rank 2 at the most.
	tuned := weights(1, small)
	for i := range 4 {
		tuned.Layers[0].Q[i*small.HiddenSize+3] += 0.5
	}
	change, err := lora.Extract(base, tuned, lora.Options{Rank: 2})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.root, "adapter")
	if err := lora.Save(dir, change.Adapter, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	whole := f.save("whole", 3, small.MaxContext)
	prompt := []int32{1, 9, 22, 5, 30}
	plain := f.scores("small", prompt)

	if got := f.must("POST", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"policy-1","lora_path":%q}`, dir)); got != "Success: LoRA adapter 'policy-1' added successfully." {
		t.Error(got)
	}
	want, _, err := f.engine.Score(t.Context(), engine.PolicyRef{ID: "policy-1#1", Step: 1}, [][]int32{prompt})
	if err != nil {
		t.Fatal(err)
	}
	adapted := f.scores("policy-1", prompt)
	if !slices.Equal(want[0][1:], adapted[1:]) || slices.Equal(plain, adapted) {
		t.Error("the adapter's scores are not the merged policy's")
	}
	if !slices.Equal(plain, f.scores("small", prompt)) {
		t.Error("the base has changed")
	}
	var got struct {
		Meta struct {
			Versions []spanned `json:"weight_versions"`
		} `json:"meta_info"`
	}
	f.post("/generate", object{"input_ids": prompt, "lora_path": "policy-1", "sampling_params": object{"max_new_tokens": 3, "ignore_eos": true}}, &got)
	if diff := cmp.Diff([]spanned{{"policy-1", 0, 3}}, got.Meta.Versions); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}

	var loaded struct {
		Success bool
		Loaded  map[string]string `json:"loaded_adapters"`
	}
	f.post("/load_lora_adapter", object{"lora_name": "policy-2", "lora_path": whole}, &loaded)
	if diff := cmp.Diff(map[string]string{"policy-1": dir, "policy-2": whole}, loaded.Loaded); diff != "" || !loaded.Success {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	var models struct {
		Data []struct {
			ID, Root string
			Parent   *string
			Max      *int `json:"max_model_len"`
		}
	}
	if err := json.Unmarshal([]byte(f.must("GET", "/v1/models", "")), &models); err != nil {
		t.Fatal(err)
	}
	if d := models.Data; len(d) != 3 || d[0].ID != "small" || d[0].Parent != nil || *d[0].Max != small.MaxContext || d[1].ID != "policy-1" || d[1].Root != dir || *d[1].Parent != "small" {
		t.Errorf("models: %+v", d)
	}
	f.must("POST", "/v1/unload_lora_adapter", `{"lora_name":"policy-1"}`)
	if status, body := f.send(t.Context(), "POST", "/v1/completions", `{"model":"policy-1","prompt":[1]}`); status != http.StatusNotFound {
		t.Errorf("an unloaded adapter: status %d: %s", status, body)
	}
	if live, _ := f.engine.Live(t.Context()); len(live) != 2 {
		t.Errorf("live policies are %v, want the base and policy-2", live)
	}
}

func TestLoadingIsRefusedWhereItMustBe(t *testing.T) {
	f := start(t, 0)
	outside := t.TempDir()
	if err := weights(2, small).Save(filepath.Join(outside, "w")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "w"), filepath.Join(f.root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(f.root, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	good := f.save("good", 3, small.MaxContext)
	f.must("POST", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"taken","lora_path":%q}`, good))
	for _, tc := range []struct {
		name, path, body string
		status           int
	}{
		{"outside the roots", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"a","lora_path":%q}`, filepath.Join(outside, "w")), 403},
		{"outside by dots", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"a","lora_path":%q}`, f.root+"/../"+filepath.Base(outside)+"/w"), 403},
		{"outside by a link", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"a","lora_path":%q}`, filepath.Join(f.root, "link")), 403},
		{"not there", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"a","lora_path":%q}`, filepath.Join(f.root, "none")), 404},
		{"no weights", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"a","lora_path":%q}`, filepath.Join(f.root, "empty")), 404},
		{"a name that is taken", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"taken","lora_path":%q}`, good), 400},
		{"the base's name", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"small","lora_path":%q}`, good), 400},
		{"no name", "/v1/load_lora_adapter", `{}`, 400},
		{"no such adapter", "/v1/unload_lora_adapter", `{"lora_name":"nobody"}`, 404},
		{"the base is no adapter", "/v1/unload_lora_adapter", `{"lora_name":"small"}`, 404},
		{"SGLang says 400", "/update_weights_from_disk", fmt.Sprintf(`{"model_path":%q}`, filepath.Join(outside, "w")), 400},
		{"no update under way", "/update_weights", fmt.Sprintf(`{"update_info":{"path":%q}}`, good), 400},
		{"nothing to finish", "/finish_weight_update", `{}`, 400},
		{"NCCL", "/init_weight_transfer_engine", `{"init_info":{"master_address":"10.0.0.1"}}`, 501},
		{"another method", "/collective_rpc", `{"method":"exec"}`, 501},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if status, body := f.send(t.Context(), "POST", tc.path, tc.body); status != tc.status {
				t.Errorf("status %d, want %d: %s", status, tc.status, body)
			}
		})
	}
	closed := start(t, 0, func(o *serve.Options) { o.Roots = nil })
	if status, _ := closed.send(t.Context(), "POST", "/v1/load_lora_adapter", `{}`); status != http.StatusNotFound {
		t.Errorf("without a directory to load from the call is there: status %d", status)
	}
	f.must("POST", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"taken","lora_path":%q,"load_inplace":true}`, good))
}
