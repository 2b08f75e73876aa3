package grade

import (
	"os"
	"strings"
	"testing"
)

// gradedCase is one line of testdata/cases.txt.
type gradedCase struct {
	group, gold, response string
	want                  Outcome
}

// readCases reads testdata/cases.txt, whose head explains its format.
func readCases(t testing.TB) []gradedCase {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []gradedCase
	group := ""
	for _, line := range strings.Split(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			group = name
			continue
		}
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		head, rest, _ := strings.Cut(line, " ")
		gold, answer, ok := strings.Cut(rest, " @")
		if !ok {
			t.Fatalf("no \" @ \" in case %q", line)
		}
		answer = strings.TrimPrefix(answer, " ")
		c := gradedCase{group: group, gold: gold, response: "\\boxed{" + answer + "}"}
		if strings.HasSuffix(head, "~") {
			c.response = newlines(answer)
		}
		switch head[0] {
		case '+':
			c.want = Right
		case '-':
			c.want = Wrong
		case '?':
			c.want = NoScore
		default:
			t.Fatalf("case %q begins with none of + - ?", line)
		}
		cases = append(cases, c)
	}
	return cases
}

// newlines turns \n into a line break, unless it begins a command such as \neq.
func newlines(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == 'n' && (i+2 == len(s) || !(s[i+2] >= 'a' && s[i+2] <= 'z')) {
			b.WriteByte('\n')
			i++
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func TestCasesUnderTheDefaultPolicy(t *testing.T) {
	grader := mustMath(t, nil)
	for _, c := range readCases(t) {
		e := grader.Explain(c.gold, c.response)
		if e.Outcome != c.want {
			t.Errorf("%s: gold %q, response %q: got %s, want %s (extracted %q by %q; read %s and %s; %s)",
				c.group, c.gold, c.response, e.Outcome, c.want, e.Extracted, e.Rule, e.GoldRead, e.PredictionRead, e.Reason)
		}
	}
}

func TestCasesCannotBePassedByAGraderThatIsAlwaysRight(t *testing.T) {
	cases := readCases(t)
	right := 0
	for _, c := range cases {
		if c.want == Right {
			right++
		}
	}
	if len(cases) < 300 {
		t.Errorf("there are %d cases, want at least 300", len(cases))
	}
	if share := float64(right) / float64(len(cases)); share >= 0.55 {
		t.Errorf("%.1f %% of the cases are positive, want less than 55 %%", 100*share)
	}
}

func mustMath(t testing.TB, params map[string]any) *Math {
	t.Helper()
	g, err := New("math", params)
	if err != nil {
		t.Fatal(err)
	}
	return g.(*Math)
}
