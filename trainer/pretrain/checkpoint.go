package pretrain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pith/policies/model"
	"pith/trainer/learner/local"
)

const (
	runFile    = "pretrain.json"
	learnerDir = "learner"
)

// identity is what two runs must share for one to go on where the other stopped.
type identity struct {
	Config  Config       `json:"config"`
	Model   model.Config `json:"model"`
	Initial string       `json:"initial"` // digest of the weights before the first step
}

// checkpoint is the directory of a run; the zero value keeps nothing.
type checkpoint struct{ dir string }

// open makes the directory of a run or checks that the one that exists is of the same run.
func open(dir string, w *model.Weights, c Config) (checkpoint, error) {
	if dir == "" {
		return checkpoint{}, nil
	}
	id := identity{Config: c, Model: w.Config, Initial: w.Digest()}
	id.Config.MaxTokens, id.Config.CheckpointEvery = 0, 0 // without influence on the result
	want, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return checkpoint{}, err
	}
	path := filepath.Join(dir, runFile)
	switch got, err := os.ReadFile(path); {
	case err == nil && string(got) != string(want):
		return checkpoint{}, fmt.Errorf("%s is of a run with other settings or initial weights; remove %s or choose another directory", path, dir)
	case err == nil:
		return checkpoint{dir: dir}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return checkpoint{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return checkpoint{}, err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, want, 0o644); err != nil {
		return checkpoint{}, err
	}
	return checkpoint{dir: dir}, os.Rename(tmp, path)
}

// load restores the learner where there is something to restore.
func (c checkpoint) load(l *local.Learner) error {
	if c.dir == "" {
		return nil
	}
	dir := filepath.Join(c.dir, learnerDir)
	for _, d := range []string{dir, dir + ".old"} {
		if _, err := os.Stat(d); err == nil {
			return l.Load(dir)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// save keeps the learner's state, and with it the number of steps taken.
func (c checkpoint) save(l *local.Learner) error {
	if c.dir == "" {
		return nil
	}
	return l.Save(filepath.Join(c.dir, learnerDir))
}
