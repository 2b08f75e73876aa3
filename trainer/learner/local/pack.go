package local

import (
	"pith/policies/loss"
	"pith/policies/model/graph"
	"pith/trainer/learner"
)

// cut groups the chosen data into parts of at most budget tokens, in order; a datum that is larger
// than the budget is a part of its own.
func cut(d []learner.Datum, chosen []int, budget int) [][]int {
	var parts [][]int
	tokens := 0
	for _, i := range chosen {
		n := len(d[i].Tokens)
		if len(parts) == 0 || tokens+n > budget {
			parts = append(parts, nil)
			tokens = 0
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], i)
		tokens += n
	}
	return parts
}

// packer lays data end to end. Its memory is reused: what it returns is valid until its next call.
type packer struct {
	batch graph.Batch
	loss  loss.Batch
}

// sequences packs what the graph reads; targets are the trained tokens.
func (p *packer) sequences(d []learner.Datum, part []int) *graph.Batch {
	b := &p.batch
	b.Tokens, b.Offsets, b.Temperature = b.Tokens[:0], append(b.Offsets[:0], 0), b.Temperature[:0]
	if b.Targets == nil {
		b.Targets = []int32{}
	}
	b.Targets = b.Targets[:0]
	for _, i := range part {
		at := int32(len(b.Tokens))
		for t, w := range d[i].Train {
			if w != 0 {
				b.Targets = append(b.Targets, at+int32(t))
			}
		}
		b.Tokens = append(b.Tokens, d[i].Tokens...)
		b.Offsets = append(b.Offsets, int32(len(b.Tokens)))
		temperature := float32(d[i].Temperature)
		if temperature == 0 {
			temperature = 1
		}
		b.Temperature = append(b.Temperature, temperature)
	}
	return b
}

// columns packs what a loss reads, without log-probabilities and entropies, which are cleared.
func (p *packer) columns(d []learner.Datum, part []int) *loss.Batch {
	b := &p.loss
	n := 0
	b.Offsets, b.Group = append(b.Offsets[:0], 0), b.Group[:0]
	for _, i := range part {
		n += len(d[i].Tokens)
		b.Offsets = append(b.Offsets, int32(n))
		b.Group = append(b.Group, d[i].Group)
	}
	for _, c := range []struct {
		to       *[]float32
		of       func(*learner.Datum) []float32
		optional bool
	}{
		{&b.Weight, func(d *learner.Datum) []float32 { return d.Train }, false},
		{&b.Advantage, func(d *learner.Datum) []float32 { return d.Advantage }, false},
		{&b.Behavior, func(d *learner.Datum) []float32 { return d.Behavior }, true},
		{&b.Proximal, func(d *learner.Datum) []float32 { return d.Proximal }, true},
		{&b.Reference, func(d *learner.Datum) []float32 { return d.Reference }, true},
		{&b.LogProbs, func(*learner.Datum) []float32 { return nil }, false},
		{&b.Entropy, func(*learner.Datum) []float32 { return nil }, false},
	} {
		fill(c.to, d, part, n, c.of, c.optional)
	}
	return b
}

// fill packs one column. An optional one that any datum lacks is nil, so that a loss which needs it
// says so instead of reading zeros.
func fill(to *[]float32, d []learner.Datum, part []int, n int, of func(*learner.Datum) []float32, optional bool) {
	if optional {
		for _, i := range part {
			if of(&d[i]) == nil {
				*to = nil
				return
			}
		}
	}
	out := *to
	if cap(out) < n {
		out = make([]float32, n)
	}
	out = out[:n]
	at := 0
	for _, i := range part {
		end := at + len(d[i].Tokens)
		clear(out[at+copy(out[at:end], of(&d[i])) : end])
		at = end
	}
	*to = out
}

// scatter writes packed results to the rows of the data they belong to.
func scatter(rows [][]float32, values []float32, targets, offsets []int32, part []int) {
	s := 0
	for k, t := range targets {
		for offsets[s+1] <= t {
			s++
		}
		rows[part[s]][t-offsets[s]] = values[k]
	}
}
