package strategy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pith/datasets"
	"pith/rollout/engine"
	"pith/rollout/task"
	"pith/traces"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// words is a tokenizer of single words for tests.
type words []string

var vocabulary = words(strings.Fields("<pad> <bos> <eos> <think> </think> <cut> 0 1 2 3 4 5 6 7 8 9 a b c + = <tool> </tool> <result> </result>"))

func (w words) Encode(text string) (ids []int32, err error) {
	for _, s := range strings.Fields(text) {
		id, ok := w.ID(s)
		if !ok {
			return nil, fmt.Errorf("no token %q", s)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (w words) Decode(ids []int32) string {
	var out []string
	for _, id := range ids {
		out = append(out, w[id])
	}
	return strings.Join(out, " ")
}

func (w words) ID(s string) (int32, bool) {
	i := slices.Index(w, s)
	return int32(i), i >= 0
}

func ids(text string) []int32 {
	out, err := vocabulary.Encode(text)
	if err != nil {
		panic(err)
	}
	return out
}

var markers = Markers{
	Pad: "<pad>", BOS: "<bos>", EOS: "<eos>", Think: "<think>", EndThink: "</think>", Cut: "<cut>",
	Call: "<tool>", EndCall: "</tool>", Result: "<result>", EndResult: "</result>",
}

// script is an engine that says what it is told: for sample i, the text of script[i], continued
// wherever the prefix has got to. What the environment inserted is no part of a text; the words
// between are counted by the sampled tokens of the prefix.
type script struct {
	texts    map[int]string
	inserted func(prefix []int32) int // tokens of a prefix that the policy did not sample
	fail     func(r engine.SampleRequest) error
	score    func(tokens []int32) []float32

	mu    sync.Mutex
	calls []engine.SampleRequest
}

func (s *script) Caps(context.Context) (engine.SamplerCaps, error) { return engine.SamplerCaps{}, nil }
func (s *script) Close() error                                     { return nil }

func (s *script) Sample(_ context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r)
	if s.fail != nil {
		if err := s.fail(r); err != nil {
			return engine.SampleResult{}, err
		}
	}
	var res engine.SampleResult
	for i := range r.N {
		said := len(r.Prefix)
		if s.inserted != nil {
			said -= s.inserted(r.Prefix)
		}
		all := ids(s.texts[r.First+i])
		seq := engine.Sequence{Finish: engine.FinishLength}
		for p := said; p < len(all); p++ {
			if len(r.Prefix)+len(seq.Tokens) == r.Params.MaxTokens {
				break
			}
			seq.Tokens = append(seq.Tokens, all[p])
			seq.Logprobs = append(seq.Logprobs, -float32(p+1))
			seq.Entropies = append(seq.Entropies, 0.5)
			if slices.Contains(r.Params.StopTokens, all[p]) {
				seq.Finish = engine.FinishStop
				break
			}
		}
		if len(seq.Tokens) > 0 {
			seq.Spans = []engine.Span{{Policy: r.Policy, End: len(seq.Tokens)}}
		}
		res.Seqs = append(res.Seqs, seq)
	}
	return res, nil
}

func (s *script) Score(_ context.Context, _ engine.PolicyRef, tokens [][]int32) ([][]float32, engine.LogprobKind, error) {
	var out [][]float32
	for _, t := range tokens {
		out = append(out, s.score(t))
	}
	return out, engine.LogprobRaw, nil
}

func testEnv(s *script) *Env {
	return &Env{Sampler: s, Policy: engine.PolicyRef{ID: "p1", Step: 1}, Tokens: vocabulary, Markers: markers, Worker: "w"}
}

func testTask(n int) *task.Task {
	return &task.Task{
		Run: "r", Step: 2, Split: datasets.Train, Group: "g", N: n, Prompt: ids("<bos> a 3 <think>"),
		Problem:  datasets.Problem{ID: "p", Dataset: "clock", Level: 2, Prompt: "<bos> a 3 <think>", Answer: "7", TokenBudget: 9},
		Strategy: "single", Params: engine.Params{MaxTokens: 40, Temperature: 1, TopP: 1, Seed: 5, StopTokens: ids("<eos>")},
		Policy: engine.PolicyRef{ID: "p1", Step: 1},
	}
}

// run runs a strategy and holds every trace against the record's rules.
func run(t *testing.T, name, options string, env *Env, tk *task.Task) ([]Rollout, error) {
	t.Helper()
	s, err := New(name, json.RawMessage(options))
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Run(t.Context(), env, tk)
	for _, r := range out {
		if err := traces.Validate(r.Trace); err != nil {
			t.Error(err)
		}
	}
	if err == nil && len(out) != tk.N {
		t.Fatalf("%d rollouts for %d samples", len(out), tk.N)
	}
	return out, err
}

// parts prints the segments of a trace: kind, trained or not, text.
func parts(tr *traces.Trace) string {
	var out []string
	for _, s := range tr.Segments {
		mark := ""
		if !s.Train {
			mark = "!"
		}
		out = append(out, fmt.Sprintf("%s%s[%s]", s.Kind, mark, vocabulary.Decode(tr.Tokens[s.Start:s.End])))
	}
	return strings.Join(out, " ")
}
