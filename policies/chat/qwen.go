package chat

import (
	"encoding/json"
	"strings"
)

const (
	imStart, imEnd = "<|im_start|>", "<|im_end|>\n"
	thinkStart     = "<think>"
	thinkEnd       = "</think>"
)

// turn writes a ChatML turn.
func (r *renderer) turn(role, content string) { r.write(imStart, role, "\n", content, imEnd) }

// open writes the beginning of the assistant's turn where it is asked for.
func (r *renderer) open() {
	if r.o.GenerationPrompt {
		r.write(imStart, "assistant\n")
	}
}

func renderChatML(r *renderer) {
	r.plain()
	r.open()
}

func renderQwen2(r *renderer) {
	if r.messages[0].Role != "system" {
		r.turn("system", "You are a helpful assistant.")
	}
	renderChatML(r)
}

// plain writes every message as it is; the templates that use it know no tools.
func (r *renderer) plain() {
	if len(r.o.Tools) > 0 {
		r.fail("it has no place for tools")
	}
	for i, m := range r.messages {
		if len(m.ToolCalls) > 0 || m.Role == "tool" {
			r.fail("message %d: it has no place for tools", i+1)
		}
		r.turn(m.Role, m.Content)
	}
}

// qwenTools writes the system message with the tools in it.
func (r *renderer) qwenTools(system string) {
	r.write(imStart, "system\n", system, "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n",
		"You are provided with function signatures within <tools></tools> XML tags:\n<tools>")
	for _, t := range r.o.Tools {
		r.write("\n", r.json(t, 0))
	}
	r.write("\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n",
		"<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>", imEnd)
}

// answer writes what a tool said. Answers that follow each other share one turn of the user.
func (r *renderer) answer(i int) {
	tool := func(i int) bool { return i >= 0 && i < len(r.messages) && r.messages[i].Role == "tool" }
	if !tool(i - 1) {
		r.write(imStart, "user")
	}
	r.write("\n<tool_response>\n", r.messages[i].Content, "\n</tool_response>")
	if !tool(i + 1) {
		r.write(imEnd)
	}
}

// call writes a tool call; arguments is its JSON text.
func (r *renderer) call(name, arguments string) {
	r.write("<tool_call>\n{\"name\": \"", name, "\", \"arguments\": ", arguments, "}\n</tool_call>")
}

func renderQwen25(r *renderer) {
	system, own := "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", r.messages[0].Role == "system"
	if own {
		system = r.messages[0].Content
	}
	if len(r.o.Tools) > 0 {
		r.qwenTools(system + "\n\n")
	} else {
		r.turn("system", system)
	}
	for i, m := range r.messages {
		switch {
		case m.Role == "system" && i == 0:
		case m.Role == "tool":
			r.answer(i)
		case len(m.ToolCalls) == 0:
			r.turn(m.Role, m.Content)
		default:
			r.write(imStart, m.Role)
			if m.Content != "" {
				r.write("\n", m.Content)
			}
			for _, c := range m.ToolCalls {
				r.write("\n")
				r.call(c.Name, r.json(c.Arguments, 0))
			}
			r.write(imEnd)
		}
	}
	r.open()
}

func renderQwen3(r *renderer) {
	own := r.messages[0].Role == "system"
	switch {
	case len(r.o.Tools) > 0 && own:
		r.qwenTools(r.messages[0].Content + "\n\n")
	case len(r.o.Tools) > 0:
		r.qwenTools("")
	case own:
		r.turn("system", r.messages[0].Content)
	}
	// Thinking is kept after the last thing that the user asked; answers of tools are no question.
	last := len(r.messages) - 1
	for i, m := range r.messages {
		if m.Role == "user" && !(strings.HasPrefix(m.Content, "<tool_response>") && strings.HasSuffix(m.Content, "</tool_response>")) {
			last = i
		}
	}
	for i, m := range r.messages {
		switch {
		case m.Role == "system" && i == 0:
		case m.Role == "tool":
			r.answer(i)
		case m.Role == "assistant":
			r.qwen3Assistant(m, i > last, i == len(r.messages)-1)
		default:
			r.turn(m.Role, m.Content)
		}
	}
	if r.open(); r.o.GenerationPrompt && r.o.NoThinking {
		r.write(thinkStart, "\n\n", thinkEnd, "\n\n")
	}
}

func (r *renderer) qwen3Assistant(m Message, current, final bool) {
	content, thought := m.Content, m.Reasoning
	if thought == "" {
		if i := strings.LastIndex(content, thinkEnd); i >= 0 {
			thought, _, _ = strings.Cut(content, thinkEnd)
			thought = strings.TrimRight(thought, "\n")
			if k := strings.LastIndex(thought, thinkStart); k >= 0 {
				thought = thought[k+len(thinkStart):]
			}
			thought = strings.TrimLeft(thought, "\n")
			content = strings.TrimLeft(content[i+len(thinkEnd):], "\n")
		}
	}
	r.write(imStart, "assistant\n")
	if current && (final || thought != "") {
		r.write(thinkStart, "\n", strings.Trim(thought, "\n"), "\n", thinkEnd, "\n\n", strings.TrimLeft(content, "\n"))
	} else {
		r.write(content)
	}
	for i, c := range m.ToolCalls {
		if i > 0 || content != "" {
			r.write("\n")
		}
		var written string
		if json.Unmarshal(c.Arguments, &written) != nil || len(c.Arguments) == 0 || c.Arguments[0] != '"' {
			written = r.json(c.Arguments, 0)
		}
		r.call(c.Name, written)
	}
	r.write(imEnd)
}
