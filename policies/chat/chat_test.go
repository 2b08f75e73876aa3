package chat

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reference is a line of testdata/cases.jsonl, which testdata/reference.py wrote.
type reference struct {
	Template string
	Hash     string
	Messages []struct {
		Role, Content string
		Reasoning     string `json:"reasoning_content"`
		ToolCalls     []struct {
			Function struct{ Name, Arguments string }
		} `json:"tool_calls"`
	}
	Tools            []string
	GenerationPrompt bool `json:"generation_prompt"`
	NoThinking       bool `json:"no_thinking"`
	Date             string
	Text             *string
}

func (c reference) conversation() ([]Message, Options) {
	o := Options{GenerationPrompt: c.GenerationPrompt, NoThinking: c.NoThinking, Date: c.Date}
	for _, t := range c.Tools {
		o.Tools = append(o.Tools, json.RawMessage(t))
	}
	var messages []Message
	for _, m := range c.Messages {
		to := Message{Role: m.Role, Content: m.Content, Reasoning: m.Reasoning}
		for _, call := range m.ToolCalls {
			to.ToolCalls = append(to.ToolCalls, ToolCall{call.Function.Name, json.RawMessage(call.Function.Arguments)})
		}
		messages = append(messages, to)
	}
	return messages, o
}

func references(t testing.TB) []reference {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []reference
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c reference
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func TestRenderingsAreThoseOfJinja(t *testing.T) {
	rendered := map[string]int{}
	for i, c := range references(t) {
		tmpl, err := Named(c.Template)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(tmpl.hashes, c.Hash) {
			t.Fatalf("%s: the reference's text has hash %s, known are %v", c.Template, c.Hash, tmpl.hashes)
		}
		messages, o := c.conversation()
		got, err := tmpl.Render(messages, o)
		if c.Text == nil {
			if err == nil {
				t.Errorf("case %d, %s: the template fails, here it gives %q", i, c.Template, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("case %d, %s: %v", i, c.Template, err)
			continue
		}
		if diff := cmp.Diff(*c.Text, got); diff != "" {
			t.Errorf("case %d, %s (-reference +got):\n%s", i, c.Template, diff)
		}
		rendered[c.Template]++
	}
	for _, name := range Names() {
		if rendered[name] < 50 {
			t.Errorf("only %d renderings of %s were compared", rendered[name], name)
		}
	}
}

const chatML = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}" +
	"{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

func TestTemplatesAreFoundInModelDirectories(t *testing.T) {
	quoted, err := json.Marshal(chatML)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		files map[string]string
		err   string
	}{
		{"a file of its own", map[string]string{"chat_template.jinja": chatML + "\n"}, ""},
		{"the file before the config", map[string]string{"chat_template.jinja": chatML, "tokenizer_config.json": `{"chat_template": "x"}`}, ""},
		{"in the config", map[string]string{"tokenizer_config.json": `{"chat_template": ` + string(quoted) + `}`}, ""},
		{"in a list", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": ` + string(quoted) + `}]}`}, ""},
		{"in a list without a default", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "rag", "template": "x"}]}`}, "none of the 1 chat templates is named default"},
		{"a number", map[string]string{"tokenizer_config.json": `{"chat_template": 5}`}, "neither a text nor a list"},
		{"none", map[string]string{"tokenizer_config.json": `{}`}, "has neither chat_template.jinja nor"},
		{"no files", nil, "has neither chat_template.jinja nor"},
		{"unknown", map[string]string{"chat_template.jinja": "{{ messages }}"}, "Let the server render"},
		{"broken", map[string]string{"tokenizer_config.json": `{`}, "tokenizer_config.json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tc.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Load(dir)
			if tc.err == "" {
				if err != nil || got.Name() != "chatml" {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error is %v, want one with %q", err, tc.err)
			}
		})
	}
	if _, err := Find("{{ messages }}"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), Hash("{{ messages }}")) {
		t.Errorf("error is %v, want ErrUnknown and the hash", err)
	}
	if _, err := Named("gemma"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "qwen2.5, qwen2") {
		t.Errorf("error is %v, want ErrUnknown and the names", err)
	}
}

func TestWhatATemplateCannotExpressIsRefused(t *testing.T) {
	user := Message{Role: "user", Content: "hi"}
	call := Message{Role: "assistant", ToolCalls: []ToolCall{{"f", json.RawMessage(`{}`)}}}
	tool := []json.RawMessage{json.RawMessage(`{"name": "f"}`)}
	for _, tc := range []struct {
		name, template string
		messages       []Message
		o              Options
		want           string
	}{
		{"nothing", "qwen3", nil, Options{}, "there is no message"},
		{"an unknown role", "qwen3", []Message{user, {Role: "critic"}}, Options{}, `message 2 has the role "critic"`},
		{"a user that calls", "qwen3", []Message{{Role: "user", ToolCalls: call.ToolCalls}}, Options{}, "message 1 of role user calls tools"},
		{"tools in plain ChatML", "chatml", []Message{user}, Options{Tools: tool}, "no place for tools"},
		{"a call in Qwen 2", "qwen2", []Message{user, call}, Options{}, "message 2: it has no place for tools"},
		{"tools in Llama 3", "llama3", []Message{user}, Options{Tools: tool}, "no place for tools"},
		{"an answer in Llama 3", "llama3", []Message{{Role: "tool"}}, Options{}, "message 1: it has no place for tools"},
		{"two calls at once in Llama 3.1", "llama3.1", []Message{{Role: "assistant", ToolCalls: append(call.ToolCalls, call.ToolCalls...)}}, Options{}, "one tool at a time"},
		{"tools without a message", "llama3.1", []Message{{Role: "system"}}, Options{Tools: tool}, "there is none"},
		{"no date", "llama3.2", []Message{user}, Options{}, "set Options.Date"},
		{"arguments that are no JSON", "qwen3", []Message{{Role: "assistant", ToolCalls: []ToolCall{{"f", json.RawMessage(`{`)}}}}, Options{}, "not a JSON text"},
		{"a tool that is no JSON", "qwen2.5", []Message{user}, Options{Tools: []json.RawMessage{json.RawMessage(`{} {}`)}}, "something follows it"},
		{"a key twice", "qwen2.5", []Message{user}, Options{Tools: []json.RawMessage{json.RawMessage(`{"a":1,"a":2}`)}}, "there twice"},
		{"too deep", "qwen2.5", []Message{user}, Options{Tools: []json.RawMessage{json.RawMessage(strings.Repeat("[", 200) + strings.Repeat("]", 200))}}, "nested deeper"},
		{"too large a number", "qwen2.5", []Message{user}, Options{Tools: []json.RawMessage{json.RawMessage(`1e999`)}}, "beyond the range"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tmpl, err := Named(tc.template)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := tmpl.Render(tc.messages, tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, error is %v, want one with %q", got, err, tc.want)
			}
		})
	}
}

func FuzzPythonJSON(f *testing.F) {
	f.Add(`{"a": [1, 2.50, 1e16, "\u0001\"", null, true, {}, []]}`)
	f.Fuzz(func(t *testing.T, text string) {
		one, err := pythonJSON(json.RawMessage(text), 0)
		if err != nil {
			return
		}
		spread, err := pythonJSON(json.RawMessage(text), 4)
		if err != nil {
			t.Fatal(err)
		}
		back, err := pythonJSON(json.RawMessage(spread), 0)
		if err != nil || back != one {
			t.Fatalf("%q became %q, %q and %q (%v)", text, one, spread, back, err)
		}
	})
}

func ExampleTemplate_Render() {
	t, err := Named("qwen3")
	if err != nil {
		panic(err)
	}
	text, err := t.Render([]Message{{Role: "user", Content: "What is 2+2?"}}, Options{GenerationPrompt: true, NoThinking: true})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(strings.ReplaceAll(text, "\n\n", "\n.\n"))
	// Output:
	// <|im_start|>user
	// What is 2+2?<|im_end|>
	// <|im_start|>assistant
	// <think>
	// .
	// </think>
	// .
}
