package grade

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"pith/rewards/grade/compare"
	"pith/rewards/grade/expr"
	"pith/rewards/grade/extract"
	"pith/rewards/grade/latex"
)

// MathOptions are the policies of the mathematical grader. The defaults follow Math-Verify
// except where docs/grader.md argues otherwise.
type MathOptions struct {
	// Profile is "default" for the grader of this package, or the name of a published grader whose
	// decisions are to be reproduced: "math_verify", "dapo", "hendrycks", "deepscaler", "gsm8k".
	Profile string `json:"profile"`
	// ThinkStart and ThinkEnd are the delimiters of thinking; only what follows the last end counts.
	ThinkStart []string `json:"think_start"`
	ThinkEnd   []string `json:"think_end"`
	// RequireThinkEnd makes a response without an end of thinking wrong.
	RequireThinkEnd bool `json:"require_think_end"`
	// AnswerInThinking accepts an answer of a response whose thinking was begun and never ended.
	AnswerInThinking bool `json:"answer_in_thinking"`
	// RequireBox accepts only boxed answers.
	RequireBox bool `json:"require_box"`
	// Percent is "value" (25% is 1/4 and not 25), "number" (25% is 25) or "either".
	Percent string `json:"percent"`
	// Units is "ignore" or "same": under "same", two answers that both show a unit must agree in it.
	Units string `json:"units"`
	// LetterCase is "ignore" or "exact", for variables, names and words.
	LetterCase string `json:"letter_case"`
	// ListOrder is "any" or "same", for lists without brackets.
	ListOrder string `json:"list_order"`
	// Decimals is the number of places to which numbers are rounded for comparison when one of
	// them is a decimal.
	Decimals int `json:"decimals"`
	// RelationForInterval accepts "x > 1" where the gold answer is the interval (1, ∞).
	RelationForInterval bool `json:"relation_for_interval"`
	// VectorAsTuple accepts a column matrix where the gold answer is a tuple, and conversely.
	VectorAsTuple bool `json:"vector_as_tuple"`
	// BaseSubscript is "optional" (101 answers 101_2) or "required".
	BaseSubscript string `json:"base_subscript"`
	// DegreesAsRadians accepts 30° for π/6. The mark is otherwise a unit, which is dropped.
	DegreesAsRadians bool `json:"degrees_as_radians"`
	// NoAnswer is the outcome of a response without an answer: "wrong" or "no_score".
	NoAnswer Outcome `json:"no_answer"`
	// Window is how many bytes at the end of a response are searched for its answer.
	Window int `json:"window"`
	// Steps bounds the work on one pair, Milliseconds its wall time.
	Steps        int `json:"steps"`
	Milliseconds int `json:"milliseconds"`
}

// DefaultMathOptions returns the default policy.
func DefaultMathOptions() MathOptions {
	e := extract.DefaultOptions()
	return MathOptions{
		Profile: "default", ThinkStart: e.ThinkStart, ThinkEnd: e.ThinkEnd,
		Percent: "value", Units: "ignore", LetterCase: "ignore", ListOrder: "any", Decimals: 6,
		BaseSubscript: "optional", DegreesAsRadians: true, NoAnswer: Wrong, Window: e.Window,
		Steps: 200_000, Milliseconds: 25,
	}
}

// Validate reports the first option that is out of its range.
func (o MathOptions) Validate() error {
	choices := []struct {
		name, value string
		valid       []string
	}{
		{"percent", o.Percent, []string{"value", "number", "either"}},
		{"units", o.Units, []string{"ignore", "same"}},
		{"letter_case", o.LetterCase, []string{"ignore", "exact"}},
		{"list_order", o.ListOrder, []string{"any", "same"}},
		{"base_subscript", o.BaseSubscript, []string{"optional", "required"}},
		{"no_answer", string(o.NoAnswer), []string{string(Wrong), string(NoScore)}},
		{"profile", o.Profile, Profiles()},
	}
	for _, c := range choices {
		found := false
		for _, v := range c.valid {
			found = found || v == c.value
		}
		if !found {
			return fmt.Errorf("parameter %q is %q; valid are %s", c.name, c.value, strings.Join(c.valid, ", "))
		}
	}
	switch {
	case o.Decimals < 0 || o.Decimals > 12:
		return fmt.Errorf("parameter \"decimals\" is %d; it must lie between 0 and 12", o.Decimals)
	case o.Window < 64:
		return fmt.Errorf("parameter \"window\" is %d bytes; it must be at least 64", o.Window)
	case o.Steps < 1000 || o.Milliseconds < 1:
		return fmt.Errorf("parameters \"steps\" and \"milliseconds\" are %d and %d; they must be at least 1000 and 1", o.Steps, o.Milliseconds)
	}
	return nil
}

// Math grades mathematical answers. It is safe for concurrent use: a call keeps all its state on
// its own stack, starts no goroutine, and stops by itself at its limits.
type Math struct {
	opts    MathOptions
	extract extract.Options
	policy  compare.Policy
	profile profile
}

// NewMath returns a grader with the given options.
func NewMath(opts MathOptions) (*Math, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("grade math: %w", err)
	}
	policy := compare.DefaultPolicy()
	policy.Places = opts.Decimals
	policy.Percent = opts.Percent
	policy.FoldCase = opts.LetterCase == "ignore"
	policy.OrderedLists = opts.ListOrder == "same"
	policy.RelationForSet = opts.RelationForInterval
	policy.VectorAsTuple = opts.VectorAsTuple
	policy.DegreesAsRadians = opts.DegreesAsRadians
	policy.BareBase = opts.BaseSubscript == "optional"
	literal := opts.Profile == "math_verify"
	if literal {
		policy.SmallRelative = math.Inf(1)
		policy.DegreesAsRadians = false
	}
	return &Math{
		opts:    opts,
		policy:  policy,
		profile: profiles[opts.Profile],
		extract: extract.Options{ThinkStart: opts.ThinkStart, ThinkEnd: opts.ThinkEnd, AnswerInThinking: opts.AnswerInThinking, Window: opts.Window, OnlyBoxed: literal},
	}, nil
}

// Explanation says how a verdict came about.
type Explanation struct {
	Verdict
	Rule           string `json:"extraction_rule"` // how the answer was found in the response
	GoldRead       string `json:"gold_read"`       // how the gold answer was read
	PredictionRead string `json:"prediction_read"` // how the extracted answer was read
	DecidedBy      string `json:"decided_by"`      // the comparison that decided
	Detail         string `json:"detail,omitempty"`
}

// Grade implements Grader.
func (m *Math) Grade(gold, response string) Verdict {
	return m.judge(gold, response, false).Verdict
}

// Explain grades and says how both sides were read and which rule decided.
func (m *Math) Explain(gold, response string) Explanation {
	return m.judge(gold, response, true)
}

// Reasons of the mathematical grader besides those of extraction.
const (
	ReasonEqual      = "equal"
	ReasonUnequal    = "not equal"
	ReasonLimit      = "limit reached"
	ReasonGoldTooBig = "gold answer too long"
	ReasonInternal   = "internal error"
)

func (m *Math) judge(gold, response string, explain bool) (e Explanation) {
	defer func() {
		// The parser and the evaluators do not panic; should one ever, no run may die of it and
		// no answer may be called wrong for it.
		if r := recover(); r != nil {
			e = Explanation{Verdict: Verdict{Outcome: NoScore, Reason: ReasonInternal, Extracted: e.Extracted}, Detail: fmt.Sprint(r)}
		}
	}()
	gold = m.goldAnswer(gold)
	if gold == "" {
		return Explanation{Verdict: Verdict{Outcome: NoScore, Reason: ReasonNoGold}}
	}
	if m.profile != nil {
		return m.profile(m, gold, response)
	}
	if len(gold) > latex.MaxBytes {
		return Explanation{Verdict: Verdict{Outcome: NoScore, Reason: ReasonGoldTooBig}}
	}
	if m.opts.RequireThinkEnd && !containsAny(response, m.opts.ThinkEnd) {
		return Explanation{Verdict: Verdict{Outcome: Wrong, Reason: extract.NoThinkEnd}}
	}
	found, reason := extract.Find(response, m.extract)
	if want, ok := choiceLabel(gold); ok && (reason != "" && reason != extract.NoThinkEnd || found.Plain) {
		if e, ok := m.choice(want, response, found); ok {
			return e
		}
	}
	if reason == "" && m.opts.RequireBox && found.Rule != extract.Boxed {
		reason = "no box"
	}
	if reason != "" {
		outcome := m.opts.NoAnswer
		if reason == extract.WindowPassed {
			outcome = NoScore
		}
		return Explanation{Verdict: Verdict{Outcome: outcome, Reason: reason}}
	}
	e.Rule = string(found.Rule)
	e.Extracted = clip(strings.TrimSpace(found.Text))
	e.Formatted = found.Rule == extract.Boxed || found.Rule == extract.Hashes || found.Rule == extract.FinalHope
	pair := &pairing{m: m, gold: gold, found: found, explain: &e, detailed: explain}
	ok, rule, err := pair.decide()
	e.DecidedBy = rule
	switch {
	case ok:
		e.Outcome, e.Reason = Right, ReasonEqual+": "+rule
	case errors.Is(err, expr.ErrLimit):
		e.Outcome, e.Reason, e.Detail = NoScore, ReasonLimit, err.Error()
	default:
		e.Outcome, e.Reason = Wrong, ReasonUnequal
		if rule != "" {
			e.Reason += ": " + rule
		}
	}
	return e
}

// choice judges a response to a multiple-choice question that names its letter in prose.
func (m *Math) choice(want byte, response string, found extract.Found) (Explanation, bool) {
	if m.opts.RequireBox {
		return Explanation{}, false
	}
	if _, _, ok := leadingLabel(trimAnswer(found.Text)); ok {
		return Explanation{}, false
	}
	text, reason := extract.Conclusion(response, m.extract)
	if reason != "" {
		return Explanation{}, false
	}
	c := Choice{labels: DefaultChoiceOptions().Labels, extract: m.extract}
	got, formatted, ok := c.find(text[max(0, len(text)-m.opts.Window):])
	if !ok {
		return Explanation{}, false
	}
	v := Verdict{Outcome: Wrong, Extracted: string(got), Reason: ReasonUnequal + ": choice", Formatted: formatted}
	if got == want {
		v.Outcome, v.Reason = Right, ReasonEqual+": choice"
	}
	return Explanation{Verdict: v, Rule: "last letter", DecidedBy: "choice"}, true
}

// goldAnswer takes the answer out of a gold field, which may be a bare answer, a boxed one, or a
// whole solution that ends in one.
func (m *Math) goldAnswer(gold string) string {
	gold = strings.TrimSpace(gold)
	if i := strings.LastIndex(gold, "####"); i >= 0 {
		if rest := strings.TrimSpace(strings.TrimLeft(gold[i:], "#")); rest != "" {
			gold = rest
		}
	}
	if strings.Contains(gold, "box") {
		if f, reason := extract.Find(gold, extract.Options{Window: m.opts.Window}); reason == "" && f.Rule == extract.Boxed {
			gold = strings.TrimSpace(f.Text)
		}
	}
	return gold
}

func containsAny(text string, marks []string) bool {
	for _, mark := range marks {
		if mark != "" && strings.Contains(text, mark) {
			return true
		}
	}
	return false
}

func (m *Math) budget() *expr.Budget {
	return expr.NewBudget(m.opts.Steps, time.Now().Add(time.Duration(m.opts.Milliseconds)*time.Millisecond))
}
