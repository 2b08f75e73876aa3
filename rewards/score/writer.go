package score

import (
	"bufio"
	"encoding/json"
	"io"
	"math"
	"strconv"

	"pith/rewards"
)

// Writer writes one JSON line per trace, in the form of the contract.
type Writer struct {
	out  *bufio.Writer
	line []byte
}

// NewWriter writes to w. Call Flush at the end.
func NewWriter(w io.Writer) *Writer { return &Writer{out: bufio.NewWriterSize(w, 1<<16)} }

// Group writes the results of one group, in the order of its samples.
func (w *Writer) Group(g *rewards.Group, results []rewards.Result) error {
	for i := range results {
		w.line = appendResult(w.line[:0], g.ID, g.Samples[i].ID, &results[i])
		if _, err := w.out.Write(w.line); err != nil {
			return err
		}
	}
	return nil
}

// Flush writes what is still buffered.
func (w *Writer) Flush() error { return w.out.Flush() }

func appendResult(b []byte, group, id string, r *rewards.Result) []byte {
	b = appendString(append(b, `{"group":`...), group)
	b = appendString(append(b, `,"id":`...), id)
	b = appendFloat(append(b, `,"reward":`...), r.Reward)
	b = append(b, `,"terms":{`...)
	for i, term := range r.Terms {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, term.Name)
		b = appendFloat(append(b, ':'), term.Value)
	}
	b = appendFloat(append(b, `},"advantage":`...), r.Advantage)
	b = append(b, `,"token_advantages":`...)
	if len(r.TokenAdvantages) == 0 {
		b = append(b, "null"...)
	} else {
		for i, t := range r.TokenAdvantages {
			b = append(b, "[,"[min(i, 1)], '[')
			b = strconv.AppendInt(b, int64(t.Start), 10)
			b = strconv.AppendInt(append(b, ','), int64(t.End), 10)
			b = append(appendFloat(append(b, ','), t.Value), ']')
		}
		b = append(b, ']')
	}
	b = strconv.AppendBool(append(b, `,"dropped":`...), r.Dropped)
	b = appendString(append(b, `,"reason":`...), r.Reason)
	return append(b, '}', '\n')
}

// appendFloat writes the shortest decimal that reads back as f, as encoding/json does.
func appendFloat(b []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	if f == 0 {
		f = 0 // never -0
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

func appendString(b []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return append(b, `""`...)
	}
	return append(b, quoted...)
}
