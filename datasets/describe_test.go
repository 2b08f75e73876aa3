package datasets

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatisticsOfAFile(t *testing.T) {
	f := open(t, Spec{Path: "testdata/math.jsonl", Order: "file"}, 0)
	st, err := Describe(f, DescribeOptions{Examples: 1, Answers: 2})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := f.Problem(Train, 0)
	want := []SplitStatistics{{
		Split: Train, Problems: 3, Looked: 3,
		Levels: []Count{{"0", 1}, {"1", 1}, {"2", 1}},
		Prompt: Quantiles{Min: 17, Median: 29, P95: 36, Max: 36, Mean: (17 + 29 + 36) / 3.0}, Unit: "characters",
		Answers: []Count{{"1024", 1}, {"6", 1}}, Distinct: 3, Examples: []Problem{p},
	}}
	if d := cmp.Diff(want, st.Splits); d != "" {
		t.Error(d)
	}
	var text strings.Builder
	if err := st.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"math: question from problem, answer from answer", "0: 1, 1: 1, 2: 1", "3 problems, looked at 3", "What is $2^{10}$? → 1024"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	raw, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	var back Statistics
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(st, back); d != "" {
		t.Errorf("JSON does not come back as it was: %s", d)
	}
}

func TestStatisticsCanCountTokensAndLookAtAFew(t *testing.T) {
	f := open(t, Spec{Path: "testdata/gsm8k.jsonl", HeldOut: 0.4}, 0)
	st, err := Describe(f, DescribeOptions{Look: 1, Examples: -1, Tokens: func(p string) int { return len(strings.Fields(p)) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Splits) != 2 {
		t.Fatalf("splits %+v", st.Splits)
	}
	for _, s := range st.Splits {
		if s.Looked != 1 || s.Unit != "tokens" || s.Prompt.Max > 25 || s.Examples != nil {
			t.Errorf("%+v", s)
		}
	}
}
