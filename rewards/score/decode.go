package score

import (
	"bytes"
	"errors"
	"fmt"

	"pith/rewards"
)

// decoder turns a document into a group. The first fault wins.
type decoder struct {
	d     *document
	group string // for messages
	trace string
}

func (x *decoder) fault(field, format string, args ...any) error {
	return &rewards.InputError{Group: x.group, Trace: x.trace, Field: field, Problem: fmt.Sprintf(format, args...)}
}

// member gives the member of an object by name, or nil.
func (x *decoder) member(object *node, name string) *node {
	for i := object.first; i != 0; i = x.d.nodes[i].next {
		if n := &x.d.nodes[i]; string(x.key(n)) == name {
			return n
		}
	}
	return nil
}

// key gives a member's key, without a copy where it is written plainly.
func (x *decoder) key(n *node) []byte {
	if text := x.d.text[n.keyStart:n.keyEnd]; bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	return []byte(x.d.unquote(n.keyStart, n.keyEnd))
}

// decode fills g, whose slices it reuses.
func (x *decoder) decode(g *rewards.Group) error {
	root := &x.d.nodes[0]
	if root.kind != kindObject {
		return fmt.Errorf("want an object with group and traces, got %s", root.kind)
	}
	id := x.member(root, "group")
	if id == nil || id.kind == kindNull {
		return errors.New("field group: missing")
	}
	if err := x.text(id, "group", &x.group); err != nil {
		x.group = ""
		return errors.New("field group: want a string, got " + x.d.raw(id))
	}
	samples := g.Samples[:0]
	*g = rewards.Group{ID: x.group, NoStep: true}
	seen := false
	for i := root.first; i != 0; i = x.d.nodes[i].next {
		n := &x.d.nodes[i]
		var err error
		switch key := string(x.key(n)); key {
		case "step":
			var step int
			if n.kind != kindNull {
				err = x.whole(n, key, &step)
				g.Step, g.NoStep = int64(step), false
			}
		case "problem":
			if n.kind != kindNull {
				err = x.problem(n, &g.Problem)
			}
		case "traces":
			if seen {
				return x.fault(key, "given twice")
			}
			seen = true
			samples, err = x.samples(n, samples)
		}
		if err != nil {
			return err
		}
	}
	if !seen {
		return x.fault("traces", "missing")
	}
	g.Samples = samples
	return nil
}

func (x *decoder) samples(list *node, out []rewards.Sample) ([]rewards.Sample, error) {
	if list.kind != kindList {
		return nil, x.fault("traces", "want a list, got %s", x.d.raw(list))
	}
	for i := list.first; i != 0; i = x.d.nodes[i].next {
		last := len(out)
		out = append(out, rewards.Sample{})
		s := &out[last]
		if err := x.sample(&x.d.nodes[i], last, s); err != nil {
			return nil, err
		}
		for j := range out[:last] {
			if out[j].ID == s.ID {
				x.trace = s.ID
				return nil, x.fault("id", "given to two traces of the group")
			}
		}
	}
	x.trace = ""
	return out, nil
}

func (x *decoder) sample(n *node, index int, s *rewards.Sample) error {
	nameless := func(err error) error {
		var input *rewards.InputError
		if errors.As(err, &input) {
			input.Trace = fmt.Sprintf("#%d", index)
		}
		return err
	}
	x.trace = ""
	if n.kind != kindObject {
		return nameless(x.fault("traces", "want an object, got %s", x.d.raw(n)))
	}
	id := x.member(n, "id")
	if id == nil || id.kind == kindNull {
		return nameless(x.fault("id", "missing"))
	}
	if err := x.text(id, "id", &s.ID); err != nil {
		return nameless(err)
	}
	x.trace = s.ID
	s.Missing = ^rewards.Field(0)
	var given uint64
	for i := n.first; i != 0; i = x.d.nodes[i].next {
		child := &x.d.nodes[i]
		at, known := fields[string(x.key(child))]
		if !known {
			continue
		}
		key := sampleFields[at].key
		if given&(1<<at) != 0 {
			return x.fault(key, "given twice")
		}
		given |= 1 << at
		f := &sampleFields[at]
		if child.kind == kindNull {
			if f.nullCounts {
				s.Missing &^= f.field
			}
			continue
		}
		if err := f.set(x, child, key, s); err != nil {
			return err
		}
		s.Missing &^= f.field
	}
	return nil
}

// sampleField is one key of a trace: how it is decoded and which input of a method it is.
type sampleField struct {
	key        string
	field      rewards.Field // 0: no method needs it by itself
	nullCounts bool          // null is a statement, not an absence
	set        func(x *decoder, n *node, key string, s *rewards.Sample) error
}

var sampleFields = []sampleField{
	{"correct", rewards.FieldCorrect, true, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		right := false
		err := x.flag(n, key, &right)
		s.Correct = &no
		if right {
			s.Correct = &yes
		}
		return err
	}},
	{"formatted", rewards.FieldFormatted, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.flag(n, key, &s.Formatted) }},
	{"truncated", rewards.FieldTruncated, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.flag(n, key, &s.Truncated) }},
	{"tokens", rewards.FieldTokens, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.whole(n, key, &s.Tokens) }},
	{"chars", rewards.FieldChars, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.whole(n, key, &s.Chars) }},
	{"mode", rewards.FieldMode, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.text(n, key, &s.Mode) }},
	{"turns", rewards.FieldTurns, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.whole(n, key, &s.Turns) }},
	{"tool_calls", rewards.FieldToolCalls, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.whole(n, key, &s.ToolCalls) }},
	{"first_tool_token", rewards.FieldFirstToolToken, true, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		s.FirstToolToken = new(int)
		return x.whole(n, key, s.FirstToolToken)
	}},
	{"entropy", rewards.FieldEntropy, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.number(n, key, &s.Entropy) }},
	{"budget_scores", rewards.FieldBudgetScores, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.numbers(n, key, &s.BudgetScores)
	}},
	{"text", rewards.FieldText, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.text(n, key, &s.Text) }},
	{"label", 0, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.text(n, key, &s.Label) }},
	{"score", 0, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.number(n, key, &s.Score) }},
	{"base_loss", rewards.FieldBaseLoss, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.number(n, key, &s.BaseLoss) }},
	{"reference_kl", rewards.FieldReferenceKL, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.number(n, key, &s.ReferenceKL)
	}},
	{"precision", rewards.FieldPrecision, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.number(n, key, &s.Precision)
	}},
	{"recall", rewards.FieldRecall, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.number(n, key, &s.Recall) }},
	{"answer_score", 0, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.number(n, key, &s.AnswerScore)
	}},
	{"payoff", rewards.FieldPayoff, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.number(n, key, &s.Payoff) }},
	{"response_words", rewards.FieldResponseWords, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.whole(n, key, &s.ResponseWords)
	}},
	{"reasoning_chars", rewards.FieldReasoningChars, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.whole(n, key, &s.ReasoningChars)
	}},
	{"output_words", rewards.FieldOutputWords, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.whole(n, key, &s.OutputWords)
	}},
	{"prompt_tokens", 0, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.whole(n, key, &s.PromptTokens)
	}},
	{"turn_ends", rewards.FieldTurnEnds, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.budgets(n, key, &s.TurnEnds)
	}},
	{"turn_scores", rewards.FieldTurnScores, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.numbers(n, key, &s.TurnScores)
	}},
	{"turn_texts", 0, false, func(x *decoder, n *node, key string, s *rewards.Sample) error {
		return x.texts(n, key, &s.TurnTexts)
	}},
	{"values", rewards.FieldValues, false, func(x *decoder, n *node, key string, s *rewards.Sample) error { return x.numbers(n, key, &s.Values) }},
}

// fields finds a key's place in sampleFields.
var fields = func() map[string]int {
	m := make(map[string]int, len(sampleFields))
	for i, f := range sampleFields {
		m[f.key] = i
	}
	return m
}()

var yes, no = true, false

func (x *decoder) problem(object *node, p *rewards.ProblemInfo) error {
	if object.kind != kindObject {
		return x.fault("problem", "want an object, got %s", x.d.raw(object))
	}
	for i := object.first; i != 0; i = x.d.nodes[i].next {
		n := &x.d.nodes[i]
		if n.kind == kindNull {
			continue
		}
		key := string(x.key(n))
		name := "problem." + key
		var err error
		switch key {
		case "id":
			err = x.text(n, name, &p.ID)
		case "gold":
			err = x.text(n, name, &p.Gold)
		case "reference_accuracy":
			err = x.number(n, name, &p.ReferenceAccuracy)
		case "history_accuracy":
			err = x.number(n, name, &p.HistoryAccuracy)
		case "reference_tokens":
			err = x.positive(n, name, &p.ReferenceTokens)
		case "history_shortest":
			err = x.positive(n, name, &p.HistoryShortest)
		case "token_budget":
			if err = x.whole(n, name, &p.TokenBudget); err == nil && p.TokenBudget < 1 {
				err = x.fault(name, "want at least 1, got %s", x.d.raw(n))
			}
		case "difficulty":
			var f *float64 // a level is read by nobody here; foreign logs have fractions
			if err = x.number(n, name, &f); err == nil {
				p.Difficulty = int(*f)
			}
		case "best_known_calls":
			p.BestKnownCalls = new(int)
			err = x.whole(n, name, p.BestKnownCalls)
		case "budgets":
			err = x.budgets(n, name, &p.Budgets)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *decoder) budgets(list *node, name string, out *[]int) error {
	if list.kind != kindList {
		return x.fault(name, "want a list of token counts, got %s", x.d.raw(list))
	}
	*out = []int{}
	for i := list.first; i != 0; i = x.d.nodes[i].next {
		var b int
		if err := x.whole(&x.d.nodes[i], name, &b); err != nil {
			return err
		}
		*out = append(*out, b)
	}
	return nil
}

func (x *decoder) text(n *node, field string, out *string) error {
	if n.kind != kindString {
		return x.fault(field, "want a string, got %s", x.d.raw(n))
	}
	*out = x.d.unquote(n.start+1, n.end-1)
	return nil
}

func (x *decoder) texts(list *node, field string, out *[]string) error {
	if list.kind != kindList {
		return x.fault(field, "want a list of strings, got %s", x.d.raw(list))
	}
	*out = []string{}
	for i := list.first; i != 0; i = x.d.nodes[i].next {
		var s string
		if err := x.text(&x.d.nodes[i], field, &s); err != nil {
			return err
		}
		*out = append(*out, s)
	}
	return nil
}

func (x *decoder) flag(n *node, field string, out *bool) error {
	if n.kind != kindBool {
		return x.fault(field, "want true or false, got %s", x.d.raw(n))
	}
	*out = x.d.text[n.start] == 't'
	return nil
}

func (x *decoder) whole(n *node, field string, out *int) error {
	if n.kind != kindNumber {
		return x.fault(field, "want a whole number, got %s", x.d.raw(n))
	}
	i, err := x.d.whole(n)
	if err != nil {
		return x.fault(field, "%v", err)
	}
	*out = i
	return nil
}

func (x *decoder) float(n *node, field string) (float64, error) {
	if n.kind != kindNumber {
		return 0, x.fault(field, "want a finite number, got %s", x.d.raw(n))
	}
	f, err := x.d.float(n)
	if err != nil {
		return 0, x.fault(field, "%v", err)
	}
	return f, nil
}

func (x *decoder) number(n *node, field string, out **float64) error {
	f, err := x.float(n, field)
	*out = &f
	return err
}

func (x *decoder) positive(n *node, field string, out *float64) error {
	f, err := x.float(n, field)
	if err == nil && f <= 0 {
		return x.fault(field, "want a positive number, got %s", x.d.raw(n))
	}
	*out = f
	return err
}

func (x *decoder) numbers(list *node, field string, out *[]float64) error {
	if list.kind != kindList {
		return x.fault(field, "want a list of numbers, got %s", x.d.raw(list))
	}
	*out = []float64{}
	for i := list.first; i != 0; i = x.d.nodes[i].next {
		f, err := x.float(&x.d.nodes[i], field)
		if err != nil {
			return err
		}
		*out = append(*out, f)
	}
	return nil
}
