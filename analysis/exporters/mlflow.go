package exporters

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mlflow writes a file store: EXPERIMENT/RUN/metrics/NAME with a line "milliseconds value step" for
// each point, params and tags as a file each (mlflow/store/tracking/file_store.py). Every metric
// file says by its last line how far it has come.
type mlflow struct {
	root string
	data *Data
}

// mlflowExperiment is the id of the one experiment that exports go to.
const mlflowExperiment = "708974685"

func (m *mlflow) run() string { return filepath.Join(m.root, mlflowExperiment, m.data.ID) }

// Through is the least last step of the metrics that a kind of the run has, so that a crash between
// two of them is made good.
func (m *mlflow) Through(kind string) (int64, error) {
	through := int64(-1)
	first := true
	rows := m.data.Rows[kind]
	for _, name := range namesOf(rows) {
		last, _, err := m.last(name)
		if err != nil {
			return 0, err
		}
		if first || last < through {
			through, first = last, false
		}
	}
	return through, nil
}

// namesOf are the names of the values that every row has: one that comes and goes says nothing of
// how far a file is.
func namesOf(rows []Row) []string {
	count := map[string]int{}
	var names []string
	for _, row := range rows {
		for _, v := range row.Values {
			count[v.Name]++
		}
	}
	if len(rows) > 0 {
		for _, v := range rows[0].Values {
			if count[v.Name] == len(rows) {
				names = append(names, v.Name)
			}
		}
	}
	return names
}

// last reads a metric file and the step of its last line.
func (m *mlflow) last(name string) (step int64, text []byte, err error) {
	text, err = os.ReadFile(filepath.Join(m.run(), "metrics", filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if cells := bytes.Fields(lines[len(lines)-1]); len(cells) == 3 {
		if step, err := strconv.ParseInt(string(cells[2]), 10, 64); err == nil {
			return step, text, nil
		}
	}
	return -1, nil, nil
}

func (m *mlflow) Append(_ string, rows []Row) error {
	lines := map[string][]byte{}
	through := map[string]int64{}
	for _, row := range rows {
		for _, v := range row.Values {
			if _, ok := lines[v.Name]; !ok {
				step, text, err := m.last(v.Name)
				if err != nil {
					return err
				}
				lines[v.Name], through[v.Name] = text, step
			}
			if row.Step > through[v.Name] {
				lines[v.Name] = fmt.Appendf(lines[v.Name], "%d %s %d\n", int64(row.Seconds*1000), strconv.FormatFloat(v.Value, 'g', -1, 64), row.Step)
			}
		}
	}
	for name, text := range lines {
		if err := replace(filepath.Join(m.run(), "metrics", filepath.FromSlash(name)), text); err != nil {
			return err
		}
	}
	return nil
}

func (m *mlflow) Finish() error {
	d := m.data
	files := map[string]string{
		filepath.Join(m.root, mlflowExperiment, "meta.yaml"): fmt.Sprintf("artifact_location: ''\ncreation_time: 0\nexperiment_id: '%s'\nlast_update_time: 0\nlifecycle_stage: active\nname: pith\n", mlflowExperiment),
		filepath.Join(m.run(), "meta.yaml"): fmt.Sprintf("artifact_uri: ''\nend_time: null\nentry_point_name: ''\nexperiment_id: '%s'\nlifecycle_stage: active\nrun_id: %s\nrun_name: %q\nrun_uuid: %s\n"+
			"source_name: pith\nsource_type: 4\nsource_version: ''\nstart_time: 0\nstatus: 3\ntags: []\nuser_id: pith\n", mlflowExperiment, d.ID, d.Run, d.ID),
		filepath.Join(m.run(), "tags", "mlflow.runName"): d.Run,
	}
	for _, p := range d.Params {
		if name := mlflowName(p.Name); name != "" {
			files[filepath.Join(m.run(), "params", name)] = p.Value
		}
	}
	for _, dir := range []string{"artifacts", "metrics", "params", "tags"} {
		if err := os.MkdirAll(filepath.Join(m.run(), dir), 0o755); err != nil {
			return err
		}
	}
	for path, text := range files {
		if err := replace(path, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// mlflowName keeps what MLflow allows in a name.
func mlflowName(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '.', r == ' ':
			return r
		}
		return '_'
	}, name), ".")
}
