package openai_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/openai"
	"pith/rollout/engine/serve/servetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

// text is the tokenizer of the tiny policy, by words.
type text struct{}

func (text) Encode(s string) ([]int32, error) { return servetest.Tokenizer().Encode(s) }
func (text) Decode(ids []int32) string        { return servetest.Tokenizer().Decode(ids) }

func connect(t *testing.T, o openai.Options) *openai.Engine {
	t.Helper()
	e, err := openai.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func request(p engine.PolicyRef, n, tokens int) engine.SampleRequest {
	return engine.SampleRequest{ID: "r", Policy: p, Prompt: servetest.Prompt, N: n, Params: engine.Params{MaxTokens: tokens, Temperature: 1, TopP: 1}}
}

func TestItEvaluatesAndRefusesToTrain(t *testing.T) {
	s := servetest.Start(t)
	e := connect(t, openai.Options{URL: s.URL, Tokenizer: text{}})
	caps, err := e.Caps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if caps.Exact || caps.LogprobKind(engine.Params{}) != engine.LogprobUnknown {
		t.Errorf("such a server cannot be exact: %+v", caps)
	}
	res, err := e.Sample(t.Context(), request(s.Base, 4, 20))
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range res.Seqs {
		if q.Finish == engine.FinishAborted || len(q.Tokens) == 0 || len(q.Tokens) > 20 || len(q.Logprobs) != len(q.Tokens) || !q.Spans[0].Asserted || q.Kind != engine.LogprobUnknown {
			t.Errorf("sample %d is %+v", i, q)
		}
	}
	if slices.Equal(res.Seqs[0].Tokens, res.Seqs[1].Tokens) {
		t.Error("two samples of a group are the same")
	}
}

func TestWhatItCannotDoIsRefused(t *testing.T) {
	s := servetest.Start(t)
	e := connect(t, openai.Options{URL: s.URL, Tokenizer: text{}})
	for name, change := range map[string]func(*engine.SampleRequest){
		"top-k":        func(r *engine.SampleRequest) { r.Params.TopK = 5 },
		"min-p":        func(r *engine.SampleRequest) { r.Params.MinP = 0.1 },
		"least length": func(r *engine.SampleRequest) { r.Params.MinTokens = 3 },
	} {
		r := request(s.Base, 1, 10)
		change(&r)
		_, err := e.Sample(t.Context(), r)
		if class, _ := engine.ClassOf(err); err == nil || class != engine.Unsupported {
			t.Errorf("%s: error is %v, want class unsupported", name, err)
		}
	}
	_, err := e.Sample(t.Context(), request(engine.PolicyRef{ID: "another"}, 1, 10))
	if class, _ := engine.ClassOf(err); class != engine.PolicyGone {
		t.Errorf("another policy: %v", err)
	}
	_, err = connect(t, openai.Options{URL: s.URL}).Sample(t.Context(), request(s.Base, 1, 10))
	if class, _ := engine.ClassOf(err); class != engine.Unsupported {
		t.Errorf("without a tokenizer: %v", err)
	}
}

// The suite's part that such an engine can pass: what needs ids or policies is not asked of it.
func TestConformance(t *testing.T) {
	enginetest.RunOnly(t, []string{"a closed engine says so", "an unknown policy is gone"},
		func(t *testing.T) enginetest.Target {
			s := servetest.Start(t)
			e := connect(t, openai.Options{URL: s.URL, Tokenizer: text{}, Vocab: servetest.Vocab})
			return enginetest.Target{Sampler: e, First: engine.Artifact{Policy: s.Base}, Prompt: servetest.Prompt, Vocab: servetest.Vocab, Stop: servetest.Stop, Tokens: 40}
		})
}

func TestADeadlineEndsACall(t *testing.T) {
	s := servetest.Start(t)
	e := connect(t, openai.Options{URL: s.URL, Tokenizer: text{}})
	r := request(s.Base, 64, 80)
	r.Timeout = time.Microsecond
	if _, err := e.Sample(t.Context(), r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

// numbered is a tokenizer of words that are their ids: w17.
type numbered struct{}

var word = regexp.MustCompile(`<[a-z]+>|w[0-9]+`)

func (numbered) Encode(s string) ([]int32, error) {
	var ids []int32
	for _, w := range word.FindAllString(s, -1) {
		id := slices.Index([]string{"<pad>", "<bos>", "<eos>"}, w)
		if id < 0 {
			id, _ = strconv.Atoi(w[1:])
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

func (numbered) Decode(ids []int32) string {
	var words []string
	for _, id := range ids {
		words = append(words, fmt.Sprintf("w%d", id))
	}
	return strings.Join(words, " ")
}

// TestRealServer samples from whatever OpenAI-style server PITH_OPENAI_URL names, whose model has the
// words w3, w4 and so on.
func TestRealServer(t *testing.T) {
	url := os.Getenv("PITH_OPENAI_URL")
	if url == "" {
		t.Skip("no OpenAI-style server: PITH_OPENAI_URL is not set")
	}
	e := connect(t, openai.Options{URL: url, Model: os.Getenv("PITH_OPENAI_MODEL"), Tokenizer: numbered{}})
	live, err := e.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res, err := e.Sample(t.Context(), request(live[0], 4, 20))
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range res.Seqs {
		if q.Finish == engine.FinishAborted || len(q.Tokens) == 0 || len(q.Tokens) > 21 {
			t.Errorf("sample %d is %+v", i, q)
		}
	}
	stats, err := e.Stats(t.Context())
	if err != nil || !stats[0].Healthy {
		t.Errorf("stats %+v, %v", stats, err)
	}
	t.Logf("%d sequences of %s, %d tokens, %v", len(res.Seqs), live[0].ID, stats[0].OutputTokens, stats[0].Raw)
}
