package analysis

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pith/analysis/plot"
)

// Files that Write makes.
const (
	HTMLFile   = "report.html"
	JSONFile   = "report.json"
	FiguresDir = "figures"
)

// figureScale is the resolution of PNG files: device pixels a CSS pixel.
const figureScale = 2

// Write makes report.html, report.json and figures/*.svg, *.png and *.csv (the same as numbers) in dir, which is created where it
// does not exist; for one run it is usually the run directory itself. Every file is replaced as a
// whole: a crash leaves the old one or the new one. Figures of an earlier report that the new one
// does not have are removed. Equal logs give equal bytes.
func Write(dir string, r Report) error { return write(dir, r, figureScale) }

func write(dir string, r Report, scale float64) error {
	figures := r.figures()
	target := filepath.Join(dir, FiguresDir)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	keep := map[string]bool{}
	for _, f := range figures {
		keep[f.Name+".svg"], keep[f.Name+".png"], keep[f.Name+".csv"] = true, true, true
		if err := replace(filepath.Join(target, f.Name+".svg"), func(w io.Writer) error {
			_, err := io.WriteString(w, f.SVG())
			return err
		}); err != nil {
			return err
		}
		if err := replace(filepath.Join(target, f.Name+".csv"), f.CSV); err != nil {
			return err
		}
		if err := replace(filepath.Join(target, f.Name+".png"), func(w io.Writer) error { return f.PNG(w, scale) }); err != nil {
			return err
		}
	}
	if err := removeStale(target, keep); err != nil {
		return err
	}
	if err := replace(filepath.Join(dir, JSONFile), r.WriteJSON); err != nil {
		return err
	}
	return replace(filepath.Join(dir, HTMLFile), func(w io.Writer) error { return WriteHTML(w, r) })
}

// figures lists the pictures that Write saves: those of the run, or of several runs the common one;
// each run's own belong into its own directory.
func (r Report) figures() []plot.Figure {
	if len(r.Runs) == 1 {
		return r.Runs[0].Figures()
	}
	if f, ok := r.overviewFigure(); ok {
		return []plot.Figure{f}
	}
	return nil
}

// ours are the stems of files that this package writes into the folder of figures.
func ours(name string) bool {
	for _, pattern := range []string{
		"overview.*", "plane.*", "trajectory.*", "difficulty.*", "levels.*", "lengths.*", "budgets.*", "tools.*", "rewards.*",
		"learning.*", "agreement.*", "waits.*",
	} {
		if ok, err := filepath.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}

func removeStale(dir string, keep map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, e := range entries {
		if keep[e.Name()] || !ours(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// replace writes a file beside its place and renames it.
func replace(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("report: %s: %w", path, err)
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.WriteFile(temporary, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
