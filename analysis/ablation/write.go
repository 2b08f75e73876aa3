package ablation

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Files that Write makes.
const (
	HTMLFile     = "report.html"
	MarkdownFile = "report.md"
	CSVFile      = "report.csv"
	JSONFile     = "report.json"
	FiguresDir   = "figures"
)

// figureScale is the resolution of PNG files: device pixels a CSS pixel.
const figureScale = 2

// Write makes report.html (self-contained), report.md, report.csv, report.json and figures/ as SVG,
// PNG and, for their data, CSV. Every file is replaced as a whole. Equal logs give equal bytes.
func Write(dir string, r Report) error { return write(dir, r, figureScale) }

func write(dir string, r Report, scale float64) error {
	target := filepath.Join(dir, FiguresDir)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("comparison: %w", err)
	}
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	for _, f := range r.Figures() {
		for suffix, make := range map[string]func(io.Writer) error{
			".svg": text(f.SVG()), ".png": func(w io.Writer) error { return f.PNG(w, scale) }, ".csv": f.CSV,
		} {
			if err := replace(filepath.Join(target, f.Name+suffix), make); err != nil {
				return err
			}
		}
	}
	for name, make := range map[string]func(io.Writer) error{
		JSONFile: r.WriteJSON, CSVFile: r.WriteCSV, MarkdownFile: text("# " + r.title() + "\n\n" + r.Markdown()), HTMLFile: r.WriteHTML,
	} {
		if err := replace(filepath.Join(dir, name), make); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) title() string {
	if r.Name == "" {
		return "Comparison"
	}
	return "Sweep " + r.Name
}

// replace writes a file beside its place and renames it.
func replace(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("comparison: %s: %w", path, err)
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.WriteFile(tmp, b.Bytes(), 0o644); err != nil { //nolint:gosec // a report is there to be read
		return fmt.Errorf("comparison: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("comparison: %w", err)
	}
	return nil
}

//go:embed report.tmpl.html
var pageText string

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("sweep").Parse(pageText)) // a test executes it
})

type pageTable struct {
	Caption string
	Rows    []pageRow
}

type pageRow struct {
	Number, Name string
	Cells        []string
}

type pageGroup struct {
	Name      string
	Sentences []string
}

// WriteHTML writes the comparison as one page that needs nothing beside it, without a script.
func (r Report) WriteHTML(w io.Writer) error {
	data := struct {
		Title, About, StopRule, Note string
		Sentences                    []string
		Figures                      []template.HTML
		Head                         []string
		Tables                       []pageTable
		Groups                       []pageGroup
		Failed, Stopped              []Excluded
	}{Title: r.title(), About: r.About, StopRule: r.StopRule, Note: r.note(), Sentences: r.Sentences, Head: head, Failed: r.Failed, Stopped: r.Stopped}
	for _, f := range r.Figures() {
		data.Figures = append(data.Figures, template.HTML(f.SVG())) //nolint:gosec // our own drawing; texts in it are escaped
	}
	for i := range r.Tables {
		t := &r.Tables[i]
		p := pageTable{Caption: t.caption(&r)}
		for j := range t.Rows {
			cells := t.Rows[j].cells(r.Reference)
			p.Rows = append(p.Rows, pageRow{cells[0], cells[1], cells[2:]})
		}
		data.Tables = append(data.Tables, p)
	}
	t := &r.Tables[0]
	g := pageGroup{Name: "Each arm against " + r.Reference}
	for i := range t.Rows {
		if v := t.Rows[i].VsReference; v != nil {
			g.Sentences = append(g.Sentences, v.Sentence(r.Points))
		}
	}
	data.Groups = append(data.Groups, g)
	g = pageGroup{Name: "Every two arms"}
	for i := range t.Pairs {
		if p := &t.Pairs[i]; p.A != r.Reference && p.B != r.Reference {
			g.Sentences = append(g.Sentences, p.Sentence(r.Points))
		}
	}
	data.Groups = append(data.Groups, g)
	var b strings.Builder
	if err := page().Execute(&b, data); err != nil {
		return fmt.Errorf("comparison: write HTML: %w", err)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
