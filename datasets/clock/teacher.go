package clock

import (
	"fmt"

	"pith/datasets"
	"pith/datasets/rng"
)

// Lesson is one supervised example: a problem of the train split and what the teacher wrote.
type Lesson struct {
	Problem datasets.Problem
	Tokens  []string // prompt, then response
	Train   []bool   // per token; false for the prompt, for what the environment wrote, and for a cut thought
	Prompt  int      // the first Prompt tokens are the prompt

	Right      bool // the answer is right
	AtOnce     bool // without a thought
	Planned    bool // restated the problem
	FalseStart bool // began, then "again"
	Waited     bool // noticed an error of its own
	Cut        bool // the thought was cut by the environment
	Checks     int  // passes after the first
	Calls      int  // tool calls
}

// Length counts the response tokens that the policy would have sampled (thought, EndThink, answer,
// EOS); what the environment wrote is not among them.
func (l Lesson) Length() int {
	n := 0
	for i := l.Prompt; i < len(l.Tokens); i++ {
		switch l.Tokens[i] {
		case Cut:
			i++ // with the EndThink after it
		case Result:
			for l.Tokens[i] != EndResult {
				i++
			}
		default:
			n++
		}
	}
	return n
}

// Teacher generates supervised examples. Each is a pure function of (seed, step, row); it is
// immutable and safe for concurrent use.
type Teacher struct {
	family *Family
	seed   uint64
	levels []int
	kind   uint64 // keeps the streams of different teachers apart
	author author
}

// author writes the response to a problem.
type author interface {
	write(r *rng.Stream, f *Family, c chain, s *script)
}

// NewTeacher returns the reasoner on the family's train split.
func NewTeacher(f *Family, seed uint64, o TeacherOptions) (*Teacher, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("teacher options: %w", err)
	}
	if f.o.Tools {
		return nil, fmt.Errorf("teacher: the family %s has hidden digits: use NewToolTeacher", f.Name())
	}
	return &Teacher{family: f, seed: seed, levels: levelsOf(f, o.Levels), kind: rng.Text("clock/reasoner"), author: reasoner{o}}, nil
}

// NewToolTeacher returns the tool user on the train split of a family with Tools set.
func NewToolTeacher(f *Family, seed uint64, o ToolTeacherOptions) (*Teacher, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("tool teacher options: %w", err)
	}
	if !f.o.Tools {
		return nil, fmt.Errorf("tool teacher: the family %s has no tool: set tools in its options", f.Name())
	}
	return &Teacher{family: f, seed: seed, levels: levelsOf(f, o.Levels), kind: rng.Text("clock/tool-user"), author: toolUser{o}}, nil
}

func levelsOf(f *Family, levels []int) []int {
	if len(levels) > 0 {
		return levels
	}
	var all []int
	for l := f.o.MinLevel; l <= f.o.MaxLevel; l++ {
		all = append(all, l)
	}
	return all
}

// Example returns the ids of a whole sequence (prompt and response) and, for each token, whether
// the loss includes it: Train[t] speaks of token t as a target. It is the form that supervised
// training takes. The only possible error is a family whose options leave a level without
// training problems.
func (t *Teacher) Example(step, row int) (ids []int32, train []bool, err error) {
	l, err := t.Lesson(step, row)
	if err != nil {
		return nil, nil, err
	}
	return mustIDs(l.Tokens), l.Train, nil
}

// Lesson returns the example with its annotations.
func (t *Teacher) Lesson(step, row int) (Lesson, error) {
	r := rng.New(t.seed, t.kind, uint64(step), uint64(row))
	c, err := t.family.draw(&r, datasets.Train, t.levels[r.IntN(len(t.levels))])
	if err != nil {
		return Lesson{}, fmt.Errorf("%s teacher: step %d, row %d: %w", t.family.Name(), step, row, err)
	}
	prompt := c.prompt()
	s := &script{Lesson: Lesson{
		Problem: t.family.problem(c), Tokens: prompt, Train: make([]bool, len(prompt)), Prompt: len(prompt),
	}}
	t.author.write(&r, t.family, c, s)
	return s.Lesson, nil
}

// script is a lesson that is being written.
type script struct{ Lesson }

// say appends what the policy is to learn to write.
func (s *script) say(tokens ...string) {
	for _, t := range tokens {
		s.Tokens, s.Train = append(s.Tokens, t), append(s.Train, true)
	}
}

// environment appends what the environment inserts.
func (s *script) environment(tokens ...string) {
	for _, t := range tokens {
		s.Tokens, s.Train = append(s.Tokens, t), append(s.Train, false)
	}
}

func (s *script) thought() int { return len(s.Tokens) - s.Prompt }

// finish ends the thought and answers.
func (s *script) finish(c chain, answer int) {
	s.say(EndThink, digits[answer], EOS)
	s.Right = answer == c.answer()
}

// wrongDigit is uniform over the nine digits other than v.
func wrongDigit(r *rng.Stream, v int) int { return (v + 1 + r.IntN(9)) % 10 }

// line writes one step in a style: operation number i takes v to result.
func line(style Style, i, v int, o op, result int) []string {
	switch style {
	case Verbose:
		return []string{labels[i], digits[v], o.token(), wordEquals, digits[result], wordEnd}
	case Medium:
		return []string{labels[i], o.token(), wordEquals, digits[result]}
	default: // Terse and Skip
		return []string{labels[i], digits[result]}
	}
}
