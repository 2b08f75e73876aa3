package rollout

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pith/datasets"
	"pith/datasets/families"
	"pith/policies/model"
	"pith/policies/tokenizer"
	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/rollout/engine/local"
	"pith/rollout/strategy"
	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

// clockRun is what the quickstart's rollouts are made of, with a tiny random policy.
type clockRun struct {
	family *families.Family
	tokens *tokenizer.Words
	grader grade.Grader
	engine *local.Engine
	policy engine.PolicyRef
}

func newClockRun(t testing.TB, source string) *clockRun {
	t.Helper()
	f, err := families.Open(source, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := tokenizer.NewWords(f.Vocabulary, tokenizer.Roles{BOS: f.Markers.BOS, EOS: f.Markers.EOS, PAD: f.Markers.Pad, Special: f.Special})
	if err != nil {
		t.Fatal(err)
	}
	exact, err := grade.NewExact(grade.DefaultExactOptions())
	if err != nil {
		t.Fatal(err)
	}
	c := &clockRun{family: f, tokens: tokens, grader: exact, engine: local.New(local.Options{Slots: 16}), policy: engine.PolicyRef{ID: "p0"}}
	t.Cleanup(func() { _ = c.engine.Close() })
	w := model.NewWeights(model.Config{Arch: model.Qwen3, VocabSize: len(f.Vocabulary), HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 4,
		NumKVHeads: 2, HeadDim: 8, MaxContext: 192, RMSNormEps: 1e-6, RopeTheta: 10000, QKNorm: true, BOS: 1, EOS: 2, PAD: 0})
	w.Init(5, model.InitOptions{EmbeddingSD: 0.3, LinearSD: 1 / math.Sqrt(32)})
	if _, err := c.engine.Publish(t.Context(), engine.Artifact{Policy: c.policy, Kind: engine.ArtifactMemory, Digest: w.Digest(), Handle: w}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *clockRun) id(token string) int32 {
	id, _ := c.tokens.ID(token)
	return id
}

func (c *clockRun) task(t testing.TB, i, n int, name, options string) *task.Task {
	t.Helper()
	p, err := c.family.Source.Problem(datasets.Train, int64(i))
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := c.tokens.Encode(p.Prompt)
	if err != nil {
		t.Fatal(err)
	}
	return &task.Task{
		Run: "run-1", Step: 1, Split: datasets.Train, Group: fmt.Sprintf("s000001/g%03d", i), Problem: p, Prompt: prompt, N: n,
		Strategy: name, Options: json.RawMessage(options), Policy: c.policy, Exact: true,
		Params: engine.Params{MaxTokens: 60, Temperature: 1, TopP: 1, StopTokens: []int32{c.id(c.family.Markers.EOS)}, Seed: uint64(1000 + i)},
	}
}

func (c *clockRun) worker(name string, concurrency int) *Worker {
	w := &Worker{Name: name, Sampler: c.engine, Markers: strategy.Markers(c.family.Markers), Grader: c.grader, Concurrency: concurrency}
	for name, tool := range c.family.Tools {
		w.Tools = append(w.Tools, strategy.FuncTool(name, tool))
	}
	return w
}

func TestStrategiesOnTheLocalEngineDoNotDependOnWorkers(t *testing.T) {
	for _, c := range []struct {
		strategy, options, source string
		look                      func(*traces.Trace) bool // must hold for some trace
	}{
		{"single", "", "clock", func(tr *traces.Trace) bool { return len(tr.Segments) == 2 }},
		{"tools", `{"max_calls":3}`, "clock-tools", func(tr *traces.Trace) bool { return len(tr.ToolCalls) > 0 && tr.Turns > 1 }},
		{"anytime", `{"budgets":[1,4,16],"estimator":"probability"}`, "clock", func(tr *traces.Trace) bool { return len(tr.BudgetScores) == 3 && tr.BudgetScores[0] > 0 }},
		{"anytime", `{"budgets":[1,4,16],"answers":2,"answer_tokens":3}`, "clock", func(tr *traces.Trace) bool { return len(tr.BudgetScores) == 3 }},
	} {
		t.Run(c.strategy+c.options, func(t *testing.T) {
			r := newClockRun(t, c.source)
			run := func(workers, concurrency int) (out []traces.Trace) {
				b := newBench(t)
				b.announce(0, nil)
				for i := range workers {
					b.startAs(r.worker(fmt.Sprint("w", i), concurrency), r.tokens)
				}
				var tasks []*task.Task
				for i := range 8 {
					tasks = append(tasks, r.task(t, i, 4, c.strategy, c.options))
				}
				b.release(tasks...)
				for _, d := range b.outcomes(32) {
					if d.Dead != nil {
						t.Fatalf("dead letter: %s", d.Dead.Reason)
					}
					out = append(out, *d.Trace)
				}
				return out
			}
			one := run(1, 1)
			if diff := cmp.Diff(one, run(3, 2)); diff != "" {
				t.Errorf("three workers gave other traces than one:\n%s", diff)
			}
			found := false
			for i := range one {
				tr := &one[i]
				found = found || c.look(tr)
				if tr.Status == traces.Failed {
					t.Errorf("%s failed: %s", tr.ID, tr.Error)
				}
				if tr.LengthTokens > 60 {
					t.Errorf("%s has %d sampled tokens, 60 are allowed", tr.ID, tr.LengthTokens)
				}
				if got := r.tokens.Decode(tr.Tokens); got != tr.Text {
					t.Errorf("%s: text %q", tr.ID, tr.Text)
				}
			}
			if !found {
				t.Error("no trace shows what the strategy is for: the test shows nothing")
			}
		})
	}
}

func TestLoggedLogProbabilitiesAreThePolicys(t *testing.T) {
	r := newClockRun(t, "clock-tools")
	b := newBench(t)
	b.announce(0, nil)
	b.startAs(r.worker("w", 2), r.tokens)
	b.release(r.task(t, 0, 8, "tools", `{"max_calls":3}`))
	injected := 0
	for _, d := range b.outcomes(8) {
		tr := d.Trace
		whole := append(append([]int32(nil), tr.PromptTokens...), tr.Tokens...)
		scored, _, err := r.engine.Score(t.Context(), r.policy, [][]int32{whole})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range tr.Segments {
			for i := s.Start; i < s.End; i++ {
				got, want := tr.LogProbs[i], scored[0][len(tr.PromptTokens)+int(i)]
				if !s.Kind.Sampled() {
					injected++
					continue
				}
				if math.Abs(float64(got-want)) > 1e-3 {
					t.Errorf("%s, token %d: logged %v, the policy says %v", tr.ID, i, got, want)
				}
			}
		}
	}
	if injected == 0 {
		t.Error("no result was inserted: the test shows nothing")
	}
}

var _ Queue = (*stream.Stream)(nil)
