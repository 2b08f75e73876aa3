package grade

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExactJudgesShapeAndAnswer(t *testing.T) {
	grader, err := New("exact", nil)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, gold, response string
		want                 Verdict
	}{
		{"a finished right answer is right", "42", "6*7=42</think> 42 <eos>", Verdict{Right, "42", ReasonExactMatch, true}},
		{"another answer is wrong but formatted", "42", "x</think>41<eos>", Verdict{Wrong, "41", ReasonMismatch, true}},
		{"leading zeros are another spelling", "42", "x</think>042<eos>", Verdict{Wrong, "042", ReasonMismatch, true}},
		{"thinking that never ends is wrong", "42", "42<eos>", Verdict{Wrong, "", ReasonNoThinkEnd, false}},
		{"two ends of thinking are wrong", "42", "a</think>42</think>42<eos>", Verdict{Wrong, "", ReasonManyThinkEnds, false}},
		{"an answer without end of sequence is truncated", "42", "a</think>42", Verdict{Wrong, "42", ReasonTruncated, false}},
		{"nothing after thinking is truncated", "42", "a</think>", Verdict{Wrong, "", ReasonTruncatedEmpty, false}},
		{"an empty finished answer is wrong", "42", "a</think> <eos>", Verdict{Wrong, "", ReasonEmptyAnswer, false}},
		{"an empty response is wrong", "42", "", Verdict{Wrong, "", ReasonNoThinkEnd, false}},
		{"an empty gold is no score", " ", "a</think>42<eos>", Verdict{NoScore, "", ReasonNoGold, false}},
		{"only one end of sequence is removed", "42", "a</think>42<eos><eos>", Verdict{Wrong, "42<eos>", ReasonMismatch, true}},
		{"invalid UTF-8 is quoted as valid text", "42", "a</think>\xff<eos>", Verdict{Wrong, "\uFFFD", ReasonMismatch, true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, grader.Grade(c.gold, c.response)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExactTakesDelimitersFromParameters(t *testing.T) {
	grader, err := New("exact", map[string]any{"think_end": "", "eos": []any{"<|im_end|>", "</s>"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := grader.Grade("7", "7</s>\n"); got.Outcome != Right {
		t.Errorf("got %+v, want right", got)
	}
	if got := grader.Grade("7", "7<eos>"); got.Outcome != Wrong || got.Formatted {
		t.Errorf("got %+v, want wrong and unformatted", got)
	}
}

func TestExactQuotesAtMostItsBound(t *testing.T) {
	grader, _ := NewExact(DefaultExactOptions())
	got := grader.Grade("1", "</think>"+strings.Repeat("é", 1<<20)+"<eos>")
	if len(got.Extracted) > maxExtracted || got.Outcome != Wrong {
		t.Errorf("quoted %d bytes with outcome %s", len(got.Extracted), got.Outcome)
	}
}

func TestNewRefusesWhatItDoesNotKnow(t *testing.T) {
	cases := []struct {
		name   string
		grader string
		params map[string]any
		want   string
	}{
		{"an unknown grader", "exakt", nil, "known graders are"},
		{"an unknown parameter", "exact", map[string]any{"thinkend": "x"}, `unknown parameter "thinkend"; valid ones are eos, think_end`},
		{"a parameter of the wrong type", "exact", map[string]any{"eos": "x"}, `parameter "eos" must be a list of strings, not string`},
		{"an empty end of sequence", "exact", map[string]any{"eos": []string{""}}, "eos[0] is empty"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.grader, c.params)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one containing %q", err, c.want)
			}
		})
	}
}
