package strategy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/traces"
)

// scored is an engine whose probability of the token after a prefix depends on the prefix.
func scored(texts map[int]string, p func(prefix string) float64, seen *[]string) *script {
	return &script{texts: texts, score: func(tokens []int32) []float32 {
		out := make([]float32, len(tokens))
		prefix := strings.TrimPrefix(vocabulary.Decode(tokens[:len(tokens)-1]), "<bos> a 3 <think> ")
		if seen != nil {
			*seen = append(*seen, prefix+" | "+vocabulary.Decode(tokens[len(tokens)-1:]))
		}
		out[0] = float32(math.NaN())
		out[len(out)-1] = float32(math.Log(p(prefix)))
		return out
	}}
}

func TestAnytimeCutsTheThoughtAtEveryBudget(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // prefixes that are scored
		scores     []float64
	}{
		{"a chain longer than every budget", "1 2 3 4 5 6 7 8 9 </think> 7 <eos>",
			[]string{"1 2 <cut> </think> | 7", "1 2 3 4 <cut> </think> | 7", "1 2 3 4 5 6 <cut> </think> | 7"}, []float64{0.2, 0.4, 0.6}},
		{"one that ends between", "1 2 3 </think> 7 <eos>", []string{"1 2 <cut> </think> | 7", "1 2 3 </think> | 7"}, []float64{0.2, 0.3, 0.3}},
		{"one that ends on a budget", "1 2 </think> 7 <eos>", []string{"1 2 </think> | 7"}, []float64{0.2, 0.2, 0.2}},
		{"no thought", "</think> 7 <eos>", []string{"</think> | 7"}, []float64{0, 0, 0}},
		{"one without an end of thinking", "1 2 3 4 5 <eos>", []string{"1 2 <cut> </think> | 7", "1 2 3 4 <cut> </think> | 7"}, []float64{0.2, 0.4, 0}},
		{"one that the limit stopped", "1 2 3", []string{"1 2 <cut> </think> | 7", "1 2 3 <cut> </think> | 7"}, []float64{0.2, 0.3, 0.3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen []string
			depth := func(prefix string) float64 {
				n := len(strings.Fields(prefix)) - 1 // the end of thinking
				if strings.Contains(prefix, "<cut>") {
					n--
				}
				return float64(n) / 10
			}
			env := testEnv(scored(map[int]string{0: c.text}, depth, &seen))
			out, err := run(t, "anytime", `{"budgets":[2,4,6],"estimator":"probability"}`, env, testTask(1))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, seen); diff != "" {
				t.Errorf("scored (-want +got):\n%s", diff)
			}
			tr := out[0].Trace
			if diff := cmp.Diff(c.scores, tr.BudgetScores, cmpopts.EquateApprox(0, 1e-6)); diff != "" || !slices.Equal(tr.Budgets, []int32{2, 4, 6}) {
				t.Errorf("budgets %v, scores (-want +got):\n%s", tr.Budgets, diff)
			}
			if tr.Text != strings.Join(strings.Fields(c.text), " ") {
				t.Errorf("the trace is %q", tr.Text)
			}
		})
	}
}

func TestAnytimeScoresAllRolloutsInOneCall(t *testing.T) {
	var seen []string
	env := testEnv(scored(map[int]string{3: "1 2 3 4 5 </think> 7 <eos>", 4: "1 </think> 7 <eos>"}, func(string) float64 { return 0.5 }, &seen))
	tk := testTask(2)
	tk.First = 3
	n := 0
	env.Retry = func(ctx context.Context, op string, call func(context.Context) error) error {
		if strings.HasPrefix(op, "score ") {
			n++
		}
		return call(ctx)
	}
	out, err := run(t, "anytime", `{"budgets":[2,4],"estimator":"probability"}`, env, tk)
	if err != nil {
		t.Fatal(err)
	}
	if n != 1 || len(seen) != 3 {
		t.Errorf("%d score calls of %d sequences, want 1 of 3", n, len(seen))
	}
	for i, r := range out {
		if diff := cmp.Diff([]float64{0.5, 0.5}, r.Trace.BudgetScores, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
			t.Errorf("rollout %d:\n%s", i, diff)
		}
	}
}

// fixed grades by whether the answer token is the gold one, and notes what it is shown.
type fixed struct {
	mu    sync.Mutex
	shown []string
}

func (g *fixed) Grade(gold, response string) grade.Verdict {
	g.mu.Lock()
	g.shown = append(g.shown, response)
	g.mu.Unlock()
	switch {
	case strings.HasSuffix(response, "</think> "+gold+" <eos>"):
		return grade.Verdict{Outcome: grade.Right}
	case strings.Contains(response, "</think> c"):
		return grade.Verdict{Outcome: grade.NoScore}
	}
	return grade.Verdict{Outcome: grade.Wrong}
}

// answers is an engine whose forced answers come from a list, by sample index.
type answers struct {
	script
	list []string
}

func (a *answers) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	if len(r.Prefix) == 0 {
		return a.script.Sample(ctx, r)
	}
	a.mu.Lock()
	a.calls = append(a.calls, r)
	a.mu.Unlock()
	var res engine.SampleResult
	for i := range r.N {
		res.Seqs = append(res.Seqs, seq(a.list[(r.First+i)%len(a.list)], engine.FinishStop))
	}
	return res, nil
}

func TestAnytimeDrawsAndGradesAnswers(t *testing.T) {
	grader := &fixed{}
	s := &answers{list: []string{"7 <eos>", "8 <eos>", "7 <eos>", "c <eos>"}}
	s.texts = map[int]string{0: "1 2 3 </think> 7 <eos>"}
	env := testEnv(nil)
	env.Sampler, env.Grader = s, grader
	tk := testTask(1)
	out, err := run(t, "anytime", `{"budgets":[2,4,6],"answers":4,"answer_tokens":5}`, env, tk)
	if err != nil {
		t.Fatal(err)
	}
	// 7 8 7 and one without score: two of three are right, whatever the cut.
	if diff := cmp.Diff([]float64{2.0 / 3, 2.0 / 3, 2.0 / 3}, out[0].Trace.BudgetScores, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var asked []string
	for _, r := range s.calls[1:] {
		asked = append(asked, fmt.Sprintf("%s: %d from %d up to %d", vocabulary.Decode(r.Prefix), r.N, r.First, r.Params.MaxTokens-len(r.Prefix)))
		if r.Params.Seed == tk.Params.Seed {
			t.Error("forced answers share the responses' random stream")
		}
	}
	slices.Sort(asked)
	want := []string{"1 2 3 </think>: 8 from 4 up to 5", "1 2 <cut> </think>: 4 from 0 up to 5"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if !slices.Contains(grader.shown, "1 2 <cut> </think> 8 <eos>") {
		t.Errorf("the grader was shown %q", grader.shown)
	}
}

func TestAnytimeLeavesFailedResponsesWithoutScores(t *testing.T) {
	env := testEnv(nil)
	p := &partial{seqs: []engine.Sequence{seq("1 </think> 7 <eos>", engine.FinishStop), seq("", engine.FinishStop)}}
	p.score = func(tokens []int32) []float32 { return make([]float32, len(tokens)) }
	env.Sampler = p
	out, err := run(t, "anytime", `{"budgets":[2],"estimator":"probability"}`, env, testTask(2))
	if err != nil {
		t.Fatal(err)
	}
	if s := out[0].Trace.BudgetScores; !slices.Equal(s, []float64{1}) {
		t.Errorf("scores %v, want 1", s)
	}
	if tr := out[1].Trace; tr.Status != traces.Failed || tr.Budgets != nil || tr.BudgetScores != nil {
		t.Errorf("the failed one: %+v", tr)
	}
}

func TestAnytimeNeedsAGoldAnswerThatThePolicyCanSay(t *testing.T) {
	for _, gold := range []string{"", "zebra"} {
		env := testEnv(scored(map[int]string{0: "1 </think> 7 <eos>"}, func(string) float64 { return 1 }, nil))
		tk := testTask(1)
		tk.Problem.Answer = gold
		if _, err := run(t, "anytime", `{"estimator":"probability"}`, env, tk); err == nil || !strings.Contains(err.Error(), "has no probability") {
			t.Errorf("gold %q: %v", gold, err)
		}
	}
}

func TestAnytimeScoreErrorsAreTheTasks(t *testing.T) {
	env := testEnv(scored(map[int]string{0: "1 </think> 7 <eos>"}, func(string) float64 { return math.NaN() }, nil))
	if _, err := run(t, "anytime", `{"estimator":"probability"}`, env, testTask(1)); err == nil || !strings.Contains(err.Error(), "not a number") {
		t.Errorf("a NaN: %v", err)
	}
	env.Sampler = &deaf{script{texts: map[int]string{0: "1 </think> 7 <eos>"}}}
	_, err := run(t, "anytime", `{"estimator":"probability"}`, env, testTask(1))
	if e, ok := errors.AsType[*engine.Error](err); !ok || e.Class != engine.Unsupported {
		t.Errorf("an engine that cannot score: %v", err)
	}
}

// deaf cannot score.
type deaf struct{ script }

func (*deaf) Score(context.Context, engine.PolicyRef, [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, 0, &engine.Error{Class: engine.Unsupported, Op: "score"}
}
