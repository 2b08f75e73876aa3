package metrics

import "math"

// Offsets of the information capacity for the kinds of text that its authors measured (arXiv
// 2511.08066), in bits for each token.
const (
	CapacityMixedText   = -24.0
	CapacityChineseText = -18.7
	CapacityOtherText   = -27.0
)

// InformationCapacity is (text bits - NLL + offset) / log2(FLOPs), per token (arXiv 2511.08066):
// textBits is the UTF-8 size, in bits, of the text that a predicted token stands for; nll its mean
// -log2 p; flops the arithmetic of decoding a token. Higher is better compression for the compute.
func InformationCapacity(textBits, nll, offset, flops float64) float64 {
	return (textBits - nll + offset) / math.Log2(flops)
}

// Shape is a dense decoder with grouped-query attention and gated MLPs.
type Shape struct {
	Layers, Width, Heads, KVHeads, Hidden, Vocabulary int
}

// DecodeFLOPs is the arithmetic of generating tokens tokens after a context of context tokens, as the
// authors' code counts it; divide by tokens for the F of [InformationCapacity], where they use 1,024
// tokens after none.
func (s Shape) DecodeFLOPs(tokens, context int) float64 {
	d, t := float64(s.Width), float64(tokens)
	head := d / float64(s.Heads)
	kv := float64(s.KVHeads) * head
	attended := t*float64(context) + t*(t-1)/2
	layer := t*(4*d*d+4*d*kv+6*d*float64(s.Hidden)) + 4*float64(s.Heads)*head*attended
	return float64(s.Layers)*layer + 2*t*d*float64(s.Vocabulary)
}
