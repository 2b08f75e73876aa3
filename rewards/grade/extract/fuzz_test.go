package extract

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// slow is the bound on one call; a fuzzing worker shares its core, hence the repetition.
const slow = 500 * time.Millisecond

func FuzzFind(f *testing.F) {
	for _, seed := range []string{
		"so \\boxed{5}", "\\boxed{\\frac{1}{2}} and \\boxed{2}", "\\boxed 5", "\\fbox{5}", "\\boxed{5", "#### 72", "The final answer is $5$. I hope it is correct.",
		"**Answer:** 5", "<think>x</think> $$y$$", "costs $5 or $6", "\\[ x \\]", "1,234.5%", "答案是B", "", "\xff\\boxed{\xff}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, response string) {
		start := time.Now()
		found, reason := Find(response, DefaultOptions())
		if took := time.Since(start); took > slow {
			t.Errorf("took %v", took)
		}
		if (reason == "") != (found.Rule != "") {
			t.Errorf("rule %q and reason %q", found.Rule, reason)
		}
		if reason == "" && len(found.Parts) == 0 && utf8.ValidString(response) && !strings.Contains(response, found.Text) {
			t.Errorf("answer %q does not stand in the response", found.Text)
		}
		if again, _ := Find(response, DefaultOptions()); again.Text != found.Text || again.Rule != found.Rule {
			t.Errorf("a second extraction gives %q, the first gave %q", again.Text, found.Text)
		}
	})
}

func TestFindReportsTheRuleThatApplied(t *testing.T) {
	cases := []struct {
		name, response string
		rule           Rule
		text           string
	}{
		{"the last box", "\\boxed{4} is what one might think at first sight, before looking closer at the second case; \\boxed{5}", Boxed, "5"},
		{"boxes with a connective", "\\boxed{4} and \\boxed{5}", Boxed, "4, 5"},
		{"a box over a later number", "\\boxed{5}. Check: $2+2=4$.", Boxed, "5"},
		{"nested braces", "\\boxed{\\frac{1}{\\sqrt{2}}}", Boxed, "\\frac{1}{\\sqrt{2}}"},
		{"escaped braces", "\\boxed{\\{1,2\\}}", Boxed, "\\{1,2\\}"},
		{"a box without braces", "\\boxed 5", Boxed, "5"},
		{"a framed box", "\\fbox{5}", Boxed, "5"},
		{"hope beats a box", "\\boxed{4} The final answer is $5$. I hope it is correct.", FinalHope, "5"},
		{"hashes", "2+2=4\n#### 4", Hashes, "4"},
		{"the final answer", "The answer is 3. The final answer is 4", Final, "4"},
		{"a phrase", "The answer is $x=4$, since 3 is less.", Answer, "x=4"},
		{"the last formula", "We get $3$ and then\n$$4$$", Display, "4"},
		{"linked formulas", "so $3$ and $4$.", Display, "3, 4"},
		{"the last number", "She has 3 apples and 4 pears", LastNum, "4"},
		{"a number with separators and sign", "it falls by -1,234.5 in all", LastNum, "-1,234.5"},
		{"nothing but an answer", "x^2+1", Whole, "x^2+1"},
		{"after the thinking", "<think>\\boxed{3}</think>4", Whole, "4"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, reason := Find(c.response, DefaultOptions())
			if got.Rule != c.rule || strings.TrimSpace(got.Text) != c.text {
				t.Errorf("got %q by %q (%s), want %q by %q", got.Text, got.Rule, reason, c.text, c.rule)
			}
		})
	}
}

func TestFindSaysWhyThereIsNoAnswer(t *testing.T) {
	for response, want := range map[string]string{
		"": EmptyText, "   ": EmptyText, "\\boxed{5": UnclosedBox, "<think>5": NoThinkEnd, "I really do not know what to say": NoAnswer,
		strings.Repeat("no answer here, ", 20_000): WindowPassed,
	} {
		if _, reason := Find(response, DefaultOptions()); reason != want {
			t.Errorf("%.20q: got %q, want %q", response, reason, want)
		}
	}
}
