package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pith/rollout/engine"
	"pith/trainer/learner"
)

const (
	checkpointsDir = "checkpoints"
	stateFile      = "state.json"
	learnerDir     = "learner"
)

// state is everything beside the learner's own that a run needs to go on after a step.
type state struct {
	Step     int64            `json:"step"`     // the last step that the checkpoint holds
	Consumed int64            `json:"consumed"` // groups of the data taken so far
	Updates  int64            `json:"updates"`  // optimiser steps taken so far
	Policy   engine.PolicyRef `json:"policy"`
	Digest   string           `json:"digest"`
	Method   []byte           `json:"method,omitempty"` // rewards.Method.State
	// Curriculum is the state of the choice of problems.
	Curriculum json.RawMessage `json:"curriculum,omitempty"`
	// Controllers holds the state of reactive schedules by target.
	Controllers map[string]json.RawMessage `json:"controllers,omitempty"`
}

// saver is a tokenizer that can write its files.
type saver interface{ Save(dir string) error }

func checkpointName(step int64) string { return fmt.Sprintf("step-%06d", step) }

// saveCheckpoint writes a checkpoint so that a crash leaves the whole of it or none, and removes
// all but the newest keep.
// vocabulary makes the learner's directory one that other tools can load.
func saveCheckpoint(run string, s state, l learner.Learner, vocabulary saver, keep int) error {
	dir := filepath.Join(run, checkpointsDir)
	tmp := filepath.Join(dir, "."+checkpointName(s.Step)+".tmp")
	fail := func(err error) error {
		return fmt.Errorf("save checkpoint of step %d in %s: %w", s.Step, dir, err)
	}
	if err := os.RemoveAll(tmp); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return fail(err)
	}
	if err := l.Save(filepath.Join(tmp, learnerDir)); err != nil {
		return fail(err)
	}
	if vocabulary != nil {
		if err := vocabulary.Save(filepath.Join(tmp, learnerDir)); err != nil {
			return fail(err)
		}
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fail(err)
	}
	if err := writeFileSync(filepath.Join(tmp, stateFile), text); err != nil {
		return fail(err)
	}
	final := filepath.Join(dir, checkpointName(s.Step))
	if err := os.RemoveAll(final); err != nil {
		return fail(err)
	}
	if err := os.Rename(tmp, final); err != nil {
		return fail(err)
	}
	if err := syncDir(dir); err != nil {
		return fail(err)
	}
	steps, err := listCheckpoints(run)
	if err != nil {
		return fail(err)
	}
	for _, old := range steps[:max(0, len(steps)-keep)] {
		if err := os.RemoveAll(filepath.Join(dir, checkpointName(old))); err != nil {
			return fail(err)
		}
	}
	return nil
}

// listCheckpoints returns the steps that have a complete checkpoint, in rising order.
func listCheckpoints(run string) ([]int64, error) {
	entries, err := os.ReadDir(filepath.Join(run, checkpointsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var steps []int64
	for _, e := range entries {
		var step int64
		if _, err := fmt.Sscanf(e.Name(), "step-%06d", &step); err == nil && e.Name() == checkpointName(step) {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	return steps, nil
}

// loadCheckpoint restores the newest checkpoint into l; ok is false where there is none.
func loadCheckpoint(run string, l learner.Learner) (s state, ok bool, err error) {
	steps, err := listCheckpoints(run)
	if err != nil || len(steps) == 0 {
		return state{}, false, err
	}
	dir := filepath.Join(run, checkpointsDir, checkpointName(steps[len(steps)-1]))
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return state{}, false, fmt.Errorf("checkpoint: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, false, fmt.Errorf("checkpoint %s: %w", filepath.Join(dir, stateFile), err)
	}
	if err := l.Load(filepath.Join(dir, learnerDir)); err != nil {
		return state{}, false, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return s, true, nil
}

// LatestPolicy is the Hugging Face directory of the newest checkpoint of a run.
func LatestPolicy(run string) (string, error) {
	steps, err := listCheckpoints(run)
	if err != nil {
		return "", err
	}
	if len(steps) == 0 {
		return "", fmt.Errorf("%s holds no checkpoint yet", run)
	}
	return filepath.Join(run, checkpointsDir, checkpointName(steps[len(steps)-1]), learnerDir), nil
}

// writeFileSync replaces path so that a crash leaves the old or the new content.
func writeFileSync(path string, text []byte) error {
	tmp := filepath.Join(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+".tmp")
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
