// Package builtin opens policies by name: a Hugging Face directory, or one that ships with pith.
package builtin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pith/configs"
	"pith/policies/model"
	"pith/policies/tokenizer"
)

// Open loads a Hugging Face directory, or a policy that ships with pith.
func Open(base string) (*model.Weights, tokenizer.Tokenizer, error) {
	dir := base
	if name, ok := strings.CutPrefix(base, "builtin:"); ok {
		files, err := configs.BasePolicy(name)
		if err != nil {
			return nil, nil, err
		}
		if dir, err = os.MkdirTemp("", "pith-policy-"); err != nil {
			return nil, nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := os.CopyFS(dir, files); err != nil {
			return nil, nil, fmt.Errorf("unpack %s: %w", base, err)
		}
	} else if _, err := os.Stat(filepath.Join(dir, "config.json")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s is not a Hugging Face directory (no config.json); give one, or builtin: and one of %s", base, strings.Join(configs.BasePolicies(), ", "))
	}
	w, err := model.Load(dir)
	if err != nil {
		return nil, nil, err
	}
	t, err := tokenizer.Load(dir)
	if err != nil {
		return nil, nil, err
	}
	if t.VocabSize() > w.Config.VocabSize {
		return nil, nil, fmt.Errorf("%s: the tokenizer has %d tokens, the model only %d", base, t.VocabSize(), w.Config.VocabSize)
	}
	return w, t, nil
}
