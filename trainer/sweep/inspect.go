package sweep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pith/configs"
	"pith/traces"
	"pith/trainer"
)

// found is what a run directory holds, compared with what is wanted.
type found struct {
	there    bool
	other    bool  // a run of another config
	step     int64 // committed
	finished bool
}

func present(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, traces.ManifestFile))
	return err == nil
}

// inspect looks into a run directory. It is finished when every step and every evaluation is in
// the log and its timings have been folded together, which is the last thing that a run does.
func inspect(dir string, c configs.Config) (found, error) {
	if !present(dir) {
		return found{}, nil
	}
	m, err := trainer.ReadManifest(dir)
	if err != nil {
		return found{}, fmt.Errorf("sweep: %w; delete the directory to make the run again", err)
	}
	f := found{there: true, other: m.Hash != c.Hash()}
	if f.other {
		return f, nil
	}
	log, err := traces.OpenRun(dir)
	if err != nil {
		return f, err
	}
	if exists(filepath.Join(dir, traces.StepsFile)) {
		for s, err := range log.Steps() {
			if err != nil {
				return f, err
			}
			f.step = max(f.step, s.Step)
		}
	}
	evals, err := evaluations(log, dir)
	if err != nil {
		return f, err
	}
	last := int64(c.Run.Steps)
	f.finished = f.step == last && has(evals, last, "sampled") && (!c.Eval.Greedy || has(evals, last, "greedy")) && exists(filepath.Join(dir, traces.TimingsFile))
	return f, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func evaluations(log *traces.Run, dir string) ([]traces.Eval, error) {
	if !exists(filepath.Join(dir, traces.EvalsFile)) {
		return nil, nil
	}
	var out []traces.Eval
	for e, err := range log.Evals() {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func has(evals []traces.Eval, step int64, decoding string) bool {
	_, ok := pick(evals, step, decoding)
	return ok
}

func pick(evals []traces.Eval, step int64, decoding string) (traces.Eval, bool) {
	for _, e := range evals {
		if e.Step == step && e.Decoding == decoding {
			return e, true
		}
	}
	return traces.Eval{}, false
}

// evaluated says that a run has been evaluated after a step, however decoded.
func (s *Sweep) evaluated(name string, step int) bool {
	dir := s.RunDir(name)
	if !present(dir) {
		return false
	}
	log, err := traces.OpenRun(dir)
	if err != nil {
		return false
	}
	evals, err := evaluations(log, dir)
	return err == nil && has(evals, int64(step), "sampled")
}
