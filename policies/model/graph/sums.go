package graph

// orderedSums adds parameter gradients that come row by row: each unit (a sequence, or a head of
// one) is summed on its own, in parallel, and the sums are added in the order of the units. Units
// never cross sequences, so a batch cut between sequences gives the same bits as the whole.
type orderedSums[T Float] struct {
	part *[]T // shared by all operations of a machine, which run one after the other
}

// run calls f for each of n units with a cleared accumulator as long as all totals together, and adds
// the accumulators to the totals in order.
func (s orderedSums[T]) run(n int, f func(unit int, sum []T), totals ...[]T) {
	dim := 0
	for _, t := range totals {
		dim += len(t)
	}
	if len(*s.part) < n*dim {
		*s.part = make([]T, n*dim)
	}
	part := (*s.part)[:n*dim]
	clear(part)
	parallel(n, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			f(i, part[i*dim:(i+1)*dim])
		}
	})
	for i := range n {
		at := i * dim
		for _, t := range totals {
			add(t, part[at:at+len(t)])
			at += len(t)
		}
	}
}
