package graph

import (
	"fmt"
)

// Batch is a set of sequences packed end to end. "This token" alignment: position t of every
// result speaks of token t, and the first token of a sequence has no log-probability.
type Batch struct {
	Tokens  []int32 // all sequences, one after the other
	Offsets []int32 // sequence i is Tokens[Offsets[i]:Offsets[i+1]]; len = sequences + 1

	// Targets lists, in increasing order, the positions whose log-probability is wanted, none of
	// them the first of its sequence. nil means all that have one.
	Targets []int32

	// Temperature of each sequence: log-probabilities are those of softmax(logits/temperature).
	// nil means 1; entries must be positive.
	Temperature []float32
}

// Sequences is the number of sequences.
func (b *Batch) Sequences() int { return len(b.Offsets) - 1 }

// check reports what would make a run read out of bounds.
func (b *Batch) check(vocab, context int) error {
	n := len(b.Tokens)
	if len(b.Offsets) < 2 || b.Offsets[0] != 0 || int(b.Offsets[len(b.Offsets)-1]) != n {
		return fmt.Errorf("offsets must run from 0 to the %d tokens of at least one sequence", n)
	}
	for i := range b.Sequences() {
		switch length := int(b.Offsets[i+1]) - int(b.Offsets[i]); {
		case length < 1:
			return fmt.Errorf("sequence %d is empty or its offsets decrease", i)
		case length > context:
			return fmt.Errorf("sequence %d has %d tokens, more than the context of %d", i, length, context)
		}
	}
	for t, id := range b.Tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("token %d at position %d is outside the vocabulary of %d", id, t, vocab)
		}
	}
	seq, last := 0, int32(-1)
	for _, t := range b.Targets {
		if t <= last || int(t) >= n {
			return fmt.Errorf("target position %d is out of order or beyond the %d tokens", t, n)
		}
		for b.Offsets[seq+1] <= t {
			seq++
		}
		if b.Offsets[seq] == t {
			return fmt.Errorf("target position %d is the first token of sequence %d, which has no log-probability", t, seq)
		}
		last = t
	}
	if b.Temperature != nil && len(b.Temperature) != b.Sequences() {
		return fmt.Errorf("%d temperatures for %d sequences", len(b.Temperature), b.Sequences())
	}
	for i, v := range b.Temperature {
		if !(v > 0) || v > 1e6 {
			return fmt.Errorf("temperature %v of sequence %d is not a positive number", v, i)
		}
	}
	return nil
}

// layout is the part of a run that operations read besides their inputs: how many rows are live
// and where sequences begin. One layout is shared by all operations of a machine and filled before
// each run.
type layout struct {
	capacity int
	rows     int
	offsets  []int32
	targets  []int32   // positions that are scored; row t-1 predicts token t
	inverse  []float32 // 1/temperature of each target
}

// set points the layout at a batch that has been checked.
func (l *layout) set(b *Batch) {
	l.rows = len(b.Tokens)
	l.offsets = b.Offsets
	l.targets, l.inverse = l.targets[:0], l.inverse[:0]
	scale := func(seq int) float32 {
		if b.Temperature == nil {
			return 1
		}
		return 1 / b.Temperature[seq]
	}
	if b.Targets == nil {
		for s := range b.Sequences() {
			for t := b.Offsets[s] + 1; t < b.Offsets[s+1]; t++ {
				l.targets = append(l.targets, t)
				l.inverse = append(l.inverse, scale(s))
			}
		}
		return
	}
	s := 0
	for _, t := range b.Targets {
		for b.Offsets[s+1] <= t {
			s++
		}
		l.targets = append(l.targets, t)
		l.inverse = append(l.inverse, scale(s))
	}
}

// sequences is the number of live sequences.
func (l *layout) sequences() int { return len(l.offsets) - 1 }
