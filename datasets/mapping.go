package datasets

import (
	"fmt"
	"strings"
)

// mapping makes problems of rows.
type mapping struct {
	fields   Fields
	given    Fields // those of fields that the user named: absence is an error there
	template string
}

// question is a row's question before the template.
type question struct {
	text   string
	system string
}

// problem maps a row. The id and the data set's name are the caller's to set where the row has none.
func (m mapping) problem(r record) (Problem, string, error) {
	q, err := m.question(r)
	if err != nil {
		return Problem{}, "", err
	}
	answer, err := m.answer(r)
	if err != nil {
		return Problem{}, "", err
	}
	p := Problem{Answer: answer, Prompt: m.prompt(q)}
	if err := m.optional(r, &p); err != nil {
		return Problem{}, "", err
	}
	return p, q.text, nil
}

// prompt fills the template in one pass, so that marks inside a question stay as they are.
func (m mapping) prompt(q question) string {
	if q.system != "" && !strings.Contains(m.template, systemMark) {
		q.text = q.system + "\n\n" + q.text
	}
	return strings.NewReplacer(questionMark, q.text, systemMark, q.system).Replace(m.template)
}

func (m mapping) question(r record) (question, error) {
	v, ok := r.find(m.fields.Question)
	if !ok {
		return question{}, missing(r, "question", m.fields.Question)
	}
	var q question
	if messages, chat := v.([]any); chat {
		var err error
		if q, err = fromChat(messages); err != nil {
			return question{}, fmt.Errorf("field %q: %w", m.fields.Question, err)
		}
	} else if q.text, ok = text(v); !ok {
		return question{}, fmt.Errorf("field %q is a %s: a question must be text or a list of chat messages", m.fields.Question, kind(v))
	}
	if q.text = strings.TrimSpace(q.text); q.text == "" {
		return question{}, fmt.Errorf("field %q is empty", m.fields.Question)
	}
	if m.fields.Context != "" {
		if v, ok := r.find(m.fields.Context); ok {
			context, ok := text(v)
			if !ok {
				return question{}, fmt.Errorf("field %q is a %s: a context must be text", m.fields.Context, kind(v))
			}
			q.text = join(context, q.text)
		} else if m.given.Context != "" {
			return question{}, missing(r, "context", m.fields.Context)
		}
	}
	return q, nil
}

// join puts a context before a question as two sentences.
func join(context, question string) string {
	context = strings.TrimSpace(context)
	switch {
	case context == "":
		return question
	case strings.ContainsAny(context[len(context)-1:], ".?!:;"):
		return context + " " + question
	default:
		return context + ". " + question
	}
}

// fromChat reads system and user messages. A conversation with assistant turns is more than one
// question and is refused.
func fromChat(messages []any) (question, error) {
	var q question
	for i, m := range messages {
		message, ok := m.(map[string]any)
		if !ok {
			return q, fmt.Errorf("chat message %d is a %s: it must have role and content", i+1, kind(m))
		}
		role, _ := message["role"].(string)
		content, ok := message["content"].(string)
		if !ok {
			return q, fmt.Errorf("chat message %d has no text under content", i+1)
		}
		switch role {
		case "system", "developer":
			q.system = paragraphs(q.system, content)
		case "user":
			q.text = paragraphs(q.text, content)
		default:
			return q, fmt.Errorf("chat message %d has the role %q: only system and user messages make a single question", i+1, role)
		}
	}
	return q, nil
}

func paragraphs(a, b string) string {
	if a == "" {
		return b
	}
	return a + "\n\n" + b
}

func (m mapping) answer(r record) (string, error) {
	path := m.fields.Answer
	v, ok := r.find(path)
	if !ok {
		return "", missing(r, "answer", path)
	}
	s, ok := text(v)
	if !ok {
		return "", fmt.Errorf("field %q is a %s: an answer must be text, a number, or a list of one", path, kind(v))
	}
	switch rule := m.fields.AnswerRule; {
	case rule == ruleBoxed:
		if s, ok = boxed(s); !ok {
			return "", fmt.Errorf(`field %q holds no \boxed{…}: set fields.answer or fields.answer_rule`, path)
		}
	case strings.HasPrefix(rule, ruleAfter):
		mark := strings.TrimPrefix(rule, ruleAfter)
		if s, ok = after(s, mark); !ok {
			return "", fmt.Errorf("field %q has nothing after %q: set fields.answer or fields.answer_rule", path, mark)
		}
	}
	if s = strings.TrimSpace(s); s == "" {
		return "", fmt.Errorf("field %q is empty", path)
	}
	return s, nil
}

// optional reads what a problem may do without. A field that the shape merely suggests may be
// absent or unreadable; one that the user named may not.
func (m mapping) optional(r record, p *Problem) error {
	for _, f := range []struct {
		name, path, given string
		read              func(v any) bool
		want              string
	}{
		{"id", m.fields.ID, m.given.ID, func(v any) (ok bool) { p.ID, ok = text(v); return ok && p.ID != "" }, "text or a number"},
		{"level", m.fields.Level, m.given.Level, func(v any) (ok bool) { p.Level, ok = level(v); return ok }, `a whole number, or text that ends in one such as "Level 5"`},
		{"reference_accuracy", m.fields.ReferenceAccuracy, m.given.ReferenceAccuracy, func(v any) bool {
			x, ok := float(v)
			if ok = ok && x >= 0 && x <= 1; ok {
				p.ReferenceAccuracy = &x
			}
			return ok
		}, "a number from 0 to 1"},
		{"reference_tokens", m.fields.ReferenceTokens, m.given.ReferenceTokens, func(v any) bool {
			x, ok := float(v)
			if ok = ok && x >= 0; ok {
				p.ReferenceTokens = x
			}
			return ok
		}, "a number ≥ 0"},
		{"token_budget", m.fields.TokenBudget, m.given.TokenBudget, func(v any) bool {
			x, ok := level(v)
			if ok {
				p.TokenBudget = x
			}
			return ok
		}, "a whole number ≥ 0"},
	} {
		if f.path == "" {
			continue
		}
		v, found := r.find(f.path)
		switch {
		case !found && f.given != "":
			return missing(r, f.name, f.path)
		case found && !f.read(v) && f.given != "":
			return fmt.Errorf("field %q is no %s: it must be %s", f.path, f.name, f.want)
		}
	}
	return nil
}

func missing(r record, what, path string) error {
	return fmt.Errorf("no field %q for the %s; the row has %s", path, what, strings.Join(r.keys(), ", "))
}

// kind names a value's type for a reader of error messages.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string, []byte:
		return "text"
	case bool:
		return "truth value"
	case []any:
		return fmt.Sprintf("list of %d", len(v))
	case map[string]any:
		return "group of fields"
	default:
		return "number"
	}
}

// normal is a question's text as duplicates share it: blanks collapsed.
func normal(s string) string { return strings.Join(strings.Fields(s), " ") }
