package loss

import (
	"math/rand/v2"
	"testing"
)

// step is an update of the quickstart's size: 96 sequences of about 130 tokens, every second pair of
// neighbours a group.
func step() *Batch {
	r := rand.New(rand.NewPCG(1, 2))
	b := &Batch{Offsets: []int32{0}}
	for i := range 96 {
		a := float32(1)
		if i%2 == 1 {
			a = -1
		}
		for range 100 + r.IntN(60) {
			lp := -float32(r.ExpFloat64())
			b.LogProbs = append(b.LogProbs, lp)
			b.Behavior = append(b.Behavior, lp+.1*float32(r.NormFloat64()))
			b.Proximal = append(b.Proximal, lp+.1*float32(r.NormFloat64()))
			b.Reference = append(b.Reference, lp+.1*float32(r.NormFloat64()))
			b.Entropy = append(b.Entropy, r.Float32())
			b.Advantage = append(b.Advantage, a)
			b.Weight = append(b.Weight, 1e-4)
		}
		b.Offsets = append(b.Offsets, int32(len(b.LogProbs)))
		b.Group = append(b.Group, int32(i/2))
	}
	return b
}

func BenchmarkEval(b *testing.B) {
	batch := step()
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			fn := mustNew(b, name, nil)
			var out Result
			b.ReportAllocs()
			for b.Loop() {
				if err := fn.Eval(batch, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.LogProbs)), "ns/token")
		})
	}
}

func TestEvalAllocatesNothingOnceItsResultIsWarm(t *testing.T) {
	batch := step()
	for _, name := range Names() {
		fn := mustNew(t, name, nil)
		var out Result
		n := testing.AllocsPerRun(3, func() {
			if err := fn.Eval(batch, &out); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
