package clock

import (
	"strings"
	"testing"

	"pith/datasets"
)

func TestCallEvaluatesWhatItIsGiven(t *testing.T) {
	hides4 := datasets.Problem{Hidden: map[string]string{HiddenX: "4"}}
	for name, c := range map[string]struct {
		p         datasets.Problem
		arguments string
		want      string
		ok        bool
	}{
		"one operation":            {hides4, "3 b +4", "7", true},
		"wraps upwards":            {hides4, "8 b +4", "2", true},
		"wraps downwards":          {hides4, "3 b -5", "8", true},
		"left to right":            {hides4, "3 b +4 c *3", "1", true},
		"hidden digit added":       {hides4, "3 b +x", "7", true},
		"hidden digit subtracted":  {hides4, "3 b -x", "9", true},
		"hidden digit multiplied":  {hides4, "3 b *x", "2", true},
		"labels are ignored":       {hides4, "3 i +1 a +1", "5", true},
		"operands outside 1 to 5":  {hides4, "3 b +9 c *9 d -0", "8", true},
		"blanks may repeat":        {hides4, "  3  b   +4 ", "7", true},
		"nothing hidden":           {datasets.Problem{}, "3 b +x", "", false},
		"empty":                    {hides4, "", "", false},
		"a digit alone":            {hides4, "3", "", false},
		"no label":                 {hides4, "3 +4", "", false},
		"no operation":             {hides4, "3 b", "", false},
		"operation before a label": {hides4, "3 +4 b", "", false},
		"no such label":            {hides4, "3 j +4", "", false},
		"no such operation":        {hides4, "3 b *5", "", false},
		"a bare x":                 {hides4, "x b +4", "", false},
		"text after the chain":     {hides4, "3 b +4 =", "", false},
		"a number of two digits":   {hides4, "13 b +4", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Call(c.p, c.arguments)
			if got != c.want || ok != c.ok {
				t.Errorf("Call(%q) = %q, %v; want %q, %v", c.arguments, got, ok, c.want, c.ok)
			}
		})
	}
}

func FuzzCallNeverPanicsAndAnswersADigitOrNothing(f *testing.F) {
	for _, s := range []string{"", "3 b +4", "3 b +x c *7", "3 b", "a b c", "\xff b +1", strings.Repeat("3 b ", 50)} {
		f.Add(s, "4")
	}
	f.Fuzz(func(t *testing.T, arguments, hidden string) {
		got, ok := Call(datasets.Problem{Hidden: map[string]string{HiddenX: hidden}}, arguments)
		if _, digit := parseDigit(got); digit != ok || (!ok && got != "") {
			t.Errorf("Call(%q) with x=%q: got %q, %v", arguments, hidden, got, ok)
		}
	})
}
