// Package tokenizer turns text into token ids and back, for policies whose tokenizer lies beside
// their weights as Hugging Face files.
//
// What lives here: the [Tokenizer] interface, the word-level tokenizer of policies with a small
// vocabulary of their own ([Words]), the byte-level BPE of the Qwen and Llama 3 families ([BPE]), and
// decoding of streams ([Decoder]). What does not: which words a task has (datasets), prompts, and
// chat templates (policies/chat). Token ids that an engine sampled are never re-tokenised; decoding is for
// graders and for people.
package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Tokenizer is safe for concurrent use.
type Tokenizer interface {
	// Encode returns the ids of text. It adds no tokens of its own. Text that the vocabulary cannot
	// express is an error.
	Encode(text string) ([]int32, error)
	// Decode returns the text of ids. An id outside the vocabulary reads as <?id>.
	Decode(ids []int32) string
	// ID is the id of a token by its text.
	ID(token string) (int32, bool)
	// Token is the text of a token, <?id> outside the vocabulary.
	Token(id int32) string
	VocabSize() int
}

// MaxFile is the largest tokenizer.json that Load reads.
const MaxFile = 64 << 20

// Load reads the tokenizer of a Hugging Face directory.
func Load(dir string) (Tokenizer, error) {
	path := filepath.Join(dir, tokenizerFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s", dir, tokenizerFile)
	} else if err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	if info.Size() > MaxFile {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", path, info.Size(), MaxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	roles, err := readRoles(dir)
	if err != nil {
		return nil, err
	}
	t, err := Parse(text, roles)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if b, ok := t.(*BPE); ok {
		if err := b.keepCompanions(dir); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Parse reads the text of a tokenizer.json. Roles name the tokens that tokenizer_config.json gives
// a part to; the zero value is fine.
func Parse(text []byte, roles Roles) (Tokenizer, error) {
	var kind struct {
		Model struct {
			Type string `json:"type"`
		} `json:"model"`
	}
	if err := json.Unmarshal(text, &kind); err != nil {
		return nil, err
	}
	switch kind.Model.Type {
	case wordLevel:
		return parseWords(text, roles)
	case bytePair:
		return parseBPE(text, roles)
	default:
		return nil, fmt.Errorf("tokenizer model %q is not supported; %s and byte-level %s are; tokenize on the server instead", kind.Model.Type, wordLevel, bytePair)
	}
}
