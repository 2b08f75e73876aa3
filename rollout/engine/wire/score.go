package wire

import (
	"fmt"
	"sync"
)

// CheckScored refuses sequences that no server could score: a token is drawn and thrown away after
// each, so it must leave room for one in a context of maxContext (0: unknown).
func CheckScored(op string, tokens [][]int32, maxContext, vocab int) error {
	for i, seq := range tokens {
		if err := CheckIDs(op, seq, vocab); err != nil {
			return err
		}
		if maxContext > 0 && len(seq) >= maxContext {
			return Refused(op, "sequence %d has %d tokens; at most %d can be scored in a context of %d", i, len(seq), maxContext-1, maxContext)
		}
	}
	return nil
}

// ScoreEach scores all sequences at once, each with a call of one, and returns the first error in
// their order.
func ScoreEach(op string, tokens [][]int32, one func(op string, tokens []int32) ([]float32, error)) ([][]float32, error) {
	out, errs := make([][]float32, len(tokens)), make([]error, len(tokens))
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() { out[i], errs[i] = one(fmt.Sprintf("%s of sequence %d", op, i), tokens[i]) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
