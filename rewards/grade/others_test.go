package grade

import (
	"math"
	"strings"
	"testing"
)

func TestNumericGradesWithinItsTolerances(t *testing.T) {
	grader, err := New("numeric", map[string]any{"absolute": 0.01, "relative": 0.001})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, gold, response string
		want                 Outcome
	}{
		{"inside the absolute tolerance", "1", "\\boxed{1.01}", Right},
		{"outside both", "1", "\\boxed{1.02}", Wrong},
		{"inside the relative tolerance", "10000", "about 10009", Right},
		{"an expression counts by its value", "1.4142", "\\boxed{\\sqrt{2}}", Right},
		{"an assignment counts by its value", "3", "so $x = 3$", Right},
		{"a sentence counts by its number", "18", "The answer is 18 eggs each day.", Right},
		{"words are no number", "3", "\\boxed{\\text{three}}", Wrong},
		{"a gold that is no number is no score", "cat", "\\boxed{3}", NoScore},
		{"no answer is wrong", "3", "I do not know", Wrong},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if v := grader.Grade(c.gold, c.response); v.Outcome != c.want {
				t.Errorf("got %+v, want %s", v, c.want)
			}
		})
	}
}

func TestNumericRefusesTolerancesThatAreNone(t *testing.T) {
	for _, v := range []float64{-1, math.Inf(1), math.NaN()} {
		if _, err := NewNumeric(NumericOptions{Absolute: v}); err == nil {
			t.Errorf("tolerance %v is accepted", v)
		}
	}
}

func TestTextComparesNormalisedWords(t *testing.T) {
	cases := []struct {
		name, gold, response string
		params               map[string]any
		want                 Outcome
	}{
		{"case, articles and marks do not matter", "The Eiffel Tower", "Answer: eiffel tower!", nil, Right},
		{"another text is wrong", "Paris", "Answer: London", nil, Wrong},
		{"exact texts differ in case", "Paris", "paris", map[string]any{"normalise": false, "extract": false}, Wrong},
		{"any of several golds is enough", "NYC|New York", "new york", map[string]any{"separator": "|"}, Right},
		{"an empty gold is no score", " ", "x", nil, NoScore},
		{"an empty response is wrong", "x", "", nil, Wrong},
		{"thinking is no answer", "Paris", "<think>Paris", nil, Wrong},
		{"punctuation alone is not equal to other punctuation", "?", "!", nil, Wrong},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			grader, err := New("text", c.params)
			if err != nil {
				t.Fatal(err)
			}
			if v := grader.Grade(c.gold, c.response); v.Outcome != c.want {
				t.Errorf("got %+v, want %s", v, c.want)
			}
		})
	}
}

func TestF1IsTheHarmonicMeanOfPrecisionAndRecall(t *testing.T) {
	cases := []struct {
		name, gold, text string
		want             float64
	}{
		{"same words", "a red house", "The red house", 1},
		{"half of two", "red house", "red car", 0.5},
		{"two of three against two of two", "red big house", "red house", 0.8},
		{"nothing in common", "red", "blue", 0},
		{"a repeated word counts once for each occurrence", "red", "red red", 2.0 / 3},
		{"both empty", "", "the", 1},
		{"one empty", "red", "", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := F1(c.gold, c.text); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestF1GraderAppliesItsThreshold(t *testing.T) {
	for _, c := range []struct {
		threshold float64
		want      Outcome
	}{{0.8, Right}, {0.81, Wrong}} {
		grader, err := New("f1", map[string]any{"threshold": c.threshold, "extract": false})
		if err != nil {
			t.Fatal(err)
		}
		if v := grader.Grade("red big house", "red house"); v.Outcome != c.want {
			t.Errorf("threshold %v: got %+v, want %s", c.threshold, v, c.want)
		}
	}
	if _, err := New("f1", map[string]any{"threshold": 0}); err == nil || !strings.Contains(err.Error(), "threshold") {
		t.Errorf("a threshold of 0 gives error %v", err)
	}
}

func TestChoiceFindsTheLetter(t *testing.T) {
	grader, err := New("choice", nil)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, gold, response string
		want                 Outcome
	}{
		{"boxed", "B", "\\boxed{B}", Right},
		{"boxed text", "(B)", "\\boxed{\\text{(B)}}", Right},
		{"boxed with its value", "B", "\\boxed{\\textbf{(B)}\\ 12}", Right},
		{"after a phrase", "C", "The answer is (C) because it is red.", Right},
		{"after a label in bold", "D", "**Answer: D**", Right},
		{"the last letter of a sentence", "A", "It cannot be B or C, hence A.", Right},
		{"an article is no choice", "A", "A dog bit me, so it must be D", Wrong},
		{"lower case in a box", "b", "\\boxed{b}", Right},
		{"another letter", "B", "\\boxed{C}", Wrong},
		{"no letter", "B", "\\boxed{12}", Wrong},
		{"thinking that never ends", "B", "<think>B", Wrong},
		{"a gold that is no letter", "12", "\\boxed{B}", NoScore},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if v := grader.Grade(c.gold, c.response); v.Outcome != c.want {
				t.Errorf("got %+v, want %s", v, c.want)
			}
		})
	}
}

func TestPoliciesDecideWhatGradersDisagreeOn(t *testing.T) {
	cases := []struct {
		name, gold, answer string
		params             map[string]any
		want               Outcome
	}{
		{"percent as value", "25", "25\\%", nil, Wrong},
		{"percent as number", "25", "25\\%", map[string]any{"percent": "number"}, Right},
		{"percent as number refuses the value", "0.25", "25\\%", map[string]any{"percent": "number"}, Wrong},
		{"percent either way, as number", "25", "25\\%", map[string]any{"percent": "either"}, Right},
		{"percent either way, as value", "0.25", "25\\%", map[string]any{"percent": "either"}, Right},
		{"units ignored", "10\\text{ m}", "10\\text{ cm}", nil, Right},
		{"units compared", "10\\text{ m}", "10\\text{ cm}", map[string]any{"units": "same"}, Wrong},
		{"units compared, plural", "10\\text{ dogs}", "10\\text{ dog}", map[string]any{"units": "same"}, Right},
		{"a missing unit is no other unit", "10\\text{ m}", "10", map[string]any{"units": "same"}, Right},
		{"letter case ignored", "ab", "AB", nil, Right},
		{"letter case exact", "ab", "AB", map[string]any{"letter_case": "exact"}, Wrong},
		{"letter case of words exact", "Yes", "yes", map[string]any{"letter_case": "exact"}, Wrong},
		{"lists in any order", "1,2", "2,1", nil, Right},
		{"lists in order", "1,2", "2,1", map[string]any{"list_order": "same"}, Wrong},
		{"two decimals", "0.333", "\\frac13", map[string]any{"decimals": 2}, Right},
		{"six decimals", "0.333", "\\frac13", nil, Wrong},
		{"an interval is no inequality", "(1,\\infty)", "x>1", nil, Wrong},
		{"an interval for an inequality", "(1,\\infty)", "x>1", map[string]any{"relation_for_interval": true}, Right},
		{"a column is no tuple", "(1,2)", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", nil, Wrong},
		{"a column for a tuple", "(1,2)", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", map[string]any{"vector_as_tuple": true}, Right},
		{"a base may be left out", "101_2", "101", nil, Right},
		{"a base is required", "101_2", "101", map[string]any{"base_subscript": "required"}, Wrong},
		{"degrees are radians", "\\frac{\\pi}{6}", "30^\\circ", nil, Right},
		{"degrees are a unit only", "\\frac{\\pi}{6}", "30^\\circ", map[string]any{"degrees_as_radians": false}, Wrong},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			grader := mustMath(t, c.params)
			if e := grader.Explain(c.gold, "\\boxed{"+c.answer+"}"); e.Outcome != c.want {
				t.Errorf("gold %q, answer %q: got %s (%s; %s against %s), want %s", c.gold, c.answer, e.Outcome, e.Reason, e.GoldRead, e.PredictionRead, c.want)
			}
		})
	}
}

func TestWhereAnAnswerMayStandIsAnOption(t *testing.T) {
	cases := []struct {
		name, response string
		params         map[string]any
		want           Outcome
		reason         string
	}{
		{"an answer only in the thinking is none", "<think>\\boxed{5}", nil, Wrong, "no end of thinking"},
		{"unless that is allowed", "<think>\\boxed{5}", map[string]any{"answer_in_thinking": true}, Right, ""},
		{"a response without thinking is judged", "\\boxed{5}", nil, Right, ""},
		{"unless thinking is required", "\\boxed{5}", map[string]any{"require_think_end": true}, Wrong, "no end of thinking"},
		{"a number in prose is an answer", "it is 5", nil, Right, ""},
		{"unless a box is required", "it is 5", map[string]any{"require_box": true}, Wrong, "no box"},
		{"no answer is wrong", "no idea", nil, Wrong, "no answer"},
		{"or no score", "no idea", map[string]any{"no_answer": "no_score"}, NoScore, "no answer"},
		{"delimiters are options", "[THINK]\\boxed{4}[/THINK]\\boxed{5}", map[string]any{"think_end": []string{"[/THINK]"}}, Right, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := mustMath(t, c.params).Grade("5", c.response)
			if v.Outcome != c.want || c.reason != "" && v.Reason != c.reason {
				t.Errorf("got %+v, want %s %q", v, c.want, c.reason)
			}
		})
	}
}

func TestMathRefusesOptionsOutOfRange(t *testing.T) {
	for name, params := range map[string]map[string]any{
		"percent":      {"percent": "both"},
		"profile":      {"profile": "mathverify"},
		"decimals":     {"decimals": 99},
		"window":       {"window": 1},
		"milliseconds": {"milliseconds": 0},
		"no_answer":    {"no_answer": "right"},
	} {
		if _, err := New("math", params); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: error %v does not name %q", params, err, name)
		}
	}
}
