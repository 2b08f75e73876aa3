// Package families is the explicit table of problem sources that a config can name: the generated
// task families, and problem files. It is the only place that knows them all; the packages below
// it (datasets, datasets/clock) do not know each other's siblings.
//
// A family may come with a vocabulary (a policy trained from nothing can use it as its tokenizer),
// with tokens that structure its traces, with tools, and with teachers whose traces make a base
// policy. Problem files have none of these: there the policy's own tokenizer and chat template
// decide.
package families

import (
	"fmt"
	"slices"
	"strings"

	"pith/datasets"
)

// Tool executes one call that a policy wrote in a trace of the problem. ok is false, and the result
// empty, where the arguments are malformed. Safe for concurrent use; never blocks.
type Tool func(p datasets.Problem, arguments string) (result string, ok bool)

// Markers are the tokens that structure a trace of the family; "" where it has no such token.
type Markers struct {
	Pad, BOS, EOS     string
	Think, EndThink   string // around the thought; Think ends the prompt
	Cut               string // inserted before EndThink where the environment cuts a thought
	Call, EndCall     string // around the arguments of a tool call
	Result, EndResult string // around its result, both inserted by the environment
}

// Example gives one supervised example as a pure function of (step, row): the ids of a whole
// sequence and, for each token, whether the loss includes it as a target.
type Example func(step, row int) (ids []int32, train []bool, err error)

// Family is an opened source with what belongs to it. The zero values of Vocabulary, Special,
// Markers and Tools mean that it has none.
type Family struct {
	Source     datasets.Source
	Vocabulary []string // tokens in the order of their ids; text is tokens separated by single blanks
	Special    []string // the tokens among them that structure rather than say
	Markers    Markers
	Tools      map[string]Tool
	// Budget puts a token budget into a prompt in the family's own words; nil where it has none.
	Budget func(prompt string, tokens int) string

	teachers []teacher
}

// teacher makes examples under a name, with parameters that override its defaults.
type teacher struct {
	name, about string
	open        func(seed uint64, params map[string]any) (Example, error)
}

// Teachers returns the names of the family's teachers, sorted; nil where it has none.
func (f *Family) Teachers() []string {
	var names []string
	for _, t := range f.teachers {
		names = append(names, t.name)
	}
	slices.Sort(names)
	return names
}

// Teacher opens a teacher by name. The parameters override its defaults and are decoded strictly.
func (f *Family) Teacher(name string, seed uint64, params map[string]any) (Example, error) {
	for _, t := range f.teachers {
		if t.name == name {
			example, err := t.open(seed, params)
			if err != nil {
				return nil, fmt.Errorf("teacher %s of %s: %w", name, f.Source.Name(), err)
			}
			return example, nil
		}
	}
	if len(f.teachers) == 0 {
		return nil, fmt.Errorf("%s has no teacher: start from a base policy that exists", f.Source.Name())
	}
	return nil, fmt.Errorf("%s has no teacher %q: it has %s", f.Source.Name(), name, strings.Join(f.Teachers(), ", "))
}

// entry is a row of the table.
type entry struct {
	name  string
	about string // one line
	open  func(seed uint64, params map[string]any) (*Family, error)
	keys  func() []Key
}

// table lists every source. Add a family here and nowhere else.
var table = []entry{
	{"clock", "labelled operations modulo 10, levels 1 to 8, held-out split by construction", openClock(false), clockKeys},
	{"clock-tools", "clock arithmetic in which an operand may be hidden and a tool knows it", openClock(true), clockKeys},
	{"relay", "follow arrows between letters for a number of hops, levels 1 to 12", openRelay, relayKeys},
	{"file", "problems from JSONL or Parquet files, with field mapping and held-out split", openFile, fileKeys},
}

// Names returns the names that [Open] knows, in the order of the table.
func Names() []string {
	var names []string
	for _, e := range table {
		names = append(names, e.name)
	}
	return names
}

// About returns one line on a source, and its parameters with their types; an error for an unknown
// name.
func About(name string) (about string, keys []Key, err error) {
	e, err := find(name)
	if err != nil {
		return "", nil, err
	}
	return e.about, e.keys(), nil
}

// Open opens a source by name. The seed chooses the problems of a generated family and the
// shuffles of a file. Parameters override the defaults and are decoded strictly: an unknown key, a
// wrong type or a value out of range is an error that says what would be valid.
func Open(name string, seed uint64, params map[string]any) (*Family, error) {
	e, err := find(name)
	if err != nil {
		return nil, err
	}
	f, err := e.open(seed, params)
	if err != nil {
		return nil, fmt.Errorf("data source %s: %w", name, err)
	}
	return f, nil
}

func find(name string) (entry, error) {
	for _, e := range table {
		if e.name == name {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("no data source %q: use one of %s", name, strings.Join(Names(), ", "))
}
