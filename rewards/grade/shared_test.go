package grade

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sharedFile opens a file of the shared data, or skips the test where there is none.
func sharedFile(t testing.TB, name string) *os.File {
	t.Helper()
	dir := os.Getenv("PITH_SHARED_DATA")
	if dir == "" {
		root, err := os.Getwd()
		for err == nil && root != filepath.Dir(root) {
			if _, statErr := os.Stat(filepath.Join(root, "go.mod")); statErr == nil {
				break
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(filepath.Dir(root), "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("no shared data: set PITH_SHARED_DATA to the directory that holds %s", name)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// eachLine decodes a JSON lines file.
func eachLine[T any](t testing.TB, f *os.File, visit func(T)) {
	t.Helper()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<26)
	for scanner.Scan() {
		var v T
		if err := json.Unmarshal(scanner.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		visit(v)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
}

type solution struct {
	Correct  bool   `json:"is_correct"`
	Solution string `json:"solution"`
}

// gsm8kSolutions calls visit with every solution of the four models of Cobbe et al. 2021.
func gsm8kSolutions(t testing.TB, visit func(gold string, s solution)) {
	t.Helper()
	eachLine(t, sharedFile(t, "gsm8k_model_solutions.jsonl"), func(fields map[string]json.RawMessage) {
		var truth string
		if err := json.Unmarshal(fields["ground_truth"], &truth); err != nil {
			t.Fatal(err)
		}
		gold := truth[strings.LastIndex(truth, "A:")+len("A:"):]
		for _, model := range []string{"6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"} {
			var s solution
			if err := json.Unmarshal(fields[model], &s); err != nil {
				t.Fatal(err)
			}
			visit(gold, s)
		}
	})
}

func TestAgreesWithTheLabelsOfFourModelsOnGSM8K(t *testing.T) {
	grader := mustMath(t, nil)
	total, agree := 0, 0
	gsm8kSolutions(t, func(gold string, s solution) {
		total++
		if v := grader.Grade(gold, s.Solution); (v.Outcome == Right) == s.Correct {
			agree++
		} else {
			t.Logf("label %v, verdict %s (%s), gold %q, extracted %q", s.Correct, v.Outcome, v.Reason, gold, v.Extracted)
		}
	})
	if total != 4*1319 {
		t.Errorf("graded %d solutions, want %d", total, 4*1319)
	}
	if share := float64(agree) / float64(total); share < 0.995 {
		t.Errorf("agreement %.4f, want at least 0.995", share)
	}
	t.Logf("agreement %d of %d", agree, total)
}

func TestReferenceSolutionsOfGSM8KAnswerTheirOwnGold(t *testing.T) {
	grader := mustMath(t, nil)
	eachLine(t, sharedFile(t, "gsm8k_test.jsonl"), func(p struct{ Answer string }) {
		_, gold, _ := strings.Cut(p.Answer, "#### ")
		if v := grader.Grade(gold, p.Answer); v.Outcome != Right {
			t.Errorf("gold %q: %s (%s), extracted %q", gold, v.Outcome, v.Reason, v.Extracted)
		}
		if v := grader.Grade(p.Answer, "\\boxed{"+gold+"}"); v.Outcome != Right {
			t.Errorf("gold from a whole solution %q: %s", gold, v.Outcome)
		}
	})
}

// TestOlympiadAnswersAreReadAndToldApart respells every gold answer, which must stay right, and
// meets it with the answers of other problems, which must be wrong unless they are equal.
func TestOlympiadAnswersAreReadAndToldApart(t *testing.T) {
	grader := mustMath(t, nil)
	var golds []string
	eachLine(t, sharedFile(t, "olympiadbench.jsonl"), func(p struct {
		Answer []string `json:"final_answer"`
	}) {
		if len(p.Answer) > 0 && p.Answer[0] != "" {
			golds = append(golds, p.Answer[0])
		}
	})
	respell := strings.NewReplacer("$", "", "\\frac", "\\dfrac", "{", "{ ", "=", " = ")
	for i, gold := range golds {
		answer := respell.Replace(gold)
		if v := grader.Grade(gold, "\\boxed{"+answer+" }"); v.Outcome != Right {
			t.Errorf("gold %q against %q: %s (%s)", gold, answer, v.Outcome, v.Reason)
		}
		for _, step := range []int{1, 7, 101} {
			other := golds[(i+step)%len(golds)]
			forward := grader.Grade(gold, "\\boxed{"+other+"}").Outcome
			backward := grader.Grade(other, "\\boxed{"+gold+"}").Outcome
			if forward == Right && backward != Right && !strings.ContainsAny(gold+other, "=<>(") {
				t.Errorf("gold %q against %q is right, the other way round %s", gold, other, backward)
			}
		}
	}
}

func TestAIMEAMCAndSVAMPAnswersAreRightInEverySpelling(t *testing.T) {
	grader := mustMath(t, nil)
	for _, name := range []string{"aime24.jsonl", "amc23.jsonl", "svamp.jsonl"} {
		eachLine(t, sharedFile(t, name), func(p map[string]json.RawMessage) {
			raw := p["answer"]
			if raw == nil {
				raw = p["Answer"]
			}
			gold := strings.Trim(string(raw), `"`)
			for _, form := range []string{"\\boxed{%}", "The answer is %.", "So $x = %$.", "#### %", "Thus it is % in all."} {
				response := strings.ReplaceAll(form, "%", gold)
				if v := grader.Grade(gold, response); v.Outcome != Right {
					t.Errorf("%s: gold %q, response %q: %s (%s)", name, gold, response, v.Outcome, v.Reason)
				}
				if v := grader.Grade(gold, strings.ReplaceAll(form, "%", gold+"1")); v.Outcome == Right && !strings.Contains(gold, ".") {
					t.Errorf("%s: gold %q accepts %q", name, gold, gold+"1")
				}
			}
		})
	}
}
