package strategy

import (
	"fmt"
	"strconv"
	"strings"
)

// values fill the placeholders of a template.
type values struct{ budget, limit int }

// expand replaces the placeholders of a text that a strategy inserts: the markers of the data, so
// that one config serves every policy; {budget} and {limit}, the thinking tokens asked for and the
// token limit; {budget_digits} and {limit_digits}, the same a digit at a time, for vocabularies
// that have no longer numbers.
func (e *Env) expand(template string, v values) (string, error) {
	if !strings.Contains(template, "{") {
		return template, nil
	}
	var missing []string
	marker := func(name, token string) []string {
		if token == "" && strings.Contains(template, name) {
			missing = append(missing, name)
		}
		return []string{name, token}
	}
	m := e.Markers
	var pairs []string
	for _, x := range []struct{ name, token string }{
		{"{think}", m.Think}, {"{end_think}", m.EndThink}, {"{cut}", m.Cut}, {"{eos}", m.EOS},
		{"{call}", m.Call}, {"{end_call}", m.EndCall}, {"{result}", m.Result}, {"{end_result}", m.EndResult},
	} {
		pairs = append(pairs, marker(x.name, x.token)...)
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("the text %q needs %s, and the data has no such token", template, strings.Join(missing, ", "))
	}
	for _, x := range []struct {
		name string
		n    int
	}{{"budget", v.budget}, {"limit", v.limit}} {
		number := strconv.Itoa(x.n)
		pairs = append(pairs, "{"+x.name+"}", number, "{"+x.name+"_digits}", strings.Join(strings.Split(number, ""), " "))
	}
	return strings.NewReplacer(pairs...).Replace(template), nil
}

// write turns a template into tokens of the policy. An error says what the vocabulary lacks.
func (e *Env) write(what, template string, v values) ([]int32, error) {
	if template == "" {
		return nil, nil
	}
	text, err := e.expand(template, v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	ids, err := e.Tokens.Encode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: the policy's vocabulary cannot write %q: %w", what, text, err)
	}
	return ids, nil
}

// slot is where a prompt may ask for the hint.
const slot = "{hint}"

// hinted puts a text into a prompt: where the prompt has {hint}, else before the marker that ends
// it and begins the thought, else at its end.
func (e *Env) hinted(prompt, hint string) string {
	if strings.Contains(prompt, slot) {
		return strings.ReplaceAll(prompt, slot, hint)
	}
	if hint == "" {
		return prompt
	}
	if before, ok := strings.CutSuffix(prompt, e.Markers.Think); ok && e.Markers.Think != "" {
		return before + hint + " " + e.Markers.Think
	}
	return prompt + " " + hint
}

// ask gives a response another prompt: the problem's with a hint in it.
func (r *response) ask(what, template string, v values) error {
	hint, err := r.env.expand(template, v)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	text := r.env.hinted(r.t.Problem.Prompt, hint)
	if text == r.t.Problem.Prompt {
		return nil
	}
	ids, err := r.env.Tokens.Encode(text)
	if err != nil {
		return fmt.Errorf("%s: the policy's vocabulary cannot write the prompt %q: %w", what, text, err)
	}
	r.prompt, r.promptText = ids, text
	return nil
}
