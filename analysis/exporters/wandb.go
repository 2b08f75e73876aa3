package exporters

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

// wandb writes history.jsonl, a line a row with "kind", "step" and "seconds" beside the values, and
// config.json. The binary file that W&B syncs offline has no documented format; these lines are
// logged into a run by a loop of three lines (docs/exports.md).
type wandb struct {
	dir  string
	data *Data
	text []byte // whole lines of history.jsonl
	read bool
	last map[string]int64
}

func (w *wandb) path() string { return filepath.Join(w.dir, "history.jsonl") }

func (w *wandb) load() error {
	if w.read {
		return nil
	}
	text, err := os.ReadFile(w.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w.read, w.last = true, map[string]int64{}
	w.text = text[:bytes.LastIndexByte(text, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(w.text))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var row struct {
			Kind string
			Step int64
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return err
		}
		w.last[row.Kind] = max(w.last[row.Kind], row.Step+1)
	}
	return lines.Err()
}

func (w *wandb) Through(kind string) (int64, error) {
	if err := w.load(); err != nil {
		return 0, err
	}
	return w.last[kind] - 1, nil
}

func (w *wandb) Append(kind string, rows []Row) error {
	for _, row := range rows {
		line := map[string]any{"kind": kind, "step": row.Step, "seconds": row.Seconds}
		for _, v := range row.Values {
			if !math.IsNaN(v.Value) && !math.IsInf(v.Value, 0) {
				line[v.Name] = v.Value
			}
		}
		text, err := json.Marshal(line)
		if err != nil {
			return err
		}
		w.text = append(append(w.text, text...), '\n')
	}
	return nil
}

func (w *wandb) Finish() error {
	if err := w.load(); err != nil {
		return err
	}
	if err := replace(w.path(), w.text); err != nil {
		return err
	}
	config := map[string]string{}
	for _, p := range w.data.Params {
		config[p.Name] = p.Value
	}
	text, err := json.MarshalIndent(map[string]any{"name": w.data.Run, "id": w.data.ID, "config": config}, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(w.dir, "config.json"), append(text, '\n'))
}
