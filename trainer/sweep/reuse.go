package sweep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Siblings are the directories of other sweeps beside a sweep's directory.
func Siblings(dir string) []string {
	var out []string
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		other := filepath.Join(filepath.Dir(dir), e.Name())
		if e.IsDir() && filepath.Clean(other) != filepath.Clean(dir) && exists(filepath.Join(other, StateFile)) {
			out = append(out, other)
		}
	}
	return out
}

// reuse takes finished runs of other sweeps that have the same name and config hash: the same bytes
// would come out again. A run that cannot be taken is made.
func (s *Sweep) reuse(others []string) {
	for i := range s.state.Runs {
		x, r := &s.state.Runs[i], s.plan.Runs[i]
		if x.Status == Done || present(s.RunDir(r.Name)) {
			continue
		}
		for _, other := range others {
			from := filepath.Join(other, RunsDir, r.Name)
			found, err := inspect(from, r.Config)
			if err != nil || !found.finished || take(from, s.RunDir(r.Name)) != nil {
				continue
			}
			x.Status, x.Step, x.From = Done, found.step, from
			if was, err := ReadState(other); err == nil {
				for _, o := range was.Runs {
					if o.Name == r.Name {
						x.Seconds, x.Parallel, x.Threads = o.Seconds, o.Parallel, o.Threads
					}
				}
			}
			break
		}
	}
}

// take puts a run directory beside its place, by hard links where it can, and renames it: no file of
// a finished run is ever changed in place. The stream's store, which is empty by then, stays.
func take(from, to string) error {
	tmp := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+".tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == "stream" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(tmp, rel), 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if os.Link(path, filepath.Join(tmp, rel)) == nil {
			return nil
		}
		return copyFile(path, filepath.Join(tmp, rel))
	})
	if err == nil {
		err = os.Rename(tmp, to)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sweep: take over %s: %w", from, err), os.RemoveAll(tmp))
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
