package chat

import (
	"encoding/json"
	"strings"
	"unicode"
)

const (
	beginOfText = "<|begin_of_text|>"
	endOfTurn   = "<|eot_id|>"
)

// trim removes white space at both ends as Python's str.strip does, which counts the four ASCII
// separators among it.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}

// header writes the beginning of a turn.
func (r *renderer) header(role string) { r.write("<|start_header_id|>", role, "<|end_header_id|>\n\n") }

// llama writes every message as it is.
func (r *renderer) llama() {
	if len(r.o.Tools) > 0 {
		r.fail("it has no place for tools")
	}
	r.write(beginOfText)
	for i, m := range r.messages {
		if len(m.ToolCalls) > 0 || m.Role == "tool" {
			r.fail("message %d: it has no place for tools", i+1)
		}
		r.header(m.Role)
		r.write(trim(m.Content), endOfTurn)
	}
}

func renderLlama3(r *renderer) {
	r.llama()
	if r.o.GenerationPrompt {
		r.header("assistant")
	}
}

func renderLlama3Open(r *renderer) {
	r.llama()
	r.header("assistant")
}

func renderLlama31(r *renderer) {
	date := r.o.Date
	if date == "" {
		date = "26 Jul 2024" // the template's own default
	}
	r.llama31(date)
}

func renderLlama32(r *renderer) {
	if r.o.Date == "" {
		r.fail("it states today's date; set Options.Date, as in 26 Jul 2024")
	}
	r.llama31(r.o.Date)
}

func (r *renderer) llama31(date string) {
	rest, system := r.messages, ""
	if rest[0].Role == "system" {
		system, rest = trim(rest[0].Content), rest[1:]
	}
	r.write(beginOfText)
	r.header("system")
	if len(r.o.Tools) > 0 {
		r.write("Environment: ipython\n")
	}
	r.write("Cutting Knowledge Date: December 2023\nToday Date: ", date, "\n\n", system, endOfTurn)
	if len(r.o.Tools) > 0 {
		if len(rest) == 0 {
			r.fail("tools stand in the first message after the system's, and there is none")
			return
		}
		r.header("user")
		r.write("Given the following functions, please respond with a JSON for a function call ",
			"with its proper arguments that best answers the given prompt.\n\n",
			`Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.`,
			"Do not use variables.\n\n")
		for _, t := range r.o.Tools {
			r.write(r.json(t, 4), "\n\n")
		}
		r.write(trim(rest[0].Content), endOfTurn)
		rest = rest[1:]
	}
	for _, m := range rest {
		switch {
		case len(m.ToolCalls) > 1:
			r.fail("the model calls one tool at a time, not %d", len(m.ToolCalls))
		case len(m.ToolCalls) == 1:
			c := m.ToolCalls[0]
			r.header("assistant")
			r.write(`{"name": "`, c.Name, `", "parameters": `, r.json(c.Arguments, 0), "}", endOfTurn)
		case m.Role == "tool":
			quoted, err := json.Marshal(m.Content)
			if err != nil {
				r.fail("%w", err)
			}
			r.header("ipython")
			r.write(r.json(quoted, 0), endOfTurn)
		default:
			r.header(m.Role)
			r.write(trim(m.Content), endOfTurn)
		}
	}
	if r.o.GenerationPrompt {
		r.header("assistant")
	}
}
