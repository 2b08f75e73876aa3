package model

import (
	"hash/fnv"
	"math"
	"strings"

	"pith/policies/model/random"
)

// InitOptions are the standard deviations of the initial weights. The zero value selects the
// defaults, which the quickstart's pre-training depends on: with embeddings of 0.02 the block
// outputs drown the identity of the token, and arithmetic facts are not learnt.
type InitOptions struct {
	EmbeddingSD float64 // default 0.1; also of an untied output projection
	LinearSD    float64 // default HiddenSize^-1/2
	// ResidualScale multiplies LinearSD for the two projections that write into the residual
	// stream, o_proj and down_proj. Default (2*NumLayers)^-1/2.
	ResidualScale float64
}

// Init draws all weights: matrices from a normal distribution, norms 1, biases 0. Every value is a
// function of (seed, tensor name, element) alone and the same to the bit on every platform.
func (w *Weights) Init(seed uint64, o InitOptions) {
	if o.EmbeddingSD == 0 {
		o.EmbeddingSD = 0.1
	}
	if o.LinearSD == 0 {
		o.LinearSD = 1 / math.Sqrt(float64(w.Config.HiddenSize))
	}
	if o.ResidualScale == 0 {
		o.ResidualScale = 1 / math.Sqrt(float64(2*w.Config.NumLayers))
	}
	for _, t := range w.tensors {
		switch {
		case strings.HasSuffix(t.Name, "norm.weight"):
			for i := range t.Data {
				t.Data[i] = 1
			}
			continue
		case strings.HasSuffix(t.Name, ".bias"):
			clear(t.Data)
			continue
		}
		sd := o.LinearSD
		switch {
		case strings.HasSuffix(t.Name, "embed_tokens.weight"), strings.HasPrefix(t.Name, "lm_head."):
			sd = o.EmbeddingSD
		case strings.HasSuffix(t.Name, "o_proj.weight"), strings.HasSuffix(t.Name, "down_proj.weight"):
			sd *= o.ResidualScale
		}
		name := fnv.New64a()
		name.Write([]byte(t.Name))
		stream := name.Sum64()
		for i := range t.Data {
			t.Data[i] = float32(sd * random.Normal(seed, stream, uint64(i)))
		}
	}
}
