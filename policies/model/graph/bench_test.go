package graph

import (
	"testing"

	"pith/policies/model"
)

// quickstart is the shape of the shipped base policy.
func quickstart() model.Config {
	return model.Config{
		Arch: model.Llama, VocabSize: 64, HiddenSize: 128, IntermediateSize: 256, NumLayers: 3,
		NumHeads: 4, NumKVHeads: 4, HeadDim: 32, MaxContext: 288, RMSNormEps: 1e-5, RopeTheta: 1000,
		TieEmbeddings: true, BOS: 1, EOS: 2, PAD: 0,
	}
}

// mixed is about n tokens in sequences of 50 to 139, 95 on average.
func mixed(c model.Config, n int) *Batch {
	var lengths []int
	for i := 0; n > 0; i++ {
		l := min(n, 50+(37*i)%90)
		lengths = append(lengths, l)
		n -= l
	}
	b := batch(c, lengths...)
	b.Temperature = nil
	return b
}

func BenchmarkAccumulate(b *testing.B) {
	c := quickstart()
	w := model.NewWeights(c)
	w.Init(1, model.InitOptions{})
	for _, n := range []int{512, 1024, 2048, 6144} {
		b.Run(sizeName(n), func(b *testing.B) {
			m, err := New(c, w.Flat(), make([]float32, len(w.Flat())))
			if err != nil {
				b.Fatal(err)
			}
			x := mixed(c, n)
			if _, err := m.Accumulate(x, smooth[float32]); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Accumulate(x, smooth[float32]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func sizeName(n int) string {
	return map[int]string{512: "512", 1024: "1024", 2048: "2048", 6144: "6144"}[n] + "tokens"
}
