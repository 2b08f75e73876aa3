// Package gradeio is the engine of "pith grade": it reads gold/prediction pairs as JSON lines,
// grades them in parallel, and writes verdicts as JSON lines in the order of the input. It
// streams: the memory it holds is bounded by the number of jobs and the longest line.
package gradeio

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"pith/rewards/grade"
)

// Options of one run.
type Options struct {
	// Grader is a name that grade.New knows; empty means "math".
	Grader string
	// Params are the grader's parameters, decoded strictly.
	Params map[string]any
	// Profile is shorthand for the mathematical grader's "profile" parameter.
	Profile string
	// Explain adds how both sides were read and which rule decided, where the grader can say.
	Explain bool
	// Jobs is the number of pairs graded at once; 0 means one per core.
	Jobs int
	// MaxLine bounds a line of input, in bytes; 0 means 64 MiB.
	MaxLine int
}

// Summary counts what was graded.
type Summary struct {
	Pairs   int `json:"pairs"`
	Right   int `json:"right"`
	Wrong   int `json:"wrong"`
	NoScore int `json:"no_score"`
}

// Pair is a line of input. Unknown fields are ignored.
type Pair struct {
	ID         json.RawMessage `json:"id"`
	Gold       *goldText       `json:"gold"`
	Prediction *string         `json:"prediction"`
}

// goldText is a gold answer: a text, or a JSON number, which counts as it is written.
type goldText string

// UnmarshalJSON implements json.Unmarshaler.
func (g *goldText) UnmarshalJSON(raw []byte) error {
	var number json.Number
	if len(raw) > 0 && raw[0] != '"' {
		if err := json.Unmarshal(raw, &number); err != nil {
			return fmt.Errorf("field \"gold\" must be a text or a number: %w", err)
		}
		*g = goldText(number)
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	*g = goldText(text)
	return nil
}

// line is a line of output.
type line struct {
	ID json.RawMessage `json:"id"`
	grade.Verdict
	Rule           string `json:"extraction_rule,omitempty"`
	GoldRead       string `json:"gold_read,omitempty"`
	PredictionRead string `json:"prediction_read,omitempty"`
	DecidedBy      string `json:"decided_by,omitempty"`
	Detail         string `json:"detail,omitempty"`
}

// explainer is what graders that can say more than a verdict implement.
type explainer interface {
	Explain(gold, response string) grade.Explanation
}

// job carries one pair from reader to writer; done is closed when out is filled.
type job struct {
	number int
	text   []byte
	out    []byte
	result grade.Outcome
	err    error
	done   chan struct{}
}

// Run grades all pairs of in and writes a verdict per pair to out. An error names the line of
// the input it belongs to; the verdicts of all earlier lines have been written then. Blank lines
// are skipped.
func Run(ctx context.Context, in io.Reader, out io.Writer, o Options) (Summary, error) {
	grader, err := newGrader(o)
	if err != nil {
		return Summary{}, err
	}
	jobs := o.Jobs
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	maxLine := o.MaxLine
	if maxLine <= 0 {
		maxLine = 64 << 20
	}
	group, ctx := errgroup.WithContext(ctx)
	work := make(chan *job, jobs)
	order := make(chan *job, 4*jobs)
	group.Go(func() error {
		defer close(work)
		defer close(order)
		return read(ctx, in, maxLine, work, order)
	})
	for range jobs {
		group.Go(func() error {
			for j := range work {
				j.out, j.result, j.err = judge(grader, j, o.Explain)
				j.text = nil
				close(j.done)
			}
			return nil
		})
	}
	var sum Summary
	group.Go(func() error { return write(ctx, out, order, &sum) })
	err = group.Wait()
	return sum, err
}

func newGrader(o Options) (grade.Grader, error) {
	name := o.Grader
	if name == "" {
		name = "math"
	}
	params := make(map[string]any, len(o.Params)+1)
	for k, v := range o.Params {
		params[k] = v
	}
	if o.Profile != "" {
		if name != "math" {
			return nil, fmt.Errorf("a profile belongs to the grader \"math\", not to %q; leave one of the two out", name)
		}
		params["profile"] = o.Profile
	}
	return grade.New(name, params)
}

// read cuts the input into lines and hands each to a grader and to the writer.
func read(ctx context.Context, in io.Reader, maxLine int, work, order chan<- *job) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	for number := 1; scanner.Scan(); number++ {
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		j := &job{number: number, text: bytes.Clone(text), done: make(chan struct{})}
		for _, to := range []chan<- *job{order, work} {
			select {
			case to <- j:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	if err := scanner.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return fmt.Errorf("input holds a line of more than %d bytes; split it or raise the limit", maxLine)
		}
		return fmt.Errorf("read pairs: %w", err)
	}
	return nil
}

// write emits finished lines in input order.
func write(ctx context.Context, out io.Writer, order <-chan *job, sum *Summary) error {
	w := bufio.NewWriter(out)
	for j := range order {
		select {
		case <-j.done:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), w.Flush())
		}
		if j.err != nil {
			return errors.Join(j.err, w.Flush())
		}
		sum.Pairs++
		switch j.result {
		case grade.Right:
			sum.Right++
		case grade.Wrong:
			sum.Wrong++
		default:
			sum.NoScore++
		}
		if _, err := w.Write(j.out); err != nil {
			return fmt.Errorf("write verdicts: %w", err)
		}
		if len(order) == 0 { // nothing is waiting: let a reader of the stream see what is done
			if err := w.Flush(); err != nil {
				return fmt.Errorf("write verdicts: %w", err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write verdicts: %w", err)
	}
	return nil
}

func judge(grader grade.Grader, j *job, explain bool) ([]byte, grade.Outcome, error) {
	var pair Pair
	if err := json.Unmarshal(j.text, &pair); err != nil {
		return nil, "", fmt.Errorf("line %d: not a JSON object with gold and prediction: %w", j.number, err)
	}
	switch {
	case pair.Gold == nil:
		return nil, "", fmt.Errorf("line %d: field \"gold\" is missing; give the reference answer as a text", j.number)
	case pair.Prediction == nil:
		return nil, "", fmt.Errorf("line %d: field \"prediction\" is missing; give the whole response as a text", j.number)
	}
	if pair.ID == nil {
		pair.ID = json.RawMessage("null")
	}
	l := line{ID: pair.ID}
	if e, ok := grader.(explainer); ok && explain {
		x := e.Explain(string(*pair.Gold), *pair.Prediction)
		l.Verdict = x.Verdict
		l.Rule, l.GoldRead, l.PredictionRead, l.DecidedBy, l.Detail = x.Rule, x.GoldRead, x.PredictionRead, x.DecidedBy, x.Detail
	} else {
		l.Verdict = grader.Grade(string(*pair.Gold), *pair.Prediction)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return nil, "", fmt.Errorf("line %d: %w", j.number, err)
	}
	return buf.Bytes(), l.Outcome, nil
}
