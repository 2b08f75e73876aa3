package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pith/policies/builtin"
	"pith/policies/chat"
	"pith/policies/model"
	"pith/policies/tokenizer"
	"pith/rollout/engine/serve"
	"pith/trainer"
)

// served is a policy to begin with.
type served struct {
	name    string // of the model
	path    string // what clients are told
	version string // of its weights, where it has one
	weights *model.Weights
	tokens  tokenizer.Tokenizer
	eos     []int32
	chat    serve.ChatTemplate // nil where the policy has none that pith knows
}

// source opens what the command line names.
func (f *serveFlags) source(args []string) (served, error) {
	run := f.watch
	switch {
	case f.watch == "" && len(args) == 0:
		return served{}, usagef("pith serve needs a policy: a Hugging Face directory, a run, builtin:NAME, or --watch RUN")
	case f.watch != "" && len(args) > 0:
		return served{}, usagef("give %s or --watch %s, not both", args[0], f.watch)
	case f.logprobs != "raw_logprobs" && f.logprobs != "processed_logprobs":
		return served{}, usagef("--logprobs-mode is %q, want raw_logprobs or processed_logprobs", f.logprobs)
	case f.watch == "":
		if _, err := trainer.ReadManifest(args[0]); err == nil {
			run = args[0]
		}
	}
	if run == "" {
		w, t, err := builtin.Open(args[0])
		if err != nil {
			return served{}, err
		}
		p := served{name: filepath.Base(strings.TrimPrefix(args[0], "builtin:")), path: args[0], weights: w, tokens: t}
		return p, p.complete(args[0])
	}
	m, err := trainer.ReadManifest(run)
	if err != nil {
		return served{}, err
	}
	dir, err := trainer.LatestPolicy(run)
	if err != nil {
		return served{}, err
	}
	w, err := model.Load(dir)
	if err != nil {
		return served{}, err
	}
	_, t, err := builtin.Open(m.Config.Policy.Base)
	if err != nil {
		return served{}, err
	}
	p := served{name: m.Run, path: dir, version: versionOfCheckpoint(dir), weights: w, tokens: t}
	return p, p.complete(m.Config.Policy.Base)
}

// versionOfCheckpoint is the name of the step that a checkpoint holds.
func versionOfCheckpoint(dir string) string { return filepath.Base(filepath.Dir(dir)) }

// complete reads what stands beside the weights of the base policy: the tokens that end a sequence,
// and the chat template. A template that pith does not know is none: chats are then refused.
func (p *served) complete(base string) error {
	p.eos = p.weights.Config.Ends()
	if strings.HasPrefix(base, "builtin:") {
		return nil
	}
	more, err := generationEnds(base)
	if err != nil {
		return err
	}
	for _, id := range more {
		if !slices.Contains(p.eos, id) {
			p.eos = append(p.eos, id)
		}
	}
	if text, err := chat.Text(base); err != nil || text == "" {
		return err
	}
	t, err := chat.Load(base)
	if errors.Is(err, chat.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	p.chat = func(messages []serve.ChatMessage, o serve.ChatOptions) ([]int32, error) {
		return renderChat(t, p.tokens, messages, o)
	}
	return nil
}

// generationEnds are the tokens that end a sequence by generation_config.json, which for chat models
// names the end of a turn, too.
func generationEnds(dir string) ([]int32, error) {
	path := filepath.Join(dir, "generation_config.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var one int32
	var all []int32
	if len(c.EOS) == 0 || string(c.EOS) == "null" {
		return nil, nil
	}
	if json.Unmarshal(c.EOS, &one) == nil {
		return []int32{one}, nil
	}
	if err := json.Unmarshal(c.EOS, &all); err != nil {
		return nil, fmt.Errorf("%s: eos_token_id: %w", path, err)
	}
	return all, nil
}

// renderChat is a conversation as the model's template writes it.
func renderChat(t *chat.Template, tok tokenizer.Tokenizer, messages []serve.ChatMessage, o serve.ChatOptions) ([]int32, error) {
	if o.Continue {
		return nil, errors.New("continue_final_message is not supported; render the conversation yourself and send token ids to /v1/completions")
	}
	opts := chat.Options{GenerationPrompt: o.GenerationPrompt, Date: time.Now().Format("02 Jan 2006")}
	for name, v := range o.Kwargs {
		thinking, ok := v.(bool)
		if name != "enable_thinking" || !ok {
			return nil, fmt.Errorf("chat_template_kwargs: %s is not known, only enable_thinking (true or false)", name)
		}
		opts.NoThinking = !thinking
	}
	turns := make([]chat.Message, len(messages))
	for i, m := range messages {
		turns[i] = chat.Message{Role: m.Role, Content: m.Content}
	}
	text, err := t.Render(turns, opts)
	if err != nil {
		return nil, err
	}
	return tok.Encode(text)
}
