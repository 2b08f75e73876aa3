package trainer

import (
	"fmt"

	"pith/policies/loss"
	"pith/traces"
	"pith/trainer/learner"
)

// cut divides the traces of n groups, which stand group by group, into at most parts mini-batches
// of whole groups, as even as can be.
func cut(rows []*traces.Trace, parts int) [][]*traces.Trace {
	var starts []int
	for i, t := range rows {
		if i == 0 || t.Group != rows[i-1].Group {
			starts = append(starts, i)
		}
	}
	n := len(starts)
	starts = append(starts, len(rows))
	parts = min(parts, n)
	var out [][]*traces.Trace
	for p := range parts {
		out = append(out, rows[starts[p*n/parts]:starts[(p+1)*n/parts]])
	}
	return out
}

// trainMask marks the response tokens that take part in the loss.
func trainMask(t *traces.Trace, dst []bool) {
	for _, s := range t.Segments {
		if !s.Train || !s.Kind.Sampled() {
			continue
		}
		for i := s.Start; i < s.End; i++ {
			dst[i] = true
		}
	}
}

// tokenAdvantages spreads a trace's advantage over its response tokens. Where the method gave
// ranges, tokens outside all of them get 0.
func tokenAdvantages(t *traces.Trace, dst []float32) {
	if len(t.TokenAdvantages) == 0 {
		for i := range dst {
			dst[i] = float32(t.Advantage)
		}
		return
	}
	for _, a := range t.TokenAdvantages {
		for i := a.Start; i < a.End; i++ {
			dst[i] = float32(a.Value)
		}
	}
}

// indexed numbers the groups of rows that stand group by group.
func indexed(rows []*traces.Trace) []int32 {
	group := make([]int32, len(rows))
	index := int32(-1)
	for i, t := range rows {
		if i == 0 || t.Group != rows[i-1].Group {
			index++
		}
		group[i] = index
	}
	return group
}

// datums turns one mini-batch into what a learner reads. The weights of the aggregation count
// every trained token of the mini-batch, those without an advantage included. group numbers the
// rows that belong together.
func datums(rows []*traces.Trace, group []int32, kind loss.Aggregation, constant float64) ([]learner.Datum, error) {
	offsets := make([]int32, 1, len(rows)+1)
	var mask []bool
	for _, t := range rows {
		start := len(mask)
		mask = append(mask, make([]bool, len(t.PromptTokens)+len(t.Tokens))...)
		trainMask(t, mask[start+len(t.PromptTokens):])
		offsets = append(offsets, int32(len(mask)))
	}
	weights, err := loss.Aggregate(kind, constant, offsets, mask, group)
	if err != nil {
		return nil, fmt.Errorf("mini-batch: %w", err)
	}
	out := make([]learner.Datum, len(rows))
	for i, t := range rows {
		prompt, total := len(t.PromptTokens), len(t.PromptTokens)+len(t.Tokens)
		d := learner.Datum{
			Tokens: make([]int32, total), Train: weights[offsets[i]:offsets[i+1]], Advantage: make([]float32, total),
			Behavior: make([]float32, total), Group: group[i], Temperature: t.Temperature, Tag: t.ID,
		}
		copy(d.Tokens, t.PromptTokens)
		copy(d.Tokens[prompt:], t.Tokens)
		copy(d.Behavior[prompt:], t.LogProbs)
		tokenAdvantages(t, d.Advantage[prompt:])
		out[i] = d
	}
	return out, nil
}
