package foreign

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pith/traces"
)

// Rule estimates how many tokens a text has. The result is an estimate under any rule: without the
// sampler's tokenizer nothing else is honest, and every trace that is counted so says it.
type Rule struct {
	Name  string
	About string
	Count func(text string) int
}

// Rules are the counting rules; the first is the default.
var Rules = []Rule{
	{"pieces", `matches of \p{L}+|\p{N}+|[^\s\p{L}\p{N}]: words, numbers and single marks`, pieces},
	{"words", "runs of anything but white space", func(text string) int { return len(strings.Fields(text)) }},
	{"bytes/4", "a quarter of the UTF-8 bytes, rounded up", func(text string) int { return (len(text) + 3) / 4 }},
}

// RuleNamed finds a rule; "" is the default.
func RuleNamed(name string) (Rule, error) {
	if name == "" {
		return Rules[0], nil
	}
	var names []string
	for _, r := range Rules {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Rule{}, fmt.Errorf("no counting rule %q; known: %s", name, strings.Join(names, ", "))
}

func pieces(text string) int {
	n := 0
	var last rune // class of the previous character: letter, number, or none
	for _, c := range text {
		class := rune(0)
		switch {
		case unicode.IsLetter(c):
			class = 'l'
		case unicode.IsNumber(c):
			class = 'n'
		case unicode.IsSpace(c):
			last = 0
			continue
		}
		if class == 0 || class != last {
			n++
		}
		last = class
	}
	return n
}

// piece is a stretch of a response of one kind.
type piece struct {
	kind traces.SegmentKind
	text string
	call *traces.ToolCall // where the stretch is a call
}

// split cuts a response at the end of its thinking, and where calculator is set around <<…>>.
func split(text string, calculator bool) []piece {
	var out []piece
	kind := traces.Answer
	if before, after, ok := strings.Cut(text, "</think>"); ok {
		out = append(out, around(before+"</think>", traces.Think, calculator)...)
		text = after
	} else if strings.HasPrefix(strings.TrimSpace(text), "<think>") {
		kind = traces.Think // cut off while thinking
	}
	return append(out, around(text, kind, calculator)...)
}

// around cuts at <<expression=result>>, the calculator annotations of GSM8K (Cobbe et al. 2021,
// arXiv 2110.14168: an "=" makes the sampler call a calculator, whose result replaces what the model
// would have written).
func around(text string, kind traces.SegmentKind, calculator bool) []piece {
	var out []piece
	for calculator {
		from := strings.Index(text, "<<")
		if from < 0 {
			break
		}
		length := strings.Index(text[from:], ">>")
		if length < 0 {
			break
		}
		if inner := strings.LastIndex(text[from:from+length], "<<"); inner > 0 {
			from, length = from+inner, length-inner // an opening that is never closed is text
		}
		end := from + length + 2
		expression, result, _ := strings.Cut(text[from+2:end-2], "=")
		out = append(out, piece{kind: kind, text: text[:from]}, piece{
			kind: traces.ToolCallBy, text: text[from:end],
			call: &traces.ToolCall{Name: "calculator", Arguments: expression, Result: result},
		})
		text = text[end:]
	}
	return append(out, piece{kind: kind, text: text})
}

// messages reads a chat: what the assistant said is sampled, tool results and other roles are not.
func messages(r *record, source string, list []any) ([]piece, error) {
	var out []piece
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", source, i)
		message, ok := item.(map[string]any)
		if !ok {
			return nil, r.fault(at, "want a message, got %s", kindOf(item))
		}
		role, _ := message["role"].(string)
		content, err := contentOf(r, at+".content", message["content"])
		if err != nil {
			return nil, err
		}
		switch role {
		case "assistant":
			if thought, ok := message["reasoning_content"].(string); ok && thought != "" {
				out = append(out, piece{kind: traces.Think, text: thought})
			}
			out = append(out, split(content, false)...)
			calls, err := callsOf(r, at+".tool_calls", message["tool_calls"])
			if err != nil {
				return nil, err
			}
			out = append(out, calls...)
		case "tool":
			for j := range slices.Backward(out) {
				if c := out[j].call; c != nil && c.Result == "" {
					c.Result = content
					break
				}
			}
			out = append(out, piece{kind: traces.ToolResult, text: content})
		case "user", "system", "developer":
			out = append(out, piece{kind: traces.Injected, text: content})
		default:
			return nil, r.fault(at+".role", "want assistant, tool, user or system, got %s", kindOf(message["role"]))
		}
	}
	return out, nil
}

// contentOf reads a message's content: a text, nothing, or a list of parts with a text each.
func contentOf(r *record, at string, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []any:
		var b strings.Builder
		for _, part := range v {
			if o, ok := part.(map[string]any); ok {
				text, _ := o["text"].(string)
				b.WriteString(text)
			}
		}
		return b.String(), nil
	}
	return "", r.fault(at, "want a text, got %s", kindOf(v))
}

func callsOf(r *record, at string, v any) ([]piece, error) {
	list, ok := v.([]any)
	if v != nil && !ok {
		return nil, r.fault(at, "want a list, got %s", kindOf(v))
	}
	var out []piece
	for i, item := range list {
		call, ok := item.(map[string]any)
		if !ok {
			return nil, r.fault(fmt.Sprintf("%s[%d]", at, i), "want an object, got %s", kindOf(item))
		}
		if f, ok := call["function"].(map[string]any); ok {
			call = f
		}
		name, _ := call["name"].(string)
		arguments, _ := plain(call["arguments"])
		out = append(out, piece{kind: traces.ToolCallBy, text: name + "(" + arguments + ")", call: &traces.ToolCall{Name: name, Arguments: arguments}})
	}
	return out, nil
}

// valid makes text fit for a Parquet string column.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
