package traces

import (
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Set is which traces to read.
type Set int

const (
	Training    Set = iota // what was released for learning
	Evaluations            // held-out problems
)

// Filter selects traces. The zero value is every training trace. Steps and decodings are told from
// the names of the files, the other conditions from the columns they are about: a row group whose
// statistics rule a value out is not read (the rows of a segment are sorted by group, so that a
// group or an id rules out all but its own), and of the others only the columns of the conditions,
// until something matches.
type Filter struct {
	Set      Set
	FromStep int64  // first step
	ToStep   int64  // last step; 0 = no end
	Decoding string // Evaluations only: sampled or greedy; "" = both

	// Conditions on rows; zero values ask for nothing.
	Group     string
	ID        string
	Problem   string
	Verdict   Verdict
	Status    Status
	Finish    Finish
	Level     int32
	MinTokens int32 // of LengthTokens
	MaxTokens int32 // of LengthTokens; 0 = no limit
}

func (f *Filter) match(s *segmentFile) bool {
	return s.step >= f.FromStep && (f.ToStep == 0 || s.step <= f.ToStep) && (f.Decoding == "" || s.suffix == f.Decoding)
}

func (f *Filter) dir() string {
	if f.Set == Evaluations {
		return EvalsDir
	}
	return TracesDir
}

// rows says whether f has conditions on rows.
func (f *Filter) rows() bool { return len(f.tests()) > 0 }

func (f *Filter) tests() []test[Trace] {
	var out []test[Trace]
	text := func(column, want string, of func(*Trace) string) {
		if want == "" {
			return
		}
		out = append(out, test[Trace]{
			column: column,
			match:  func(t *Trace) bool { return of(t) == want },
			rules:  func(low, high parquet.Value) bool { return beyond(want, low.ByteArray(), high.ByteArray()) },
		})
	}
	text("group", f.Group, func(t *Trace) string { return t.Group })
	text("id", f.ID, func(t *Trace) string { return t.ID })
	text("verdict", string(f.Verdict), func(t *Trace) string { return string(t.Verdict) })
	text("status", string(f.Status), func(t *Trace) string { return string(t.Status) })
	text("finish", string(f.Finish), func(t *Trace) string { return string(t.Finish) })
	text("problem", f.Problem, func(t *Trace) string { return t.Problem })
	if want := f.Level; want != 0 {
		out = append(out, test[Trace]{
			column: "level",
			match:  func(t *Trace) bool { return t.Level == want },
			rules:  func(low, high parquet.Value) bool { return want < low.Int32() || want > high.Int32() },
		})
	}
	if least, most := f.MinTokens, f.MaxTokens; least > 0 || most > 0 {
		out = append(out, test[Trace]{
			column: "length_tokens",
			match:  func(t *Trace) bool { return t.LengthTokens >= least && (most == 0 || t.LengthTokens <= most) },
			rules:  func(low, high parquet.Value) bool { return high.Int32() < least || most > 0 && low.Int32() > most },
		})
	}
	return out
}

// beyond says whether want lies outside the statistics of a column of texts. A writer may cut long
// values short there: a lower bound stays one, an upper bound is taken to cover what begins with it.
func beyond(want string, low, high []byte) bool {
	return want < string(low) || want > string(high) && !strings.HasPrefix(want, string(high))
}
