package exporters

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Target is a place that takes rows. Its own files say how far it has come.
type Target interface {
	// Through is the last step of a kind that is there, -1 before the first.
	Through(kind string) (int64, error)
	// Append adds rows of a kind, all above Through, by rising step.
	Append(kind string, rows []Row) error
	// Finish is called once after everything has been appended.
	Finish() error
}

// Names are the targets that [Open] knows.
var Names = []string{"tensorboard", "mlflow", "wandb-jsonl", "otlp", "prometheus"}

// Open prepares a target in dir, which is made where it does not exist.
func Open(name, dir string, d *Data) (Target, error) {
	var t Target
	switch name {
	case "tensorboard":
		t = &tensorBoard{dir}
	case "mlflow":
		t = &mlflow{root: dir, data: d}
	case "wandb-jsonl":
		t = &wandb{dir: dir, data: d}
	case "otlp":
		t = &otlp{dir, d}
	case "prometheus":
		t = &promFile{dir, d}
	default:
		return nil, fmt.Errorf("no target %q; known: %s", name, strings.Join(Names, ", "))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return t, nil
}

// Export appends what t does not have yet and returns how many rows that were.
func Export(d *Data, t Target) (int, error) {
	n := 0
	for _, kind := range d.Kinds() {
		through, err := t.Through(kind)
		if err != nil {
			return n, fmt.Errorf("export: %w", err)
		}
		rows := d.Rows[kind]
		for len(rows) > 0 && rows[0].Step <= through {
			rows = rows[1:]
		}
		if len(rows) == 0 {
			continue
		}
		if err := t.Append(kind, rows); err != nil {
			return n, fmt.Errorf("export: %w", err)
		}
		n += len(rows)
	}
	if err := t.Finish(); err != nil {
		return n, fmt.Errorf("export: %w", err)
	}
	return n, nil
}

// replace writes a file beside its place and renames it.
func replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// spanned names a file by the rows that it holds, so that the names in a directory say how far it
// has come: prefix.KIND.FROM-TO.suffix.
func spanned(prefix, kind string, rows []Row, suffix string) string {
	return fmt.Sprintf("%s.%s.%09d-%09d.%s", prefix, kind, rows[0].Step, rows[len(rows)-1].Step, suffix)
}

// throughOf is the last step among files named by [spanned].
func throughOf(dir, prefix, kind, suffix string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	through := int64(-1)
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), prefix+"."+kind+".")
		if !ok {
			continue
		}
		var from, to int64
		if n, err := fmt.Sscanf(rest, "%d-%d."+suffix, &from, &to); err == nil && n == 2 {
			through = max(through, to)
		}
	}
	return through, nil
}
