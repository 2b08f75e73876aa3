package lora

import (
	"fmt"
	"slices"

	"pith/policies/kernel"
	"pith/policies/model"
)

// Merge returns w with the adapter added to it. w is left as it is. The product B·A is formed in
// float32, each element a chain in the order of the rank, scaled and added.
func Merge(w *model.Weights, a *Adapter) (*model.Weights, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	// Everything is checked before anything is copied.
	for _, m := range a.Modules {
		if _, err := target(w, m); err != nil {
			return nil, fmt.Errorf("merge adapter: %w", err)
		}
	}
	for name, data := range a.copies {
		if t, ok := w.Tensor(name); !ok || !slices.Equal(t.Data, data) {
			return nil, fmt.Errorf("merge adapter: its copy of the base's %q is not what this policy has; the adapter is for another base", name)
		}
	}
	merged := w.Clone()
	var product []float32
	for _, m := range a.Modules {
		t, err := target(merged, m)
		if err != nil {
			return nil, fmt.Errorf("merge adapter: %w", err)
		}
		if len(product) < len(t.Data) {
			product = make([]float32, len(t.Data))
		}
		kernel.Gemm(false, false, m.Out, m.In, m.Rank, m.B, m.Rank, m.A, m.In, 0, product, m.In)
		kernel.Axpy(float32(a.Scale(m)), product[:len(t.Data)], t.Data)
	}
	return merged, nil
}
