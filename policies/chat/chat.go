// Package chat renders conversations into the text that a model was trained on, for the chat templates
// of Qwen 2, 2.5 and 3 and of Llama 3, 3.1, 3.2 and 3.3.
//
// What lives here: [Template], found by the hash of its Jinja text ([Find], [Load]) or by name
// ([Named]). What does not: an interpreter of Jinja. A template with another hash is refused, never
// guessed at; the way out is to let the server render, through its own tokenizer endpoint.
//
// The text holds special tokens already, beginning-of-text included where the template has it, so it
// is encoded as it is, with no token added. Of a conversation that goes on, append the ids of what is
// new: rendering it anew may change what came before (Qwen 3 drops the thinking of earlier turns).
package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Message is one turn.
type Message struct {
	Role      string // system, user, assistant or tool
	Content   string
	Reasoning string // of an assistant, kept apart from Content; Qwen 3 renders it
	ToolCalls []ToolCall
}

// ToolCall is a call that an assistant made. Arguments is JSON: an object, or a string that holds what
// the model wrote.
type ToolCall struct {
	Name      string
	Arguments json.RawMessage
}

// Options are what a template takes beside the messages.
type Options struct {
	Tools            []json.RawMessage // function schemas, each a JSON object
	GenerationPrompt bool              // end with the beginning of the assistant's turn
	NoThinking       bool              // enable_thinking=false: Qwen 3 begins with an empty thought
	Date             string            // today, as in 26 Jul 2024; Llama 3.2 needs it, 3.1 and 3.3 have a default
}

// Template is a renderer of one family. It is immutable.
type Template struct {
	name   string
	hashes []string // SHA-256 of the Jinja texts that render alike
	render func(*renderer)
}

// ErrUnknown is wrapped by errors about a template that is not known.
var ErrUnknown = errors.New("unknown chat template")

// templates is every template, by family.
var templates = []*Template{
	{"qwen3", []string{"87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5"}, renderQwen3},
	{"qwen2.5", []string{"55b2f4a26ac9ee719330a61a0c39d9e538b0e9322212f048326318cff4f8674a"}, renderQwen25},
	// These two are written down in testdata/reference.py, with line ends as escapes and as themselves.
	// If Qwen 2's published file has another text, it is refused.
	{"qwen2", []string{"f0206845c9ebc3abb4735d44f286eb81ce99238ad2accc710c6fc60e6cb8ccc8",
		"793202280c0910ab26bc6eb57c8212c2417324c6d8c4efd0d10d59092ab3e3eb"}, renderQwen2},
	{"chatml", []string{"fcf7a096fe99a48fd9ad2b250bf9237e96e8f48bffec1c7ea4d3f225176cd40e",
		"153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3"}, renderChatML},
	{"llama3", []string{"ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122"}, renderLlama3},
	// The first files of Llama 3 begin the assistant's turn whether they are asked to or not.
	{"llama3-open", []string{"b48c47f6443892716176eb200bf4ef108f64e06ca26ed0fa8ebc0a4b3992fcb2"}, renderLlama3Open},
	{"llama3.1", []string{"93c0e9aa3629bbd77e68dbc0f5621f6e6b23aa8d74b932595cdb8d64684526d7"}, renderLlama31},
	{"llama3.2", []string{"d82792f95932f1c9cef5c4bd992f171225e3bf8c7b609b4557c9e1ec96be819f"}, renderLlama32},
}

// Name is the family that the template is of.
func (t *Template) Name() string { return t.name }

// Names lists the templates.
func Names() []string {
	var names []string
	for _, t := range templates {
		names = append(names, t.name)
	}
	return names
}

// Named returns the template of a family. It is for callers who know what a model was trained on; a
// model's own file says it better, see [Load].
func Named(name string) (*Template, error) {
	i := slices.IndexFunc(templates, func(t *Template) bool { return t.name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w %q; known: %s", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	return templates[i], nil
}

// Hash identifies a Jinja text: the hex SHA-256 of it without the line end at its end, which Jinja does
// not render.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(strings.TrimSuffix(text, "\n")))
	return hex.EncodeToString(sum[:])
}

// Find returns the template whose Jinja text this is.
func Find(text string) (*Template, error) {
	hash := Hash(text)
	for _, t := range templates {
		if slices.Contains(t.hashes, hash) {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w (sha256 %s, %d bytes); known: %s. Let the server render (its tokenizer endpoint takes messages), or name the family if the model was trained on one of these",
		ErrUnknown, hash, len(text), strings.Join(Names(), ", "))
}

// maxFile bounds what Load reads.
const maxFile = 16 << 20

// Text returns the Jinja text of a Hugging Face directory: chat_template.jinja, or chat_template of
// tokenizer_config.json, in a list the one named default. It is "" where there is none.
func Text(dir string) (string, error) {
	b, err := read(filepath.Join(dir, "chat_template.jinja"))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return string(b), err
	}
	path := filepath.Join(dir, "tokenizer_config.json")
	if b, err = read(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	var c struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if len(c.Template) == 0 || string(c.Template) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(c.Template, &text) == nil {
		return text, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(c.Template, &list); err != nil {
		return "", fmt.Errorf("%s: chat_template is neither a text nor a list of named ones: %w", path, err)
	}
	for _, t := range list {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", fmt.Errorf("%s: none of the %d chat templates is named default", path, len(list))
}

// Load returns the template of a Hugging Face directory.
func Load(dir string) (*Template, error) {
	text, err := Text(dir)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	if text == "" {
		return nil, fmt.Errorf("%w: %s has neither chat_template.jinja nor a chat_template in tokenizer_config.json; known by name: %s",
			ErrUnknown, dir, strings.Join(Names(), ", "))
	}
	t, err := Find(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return t, nil
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// Render returns the text of a conversation. What the template cannot express is an error.
func (t *Template) Render(messages []Message, o Options) (string, error) {
	if len(messages) == 0 {
		return "", fmt.Errorf("chat template %s: there is no message", t.name)
	}
	r := &renderer{messages: messages, o: o}
	for i, m := range messages {
		if !slices.Contains([]string{"system", "user", "assistant", "tool"}, m.Role) {
			r.fail("message %d has the role %q, not system, user, assistant or tool", i+1, m.Role)
		}
		if len(m.ToolCalls) > 0 && m.Role != "assistant" {
			r.fail("message %d of role %s calls tools", i+1, m.Role)
		}
	}
	if r.err == nil {
		t.render(r)
	}
	if r.err != nil {
		return "", fmt.Errorf("chat template %s: %w", t.name, r.err)
	}
	return r.out.String(), nil
}

// renderer is one rendering. After the first error it writes what does not matter.
type renderer struct {
	messages []Message
	o        Options
	out      strings.Builder
	err      error
}

func (r *renderer) write(parts ...string) {
	for _, p := range parts {
		r.out.WriteString(p)
	}
}

func (r *renderer) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// json is a JSON text as Jinja's tojson writes it there; indent is the number of blanks of a level, 0
// for one line.
func (r *renderer) json(text json.RawMessage, indent int) string {
	s, err := pythonJSON(text, indent)
	if err != nil {
		r.fail("%w", err)
	}
	return s
}
