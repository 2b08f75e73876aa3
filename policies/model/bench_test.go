package model

import "testing"

// A policy of 26 million parameters: what a file gives per second, read and converted.
func BenchmarkLoad(b *testing.B) {
	c := Config{Arch: Qwen3, VocabSize: 4096, HiddenSize: 512, IntermediateSize: 1536, NumLayers: 8, NumHeads: 8, NumKVHeads: 4, HeadDim: 64,
		MaxContext: 1024, RMSNormEps: 1e-6, RopeTheta: 1e6, QKNorm: true, TieEmbeddings: true, BOS: -1, EOS: 2, PAD: -1}
	w := NewWeights(c)
	for i := range w.Flat() {
		w.Flat()[i] = float32(i%511) / 256
	}
	for _, tc := range []struct {
		name string
		o    []SaveOption
		size int64
	}{{"f32", nil, 4}, {"bf16", []SaveOption{BF16()}, 2}, {"f16", []SaveOption{F16()}, 2}} {
		b.Run(tc.name, func(b *testing.B) {
			dir := b.TempDir()
			if err := w.Save(dir, tc.o...); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(tc.size * c.Parameters())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
