package generate

import (
	"pith/policies/kernel"
	"pith/policies/model"
)

// Memory is what a [Decoder] and its policies need, in bytes.
type Memory struct {
	Policy    int64 // one packed policy; every live policy costs as much
	Cache     int64 // keys and values at the most; taken from the system as it is first needed
	Workspace int64 // activations of the blocks in flight
	// Sequence is the cache of one sequence at the full context.
	Sequence int64
}

// Total is the sum for the given number of live policies.
func (m Memory) Total(policies int) int64 { return int64(policies)*m.Policy + m.Cache + m.Workspace }

// Estimate computes the memory for policies of shape c.
func Estimate(c model.Config, o Options) Memory {
	d := NewDecoder(o)
	page := int64(4 * shapeOf(c).pageFloats())
	pages := int64(defaultPages(d.slots, min(d.context, c.MaxContext)))
	if o.CacheBytes > 0 {
		pages = o.CacheBytes / page
	}
	perRow := 2*c.HiddenSize + c.QKVDim() + c.QueryDim() + 2*c.IntermediateSize + c.VocabSize + 1
	return Memory{
		Policy:    packedBytes(c),
		Cache:     pages * page,
		Workspace: int64(kernel.Threads()) * int64(4*perRow*chunkRows),
		Sequence:  int64(pagesFor(min(d.context, c.MaxContext))) * page,
	}
}

// packedBytes is the size of what [Pack] makes: panels are padded to 32 columns, and the embedding
// is kept apart from the output projection because one is read by rows and the other by panels.
func packedBytes(c model.Config) int64 {
	pad := func(n int) int { return (n + 31) / 32 * 32 }
	h, f := c.HiddenSize, c.IntermediateSize
	layer := h*pad(c.QKVDim()) + c.QueryDim()*pad(h) + h*pad(2*f) + f*pad(h) + 2*h
	if c.AttentionBias {
		layer += c.QKVDim()
	}
	if c.QKNorm {
		layer += 2 * c.HeadDim
	}
	return 4 * int64(c.NumLayers*layer+h*pad(c.VocabSize)+c.VocabSize*h+h)
}
