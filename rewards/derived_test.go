package rewards

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pith/traces"
)

func TestInputsThatATraceHoldsInItsText(t *testing.T) {
	type inputs struct {
		Response, Output, Reasoning int
		Payoff, Precision, Recall   float64
	}
	for _, tc := range []struct {
		name string
		t    traces.Trace
		want inputs
	}{
		{"nothing", traces.Trace{}, inputs{}},
		{"no marker: all of it is the response", traces.Trace{Text: "the answer"}, inputs{Response: 2, Output: 2}},
		{"after the end of thinking", traces.Trace{Text: "a b </think> it is 7"}, inputs{Response: 3, Output: 6, Reasoning: 12}},
		{"a response tag wins", traces.Trace{Text: "x </think> y <response>z</response>"}, inputs{Response: 1, Output: 5, Reasoning: 23}},
		{"two cells, one of them close", traces.Trace{Text: "<payoff>DQ-DA: (1.0, 2.0) DQ-CQ: (1.00, 1.05)</payoff>"}, inputs{Response: 6, Output: 6, Payoff: 3.0 / 12}},
		{"six cells at most", traces.Trace{Text: "<payoff>1,2 1,2 1,2 1,2 1,2 1,2 1,2</payoff>"}, inputs{Response: 7, Output: 7, Payoff: 1}},
		{"equal numbers", traces.Trace{Text: "<payoff>3 | 3</payoff>"}, inputs{Response: 3, Output: 3}},
		{"an accepted answer covers everything", traces.Trace{Verdict: traces.Right, Gold: "0.5", Extracted: "1/2"}, inputs{Precision: 1, Recall: 1}},
		{"entities of a list", traces.Trace{Verdict: traces.Wrong, Gold: "{Rome, Oslo, Bern, Riga}", Extracted: "oslo; Paris"}, inputs{Precision: 0.5, Recall: 0.25}},
		{"no entity", traces.Trace{Verdict: traces.Wrong, Gold: "7"}, inputs{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := FromTrace(&tc.t)
			got := inputs{s.ResponseWords, s.OutputWords, s.ReasoningChars, *s.Payoff, *s.Precision, *s.Recall}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
