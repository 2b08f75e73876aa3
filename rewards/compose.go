package rewards

// compose says how the terms of a reward become its total. Per-component normalisation is the
// estimator gdpo, which reads the terms themselves.
type compose struct {
	kind    composition
	weights []float64 // of the terms, for sum and gate; nil: all 1
}

type composition uint8

const (
	sum     composition = iota // Σ weight · term
	product                    // Π term
	gate                       // the first term times Σ weight · other terms
)

// total fills the reward column from the term columns.
func (c compose) total(terms [][]float64, reward []float64) {
	switch c.kind {
	case sum:
		clear(reward)
		c.add(terms, 0, reward)
	case product:
		copy(reward, terms[0])
		for _, term := range terms[1:] {
			for i, v := range term {
				reward[i] *= v
			}
		}
	case gate:
		clear(reward)
		c.add(terms, 1, reward)
		for i, open := range terms[0] {
			reward[i] *= open
		}
	}
}

func (c compose) add(terms [][]float64, from int, reward []float64) {
	for k := from; k < len(terms); k++ {
		weight := 1.0
		if c.weights != nil {
			weight = c.weights[k]
		}
		for i, v := range terms[k] {
			reward[i] += weight * v
		}
	}
}
