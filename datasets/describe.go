package datasets

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Statistics describe a source, for people (WriteText) and for programs (JSON).
type Statistics struct {
	Name        string            `json:"name"`
	Fingerprint string            `json:"fingerprint"`
	Splits      []SplitStatistics `json:"splits"`
	Report      *Report           `json:"report,omitempty"` // of problem files
}

// SplitStatistics describe the first Looked problems of a split.
type SplitStatistics struct {
	Split    Split     `json:"split"`
	Problems int       `json:"problems"` // distinct; 0 where generated without end
	Looked   int       `json:"looked"`   // at how many the rest is about
	Levels   []Count   `json:"levels"`   // by level
	Prompt   Quantiles `json:"prompt"`   // length, in Unit
	Unit     string    `json:"unit"`     // characters, or tokens
	Answers  []Count   `json:"answers"`  // the most frequent ones
	Distinct int       `json:"distinct"` // answers
	Hidden   int       `json:"hidden"`   // problems with something that only the environment knows
	Examples []Problem `json:"examples"`
}

// Count says how often a value occurs.
type Count struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Quantiles of a length.
type Quantiles struct {
	Min    int     `json:"min"`
	Median int     `json:"median"`
	P95    int     `json:"p95"`
	Max    int     `json:"max"`
	Mean   float64 `json:"mean"`
}

// DescribeOptions bound the work. The zero value looks at every problem of a file and at 2,000
// generated ones, and shows three examples a split.
type DescribeOptions struct {
	Look     int                     // at most this many problems a split; 0 = as above
	Examples int                     // 0 = 3; negative = none
	Answers  int                     // 0 = 10
	Tokens   func(prompt string) int // counts tokens; nil = characters are counted
}

// lookGenerated is how many problems of an endless source are looked at by default.
const lookGenerated = 2000

// Describe looks at the problems of both splits. A source that holds nothing out has one split.
func Describe(src Source, o DescribeOptions) (Statistics, error) {
	st := Statistics{Name: src.Name(), Fingerprint: src.Fingerprint()}
	if f, ok := src.(*File); ok {
		r := f.Report()
		st.Report = &r
	}
	for _, split := range []Split{Train, HeldOut} {
		if split == HeldOut && src.Len(Train) > 0 && src.Len(HeldOut) == 0 {
			continue
		}
		s, err := describeSplit(src, split, o)
		if err != nil {
			return Statistics{}, err
		}
		st.Splits = append(st.Splits, s)
	}
	return st, nil
}

func describeSplit(src Source, split Split, o DescribeOptions) (SplitStatistics, error) {
	s := SplitStatistics{Split: split, Problems: src.Len(split), Unit: "characters"}
	s.Looked = s.Problems
	if s.Looked == 0 {
		s.Looked = lookGenerated
	}
	if o.Look > 0 {
		s.Looked = o.Look
		if s.Problems > 0 {
			s.Looked = min(o.Look, s.Problems)
		}
	}
	length := utf8.RuneCountInString
	if o.Tokens != nil {
		length, s.Unit = o.Tokens, "tokens"
	}
	levels, answers := map[int]int{}, map[string]int{}
	lengths := make([]int, 0, s.Looked)
	for i := range int64(s.Looked) {
		p, err := src.Problem(split, i)
		if err != nil {
			return s, err
		}
		levels[p.Level]++
		answers[p.Answer]++
		lengths = append(lengths, length(p.Prompt))
		if len(p.Hidden) > 0 {
			s.Hidden++
		}
		if len(s.Examples) < cmp.Or(o.Examples, 3) {
			s.Examples = append(s.Examples, p)
		}
	}
	for _, l := range slices.Sorted(maps.Keys(levels)) {
		s.Levels = append(s.Levels, Count{fmt.Sprint(l), levels[l]})
	}
	s.Distinct = len(answers)
	for _, a := range slices.SortedFunc(maps.Keys(answers), func(a, b string) int {
		return cmp.Or(answers[b]-answers[a], strings.Compare(a, b))
	}) {
		if len(s.Answers) == cmp.Or(o.Answers, 10) {
			break
		}
		s.Answers = append(s.Answers, Count{a, answers[a]})
	}
	s.Prompt = quantiles(lengths)
	return s, nil
}

// quantiles sorts v. The q-quantile is the smallest value that at least a share q does not exceed.
func quantiles(v []int) Quantiles {
	if len(v) == 0 {
		return Quantiles{}
	}
	slices.Sort(v)
	sum := 0
	for _, x := range v {
		sum += x
	}
	at := func(percent int) int { return v[(len(v)*percent+99)/100-1] }
	return Quantiles{Min: v[0], Median: at(50), P95: at(95), Max: v[len(v)-1], Mean: float64(sum) / float64(len(v))}
}

// WriteText writes the statistics for a reader at a terminal.
func (st Statistics) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "source\t%s\nfingerprint\t%s\n", st.Name, st.Fingerprint)
	if r := st.Report; r != nil {
		fmt.Fprintf(t, "files\t%s\n", strings.Join(r.Files, ", "))
		fmt.Fprintf(t, "rows\t%d read, %d left out as bad, %d with a question seen before, %d removed because held out\n", r.Rows, r.Bad, r.Duplicates, r.Removed)
		rule := ""
		if r.Fields.AnswerRule != "" {
			rule = " (" + r.Fields.AnswerRule + ")"
		}
		fmt.Fprintf(t, "shape\t%s: question from %s, answer from %s%s\n", r.Shape, r.Fields.Question, r.Fields.Answer, rule)
	}
	for _, s := range st.Splits {
		count := "without end"
		if s.Problems > 0 {
			count = fmt.Sprintf("%d problems", s.Problems)
		}
		fmt.Fprintf(t, "\n%s\t%s, looked at %d\n", s.Split, count, s.Looked)
		levels := counts(s.Levels)
		if len(s.Levels) == 1 && s.Levels[0].Value == "0" {
			levels = "not given"
		}
		fmt.Fprintf(t, "  levels\t%s\n", levels)
		fmt.Fprintf(t, "  prompt\t%.1f %s on average, median %d, 95%% up to %d, longest %d\n", s.Prompt.Mean, s.Unit, s.Prompt.Median, s.Prompt.P95, s.Prompt.Max)
		fmt.Fprintf(t, "  answers\t%d distinct; most frequent %s\n", s.Distinct, counts(s.Answers))
		if s.Hidden > 0 {
			fmt.Fprintf(t, "  hidden\t%d problems hide something that only a tool knows\n", s.Hidden)
		}
		for _, p := range s.Examples {
			fmt.Fprintf(t, "  %s\t%s → %s\n", oneLine(p.ID, 24), oneLine(p.Prompt, 100), oneLine(p.Answer, 40))
		}
	}
	return t.Flush()
}

func counts(cs []Count) string {
	parts := make([]string, len(cs))
	for i, c := range cs {
		parts[i] = fmt.Sprintf("%s: %d", oneLine(c.Value, 20), c.Count)
	}
	return strings.Join(parts, ", ")
}

// oneLine collapses blanks and shortens to n characters.
func oneLine(s string, n int) string {
	r := []rune(normal(s))
	if len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return string(r)
}
