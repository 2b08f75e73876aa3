package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Status is where a run stands.
type Status string

// The statuses. Running in a state file that no process holds means interrupted.
const (
	Waiting Status = "waiting"
	Running Status = "running"
	Done    Status = "done"
	Failed  Status = "failed"
	Stopped Status = "stopped" // by the stop rule
)

// State is the state file of a sweep, state.json: what became of every run.
type State struct {
	Sweep    string     `json:"sweep"`
	StopRule string     `json:"stop_rule"`
	Updated  time.Time  `json:"updated"`
	Runs     []RunState `json:"runs"`
}

// RunState is one run in the state file.
type RunState struct {
	Name     string  `json:"name"`
	Arm      string  `json:"arm"`
	Seed     uint64  `json:"seed"`
	Hash     string  `json:"hash"`
	Status   Status  `json:"status"`
	Step     int64   `json:"step"`     // last seen
	Steps    int     `json:"steps"`    // planned
	Attempts int     `json:"attempts"` // processes started for it
	Seconds  float64 `json:"seconds"`  // of all attempts
	Parallel int     `json:"parallel"` // runs side by side during the last attempt
	Threads  int     `json:"threads"`
	Error    string  `json:"error,omitempty"`
	Log      string  `json:"log,omitempty"`  // relative to the sweep's directory
	From     string  `json:"from,omitempty"` // another sweep's run directory that it was taken from
	Host     string  `json:"host,omitempty"` // that made it, where the sweep was handed out
	Note     string  `json:"note,omitempty"` // why it stopped
}

// StateFile is the name of the state file.
const StateFile = "state.json"

// ReadState reads the state file of a sweep's directory.
func ReadState(dir string) (State, error) {
	var s State
	path := filepath.Join(dir, StateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("%s is not the directory of a sweep: it has no %s", dir, StateFile)
	}
	if err != nil {
		return s, fmt.Errorf("sweep: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("sweep: %s is damaged: %w; delete it, finished runs are found again", path, err)
	}
	return s, nil
}

func (s *State) write(dir string) error {
	s.Updated = time.Now().UTC().Round(time.Second)
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("sweep state: %w", err)
	}
	return writeFile(filepath.Join(dir, StateFile), append(text, '\n'))
}

// writeFile replaces a file so that a crash leaves the old or the new content.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sweep: write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
