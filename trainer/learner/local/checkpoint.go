package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"pith/policies/model"
	"pith/policies/model/safetensors"
	"pith/rollout/engine"
)

// A checkpoint is a Hugging Face directory, which any tool can load, with one file more: the
// moments of the optimiser as safetensors, with its counter, the name of the policy and the
// digest of the weights they belong to in the metadata.
const optimizerFile = "optimizer.safetensors"

const (
	metaUpdates = "pith.updates"
	metaPolicy  = "pith.policy"
	metaStep    = "pith.policy_step"
	metaDigest  = "pith.digest"
	metaKind    = "pith.optimizer"
	kindAdamW   = "adamw"
)

// Save implements learner.Learner. dir appears whole or not at all; where it existed, a crash
// between two renames leaves the old content beside it under dir.old, which Load then reads.
func (l *Learner) Save(dir string) error {
	fail := func(err error) error { return fmt.Errorf("local learner: save %s: %w", dir, err) }
	tmp, old := dir+".tmp", dir+".old"
	if err := os.RemoveAll(tmp); err != nil {
		return fail(err)
	}
	if err := l.weights.Save(tmp); err != nil {
		return fail(err)
	}
	if err := l.saveOptimizer(filepath.Join(tmp, optimizerFile)); err != nil {
		return fail(err)
	}
	if err := syncDir(tmp); err != nil {
		return fail(err)
	}
	replace := false
	switch _, err := os.Stat(dir); {
	case err == nil:
		replace = true
		if err := errors.Join(os.RemoveAll(old), os.Rename(dir, old)); err != nil {
			return fail(err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fail(err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fail(err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return fail(err)
	}
	if replace {
		if err := os.RemoveAll(old); err != nil {
			return fail(err)
		}
	}
	return nil
}

// saveOptimizer writes the moments tensor by tensor, named as the weights are.
func (l *Learner) saveOptimizer(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var tensors []safetensors.Tensor
	at := 0
	for _, t := range l.weights.Tensors() {
		n := len(t.Data)
		tensors = append(tensors,
			safetensors.Tensor{Name: "m." + t.Name, Shape: t.Shape, Data: l.solver.m[at : at+n]},
			safetensors.Tensor{Name: "v." + t.Name, Shape: t.Shape, Data: l.solver.v[at : at+n]})
		at += n
	}
	meta := map[string]string{
		metaKind:    kindAdamW,
		metaUpdates: strconv.FormatInt(l.solver.step, 10),
		metaPolicy:  l.policy.ID,
		metaStep:    strconv.FormatInt(l.policy.Step, 10),
		metaDigest:  l.weights.Digest(),
	}
	if err := safetensors.Write(f, tensors, meta, safetensors.F32); err != nil {
		return err
	}
	return f.Sync()
}

// Load implements learner.Learner. Everything is read and checked before anything changes.
func (l *Learner) Load(dir string) error {
	fail := func(err error) error { return fmt.Errorf("local learner: load %s: %w", dir, err) }
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir + ".old"); err == nil {
			dir += ".old"
		}
	}
	w, err := model.Load(dir)
	if err != nil {
		return fail(err)
	}
	if w.Config != l.weights.Config {
		return fail(fmt.Errorf("it holds another model: %+v, want %+v", w.Config, l.weights.Config))
	}
	o := NewAdamW(l.options.AdamW, len(w.Flat()))
	p, err := loadOptimizer(filepath.Join(dir, optimizerFile), w, o)
	if err != nil {
		return fail(err)
	}
	copy(l.weights.Flat(), w.Flat())
	l.solver, l.policy = o, p
	l.machine.ClearGradients()
	return nil
}

// loadOptimizer reads what saveOptimizer wrote for weights w.
func loadOptimizer(path string, w *model.Weights, o *AdamW) (engine.PolicyRef, error) {
	var none engine.PolicyRef
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, fmt.Errorf("it has no %s: a policy, but not a checkpoint of a learner", optimizerFile)
	} else if err != nil {
		return none, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return none, err
	}
	s, err := safetensors.Open(f, info.Size())
	if err != nil {
		return none, fmt.Errorf("%s: %w", optimizerFile, err)
	}
	meta := s.Metadata
	if meta[metaKind] != kindAdamW {
		return none, fmt.Errorf("%s is of optimizer %q, want %q", optimizerFile, meta[metaKind], kindAdamW)
	}
	if got := w.Digest(); meta[metaDigest] != got {
		return none, fmt.Errorf("%s belongs to weights %.12s…, the directory holds %.12s…", optimizerFile, meta[metaDigest], got)
	}
	updates, err := strconv.ParseInt(meta[metaUpdates], 10, 64)
	if err != nil || updates < 0 {
		return none, fmt.Errorf("%s: bad number of updates %q", optimizerFile, meta[metaUpdates])
	}
	step, err := strconv.ParseInt(meta[metaStep], 10, 64)
	if err != nil {
		return none, fmt.Errorf("%s: bad policy step %q", optimizerFile, meta[metaStep])
	}
	at := 0
	for _, t := range w.Tensors() {
		n := len(t.Data)
		for name, dst := range map[string][]float32{"m.": o.m[at : at+n], "v.": o.v[at : at+n]} {
			if err := s.ReadFloat32(name+t.Name, dst); err != nil {
				return none, fmt.Errorf("%s: %w", optimizerFile, err)
			}
		}
		at += n
	}
	o.step = updates
	return engine.PolicyRef{ID: meta[metaPolicy], Step: step}, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
