package strategy

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"pith/rollout/engine"
	"pith/traces"
)

// thoughts is an engine whose policy thinks in segments of the given lengths, each ended by the end
// of thinking, and answers 7. What it has said follows from the prefix: a wait begins the next segment.
func thoughts(lengths ...int) *Env {
	env := testEnv(nil)
	env.Sampler = &thinker{lengths: lengths}
	return env
}

type thinker struct {
	script  // for what a Sampler has besides
	lengths []int
}

func (e *thinker) Sample(c context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	var text string
	if slices.Contains(r.Prefix, ids("</think>")[0]) {
		text = "7 <eos>"
	} else {
		segment, said := 0, 0
		for _, id := range r.Prefix {
			if said++; id == ids("=")[0] {
				segment, said = segment+1, 0
			}
		}
		n := 0
		if segment < len(e.lengths) {
			n = e.lengths[segment] - said
		}
		text = strings.Repeat("b ", max(n, 0)) + "</think> 7 <eos>"
	}
	// A script of this call's own: samples go on side by side.
	said := &script{texts: map[int]string{}, inserted: func(prefix []int32) int { return len(prefix) }}
	for i := range r.N {
		said.texts[r.First+i] = text
	}
	return said.Sample(c, r)
}

// The vector of reference part 3.6: budget 100, ignore 2, segments of 30, 40 and 50.
func TestBudgetForcingMatchesVector(t *testing.T) {
	env := thoughts(30, 40, 50)
	tk := testTask(2)
	tk.Params.MaxTokens = 400
	out, err := run(t, "forced", `{"budget":100,"ignore":2,"wait":"="}`, env, tk)
	if err != nil {
		t.Fatal(err)
	}
	b := func(n int) string { return strings.TrimSpace(strings.Repeat("b ", n)) }
	want := "think[" + b(30) + "] injected![=] think[" + b(40) + "] injected![=] think[" + b(30) + "] injected![<cut> </think>] answer[7 <eos>]"
	for _, r := range out {
		if got := parts(r.Trace); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if r.Trace.LengthTokens != 102 || r.Trace.InjectedTokens != 4 || r.Trace.Finish != traces.FinishStop {
			t.Errorf("length %d, injected %d, %s", r.Trace.LengthTokens, r.Trace.InjectedTokens, r.Trace.Finish)
		}
		if got := *r.Trace.Entropy; got != 0.5 {
			t.Errorf("mean entropy %v: what was taken back counts for nothing", got)
		}
	}
}

func TestForcingLeavesAloneWhatIsWithinItsBounds(t *testing.T) {
	for _, c := range []struct{ name, options, want string }{
		{"a thought within the budget", `{"budget":10,"ignore":0}`, "think[b b b </think>] answer[7 <eos>]"},
		{"one that ends on the budget", `{"budget":3,"ignore":0}`, "think[b b b] injected![<cut> </think>] answer[7 <eos>]"},
		{"only made longer", `{"ignore":1,"wait":"="}`, "think[b b b] injected![=] think[b b </think>] answer[7 <eos>]"},
		{"the answer begun", `{"budget":2,"answer":"a","ignore":0}`, "think[b b] injected![<cut> </think> a] answer[7 <eos>]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := run(t, "forced", c.options, thoughts(3, 2), testTask(1))
			if err != nil {
				t.Fatal(err)
			}
			if got := parts(out[0].Trace); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestForcingRefusesWhatCannotWork(t *testing.T) {
	if _, err := New("forced", []byte(`{"ignore":0}`)); err == nil || !strings.Contains(err.Error(), "nothing is forced") {
		t.Errorf("neither bound: got %v", err)
	}
	if _, err := New("forced", []byte(`{"budget":-1}`)); err == nil || !strings.Contains(err.Error(), "budget is -1") {
		t.Errorf("a negative budget: got %v", err)
	}
	if _, err := New("forced", []byte(`{"wait":""}`)); err == nil || !strings.Contains(err.Error(), "wait is empty") {
		t.Errorf("no text to go on with: got %v", err)
	}
	if _, err := run(t, "forced", ``, thoughts(3), testTask(1)); err == nil || !strings.Contains(err.Error(), `cannot write "Wait"`) {
		t.Errorf("a text beyond the vocabulary: got %v", err)
	}
}

func TestForcedThinkingNeverExceedsItsBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 5).Draw(rt, "segments")
		budget, ignore := rapid.IntRange(0, 60).Draw(rt, "budget"), rapid.IntRange(0, 4).Draw(rt, "ignore")
		if budget == 0 && ignore == 0 {
			return
		}
		tk := testTask(1)
		tk.Params.MaxTokens = rapid.IntRange(1, 80).Draw(rt, "limit")
		s := forced{forcedOptions{Budget: budget, Ignore: ignore, Wait: "="}}
		out, err := s.Run(t.Context(), thoughts(lengths...), tk)
		if err != nil {
			rt.Fatal(err)
		}
		tr := out[0].Trace
		if err := traces.Validate(tr); err != nil {
			rt.Fatal(err)
		}
		thought, waits := 0, 0
		for _, seg := range tr.Segments {
			switch {
			case seg.Kind == traces.Think:
				thought += int(seg.End - seg.Start)
			case seg.Kind == traces.Injected && tr.Tokens[seg.Start] == ids("=")[0]:
				waits++
			}
		}
		if int(tr.LengthTokens) > tk.Params.MaxTokens || waits > ignore || budget > 0 && thought > budget+1 {
			rt.Fatalf("%s: %d thinking tokens, %d waits, %d in all", parts(tr), thought, waits, tr.LengthTokens)
		}
	})
}
