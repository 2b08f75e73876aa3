package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const (
	tokenizerFile = "tokenizer.json"
	configFile    = "tokenizer_config.json"
	wordLevel     = "WordLevel"
	// unknown is the token that the format wants a name for. It is left out of the vocabulary, so
	// that an unknown word is an error for every reader.
	unknown = "<unk>"
)

// addedToken is an entry of added_tokens; a special one is recognised before the text is split.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type typed struct {
	Type string `json:"type"`
}

// file is tokenizer.json of a word-level tokenizer.
type file struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	Added         []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  *typed          `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"` // null: tokens joined with spaces
	Model         struct {
		Type  string `json:"type"`
		Vocab vocab  `json:"vocab"`
		Unk   string `json:"unk_token"`
	} `json:"model"`
}

// vocab is the map of tokens, written in the order of the ids.
type vocab map[string]int32

func (v vocab) MarshalJSON() ([]byte, error) {
	tokens := make([]string, 0, len(v))
	for t := range v {
		tokens = append(tokens, t)
	}
	slices.SortFunc(tokens, func(a, b string) int { return int(v[a] - v[b]) })
	var b bytes.Buffer
	for i, t := range tokens {
		name, err := marshal(t)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%c%s:%d", "{,"[min(i, 1)], name, v[t])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal without the escaping that is meant for HTML: tokens like <think> stay
// readable.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// MarshalJSON is tokenizer.json.
func (w *Words) MarshalJSON() ([]byte, error) {
	null := json.RawMessage("null")
	f := file{Version: "1.0", Truncation: null, Padding: null, Normalizer: null, PostProcessor: null, Decoder: null,
		PreTokenizer: &typed{"WhitespaceSplit"}, Added: []addedToken{}}
	f.Model.Type, f.Model.Unk, f.Model.Vocab = wordLevel, unknown, w.ids
	for _, id := range w.special() {
		f.Added = append(f.Added, addedToken{ID: id, Content: w.tokens[id], Special: true})
	}
	return marshal(f)
}

// config is tokenizer_config.json, as far as it is read and written here.
type config struct {
	Class    string `json:"tokenizer_class"`
	BOS      any    `json:"bos_token"`
	EOS      any    `json:"eos_token"`
	PAD      any    `json:"pad_token"`
	Unk      any    `json:"unk_token"`
	CleanUp  bool   `json:"clean_up_tokenization_spaces"`
	AddBOS   bool   `json:"add_bos_token"`
	AddEOS   bool   `json:"add_eos_token"`
	MaxModel any    `json:"model_max_length,omitempty"` // a whole number, or 1e30 for none
}

// Save writes tokenizer.json and tokenizer_config.json into dir, which must exist. Each appears
// whole or not at all.
func (w *Words) Save(dir string) error {
	text, err := w.MarshalJSON()
	if err != nil {
		return fmt.Errorf("save tokenizer: %w", err)
	}
	name := func(t string) any {
		if t == "" {
			return nil
		}
		return t
	}
	c, err := marshal(config{Class: "PreTrainedTokenizerFast",
		BOS: name(w.roles.BOS), EOS: name(w.roles.EOS), PAD: name(w.roles.PAD)})
	if err != nil {
		return fmt.Errorf("save tokenizer: %w", err)
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{tokenizerFile, text}, {configFile, c}} {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, f.text, "", " "); err != nil {
			return fmt.Errorf("save tokenizer: %w", err)
		}
		pretty.WriteByte('\n')
		if err := replace(filepath.Join(dir, f.name), pretty.Bytes()); err != nil {
			return fmt.Errorf("save tokenizer: %w", err)
		}
	}
	return nil
}

// replace writes a file through a temporary one.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// parseWords reads a word-level tokenizer.json. A setting that would tokenize differently than
// [Words] does is an error.
func parseWords(text []byte, roles Roles) (*Words, error) {
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	if f.PreTokenizer == nil || f.PreTokenizer.Type != "WhitespaceSplit" {
		return nil, errors.New("a word-level tokenizer has to split at blanks (pre_tokenizer WhitespaceSplit)")
	}
	for name, set := range map[string]json.RawMessage{"normalizer": f.Normalizer, "post_processor": f.PostProcessor, "decoder": f.Decoder} {
		if len(set) > 0 && string(set) != "null" {
			return nil, fmt.Errorf("%s is set, which the word-level tokenizer does not support", name)
		}
	}
	byID := map[int32]string{}
	add := func(id int32, token string) error {
		if old, ok := byID[id]; ok && old != token {
			return fmt.Errorf("id %d is both %q and %q", id, old, token)
		}
		byID[id] = token
		return nil
	}
	for t, id := range f.Model.Vocab {
		if err := add(id, t); err != nil {
			return nil, err
		}
	}
	for _, a := range f.Added {
		if err := add(a.ID, a.Content); err != nil {
			return nil, err
		}
		if a.Special && !slices.Contains([]string{roles.BOS, roles.EOS, roles.PAD}, a.Content) {
			roles.Special = append(roles.Special, a.Content)
		}
	}
	tokens := make([]string, len(byID))
	for id, t := range byID {
		if id < 0 || int(id) >= len(tokens) {
			return nil, fmt.Errorf("ids have holes: %q has id %d of %d tokens", t, id, len(tokens))
		}
		tokens[id] = t
	}
	return NewWords(tokens, roles)
}

// readRoles reads tokenizer_config.json, which may be absent.
func readRoles(dir string) (Roles, error) {
	var r Roles
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	} else if err != nil {
		return r, fmt.Errorf("read tokenizer: %w", err)
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(dir, configFile), err)
	}
	r.BOS, r.EOS, r.PAD = tokenName(c.BOS), tokenName(c.EOS), tokenName(c.PAD)
	return r, nil
}

// tokenName reads a token that is either its text or an object with its content.
func tokenName(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		s, _ := v["content"].(string)
		return s
	}
	return ""
}
