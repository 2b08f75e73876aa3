package foreign

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"pith/traces"
)

// ExportFormats are what [Export] writes.
var ExportFormats = []string{"groups", "jsonl", "csv", "parquet"}

// Export writes the traces of run that f selects to w: groups (a line a group, the input of pith
// score; the rows of a group stand together in a log), jsonl (a trace a line with all columns), csv
// (the columns that hold one value a trace, with a header), or parquet (one file with the schema of a
// segment). columns restricts jsonl, csv and parquet; nil is all. Memory holds a row group. Files
// that cannot be read go to bad, and the rest is exported.
func Export(w io.Writer, run *traces.Run, f traces.Filter, format string, columns []string, bad func(error)) (n int64, err error) {
	if columns == nil {
		columns = traces.Columns()
	}
	for _, c := range columns {
		if !slices.Contains(traces.Columns(), c) {
			return 0, fmt.Errorf("export: no trace has a column %s; they are %s", c, strings.Join(traces.Columns(), ", "))
		}
	}
	buffered := bufio.NewWriterSize(w, 1<<16)
	var out exporter
	switch format {
	case "groups":
		columns = groupColumns
		out = &groupWriter{w: buffered}
	case "jsonl":
		out = &lineWriter{w: buffered, columns: columns}
	case "csv":
		columns = slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return field(c).Kind() == reflect.Slice || c == "reference" })
		out = &csvWriter{w: csv.NewWriter(buffered), columns: columns}
	case "parquet":
		out = &parquetWriter{traces.NewTraceWriter(buffered, map[string]string{"pith.exported": "true"})}
	default:
		return 0, fmt.Errorf("export: no format %q; known: %s", format, strings.Join(ExportFormats, ", "))
	}
	for b, err := range run.Batches(f, columns...) {
		if err != nil {
			bad(err)
			continue
		}
		n += int64(len(b.Rows))
		if err := out.write(b.Rows); err != nil {
			return n, fmt.Errorf("export: %w", err)
		}
	}
	if err := out.close(); err != nil {
		return n, fmt.Errorf("export: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return n, fmt.Errorf("export: %w", err)
	}
	return n, nil
}

type exporter interface {
	write(rows []traces.Trace) error
	close() error
}

// index is where the columns stand in the record.
var index = func() map[string]int {
	out := map[string]int{}
	t := reflect.TypeFor[traces.Trace]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("parquet"), ",")
		out[name] = i
	}
	return out
}()

// field is a column's field of an empty trace.
func field(column string) reflect.Value { return reflect.ValueOf(traces.Trace{}).Field(index[column]) }

// lineWriter writes the columns under their names, in their order.
type lineWriter struct {
	w       io.Writer
	columns []string
	line    bytes.Buffer
}

func (l *lineWriter) write(rows []traces.Trace) error {
	for i := range rows {
		l.line.Reset()
		v := reflect.ValueOf(&rows[i]).Elem()
		for j, c := range l.columns {
			l.line.WriteByte(",{"[btoi(j == 0)])
			l.line.WriteString(strconv.Quote(c))
			l.line.WriteByte(':')
			value := v.Field(index[c])
			if value.Kind() == reflect.Slice && value.IsNil() {
				l.line.WriteString("[]")
				continue
			}
			text, err := marshal(value.Interface())
			if err != nil {
				return fmt.Errorf("trace %s: %w", rows[i].ID, err)
			}
			l.line.Write(text)
		}
		l.line.WriteString("}\n")
		if _, err := l.w.Write(l.line.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (l *lineWriter) close() error { return nil }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// marshal is json.Marshal with < and > as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

type csvWriter struct {
	w       *csv.Writer
	columns []string
	begun   bool
}

func (c *csvWriter) write(rows []traces.Trace) error {
	if err := c.head(); err != nil {
		return err
	}
	cells := make([]string, len(c.columns))
	for i := range rows {
		v := reflect.ValueOf(&rows[i]).Elem()
		for j, name := range c.columns {
			cells[j] = cell(v.Field(index[name]))
		}
		if err := c.w.Write(cells); err != nil {
			return err
		}
	}
	return nil
}

func (c *csvWriter) head() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.w.Write(c.columns)
}

func (c *csvWriter) close() error {
	if err := c.head(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func cell(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return cell(v.Elem())
	default:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
}

type parquetWriter struct{ *traces.TraceWriter }

func (p *parquetWriter) write(rows []traces.Trace) error { return p.Write(rows) }
func (p *parquetWriter) close() error                    { return p.Close() }

var groupColumns = []string{
	"step", "group", "id", "problem", "level", "gold", "prompt_text", "text", "finish", "mode", "turns", "length_tokens", "verdict", "formatted",
	"tool_calls", "budget_scores", "entropy", "reference",
}

// groupLine is the input of pith score.
type groupLine struct {
	Group   string       `json:"group"`
	Step    int64        `json:"step"`
	Problem problemPart  `json:"problem"`
	Traces  []samplePart `json:"traces"`
}

type problemPart struct {
	ID                string   `json:"id"`
	Gold              string   `json:"gold,omitempty"`
	Difficulty        int32    `json:"difficulty,omitempty"`
	ReferenceAccuracy *float64 `json:"reference_accuracy,omitempty"`
	ReferenceTokens   float64  `json:"reference_tokens,omitempty"`
	TokenBudget       int32    `json:"token_budget,omitempty"`
}

type samplePart struct {
	ID             string    `json:"id"`
	Correct        *bool     `json:"correct"`
	Formatted      bool      `json:"formatted"`
	Truncated      bool      `json:"truncated"`
	Tokens         int32     `json:"tokens"`
	Chars          int       `json:"chars"`
	Mode           string    `json:"mode,omitempty"`
	Turns          int32     `json:"turns"`
	ToolCalls      int       `json:"tool_calls"`
	FirstToolToken *int32    `json:"first_tool_token,omitempty"`
	Entropy        *float64  `json:"entropy,omitempty"`
	BudgetScores   []float64 `json:"budget_scores,omitempty"`
	Text           string    `json:"text"`
}

// groupWriter gathers the rows of a group, which stand together.
type groupWriter struct {
	w    io.Writer
	line groupLine
}

func (g *groupWriter) write(rows []traces.Trace) error {
	for i := range rows {
		t := &rows[i]
		if len(g.line.Traces) > 0 && (g.line.Group != t.Group || g.line.Step != t.Step) {
			if err := g.close(); err != nil {
				return err
			}
		}
		if len(g.line.Traces) == 0 {
			g.line = groupLine{Group: t.Group, Step: t.Step, Problem: problemPart{
				t.Problem, t.Gold, max(t.Level, 0), t.Reference.Accuracy, t.Reference.Tokens, t.Reference.TokenBudget,
			}}
		}
		g.line.Traces = append(g.line.Traces, sampleOf(t))
	}
	return nil
}

func sampleOf(t *traces.Trace) samplePart {
	s := samplePart{
		ID: t.ID, Formatted: t.Formatted, Truncated: t.Finish == traces.FinishLength, Tokens: t.LengthTokens, Mode: t.Mode, Turns: t.Turns,
		ToolCalls: len(t.ToolCalls), Entropy: t.Entropy, BudgetScores: t.BudgetScores, Text: t.Text,
	}
	thinking, _, _ := strings.Cut(t.Text, "</think>") // as rewards.FromTrace counts them
	s.Chars = utf8.RuneCountInString(strings.TrimPrefix(thinking, "<think>"))
	if t.Verdict == traces.Right || t.Verdict == traces.Wrong {
		right := t.Verdict == traces.Right
		s.Correct = &right
	}
	if len(t.ToolCalls) > 0 {
		first := t.ToolCalls[0].Start
		s.FirstToolToken = &first
	}
	return s
}

func (g *groupWriter) close() error {
	if len(g.line.Traces) == 0 {
		return nil
	}
	text, err := marshal(g.line)
	if err != nil {
		return fmt.Errorf("group %s: %w", g.line.Group, err)
	}
	g.line.Traces = nil
	_, err = g.w.Write(append(text, '\n'))
	return err
}
