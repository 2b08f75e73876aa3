package lora

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"pith/policies/model"
)

// Config is what adapter_config.json says, as far as it changes what the adapter does.
type Config struct {
	Base       string   // name or path of the policy that it was made for; informative
	Rank       int      // r; a module of another rank is named in rank_pattern by Save
	Alpha      float64  // lora_alpha; a module of another alpha is named in alpha_pattern by Save
	Dropout    float64  // of training; nothing at inference
	RankStable bool     // use_rslora: scale by alpha/sqrt(r) instead of alpha/r
	Targets    []string // suffixes of the modules' names, or one expression; filled in by Save where empty
}

// Module is the adapter of one matrix.
type Module struct {
	Name    string    // as in the policy, without .weight: model.layers.0.self_attn.q_proj
	Rank    int       // r of this module
	In, Out int       // of the adapted matrix [out, in]
	Alpha   float64   // of this module
	A       []float32 // [Rank, In]
	B       []float32 // [Out, Rank]
}

// Adapter is a low-rank change of a policy. Modules are sorted by name.
type Adapter struct {
	Config  Config
	Modules []Module

	// copies are weights of the base that the file repeats, by the name of the tensor. PEFT adds
	// them for an adapted lm_head.
	copies map[string][]float32
}

// Scale is the factor s of B·A for a module.
func (a *Adapter) Scale(m Module) float64 {
	if a.Config.RankStable {
		return m.Alpha / math.Sqrt(float64(m.Rank))
	}
	return m.Alpha / float64(m.Rank)
}

// Parameters counts the numbers of all A and B.
func (a *Adapter) Parameters() int {
	n := 0
	for _, m := range a.Modules {
		n += len(m.A) + len(m.B)
	}
	return n
}

// Validate reports what makes the adapter one that cannot be written or applied.
func (a *Adapter) Validate() error {
	if len(a.Modules) == 0 {
		return fmt.Errorf("adapter: no module is adapted")
	}
	if !slices.IsSortedFunc(a.Modules, func(x, y Module) int { return cmp.Compare(x.Name, y.Name) }) {
		return fmt.Errorf("adapter: the modules are not sorted by name")
	}
	for i, m := range a.Modules {
		switch {
		case i > 0 && a.Modules[i-1].Name == m.Name:
			return fmt.Errorf("adapter: module %q is there twice", m.Name)
		case m.Rank < 1 || m.In < 1 || m.Out < 1 || len(m.A) != m.Rank*m.In || len(m.B) != m.Out*m.Rank:
			return fmt.Errorf("adapter: module %q of rank %d for [%d, %d] has %d and %d numbers", m.Name, m.Rank, m.Out, m.In, len(m.A), len(m.B))
		case math.IsNaN(m.Alpha) || math.IsInf(m.Alpha, 0):
			return fmt.Errorf("adapter: module %q has alpha %v", m.Name, m.Alpha)
		}
	}
	return nil
}

// projections are the modules of a layer that an adapter may change, and lm_head beside them.
var projections = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}

const head = "lm_head"

// suffix is the last part of a module's name.
func suffix(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// target is the matrix that a module of the adapter changes.
func target(w *model.Weights, m Module) (model.Tensor, error) {
	if m.Name == head && w.Config.TieEmbeddings {
		return model.Tensor{}, fmt.Errorf("module %q is tied to the embedding in this policy, which an adapter cannot change; adapt other modules", m.Name)
	}
	t, ok := w.Tensor(m.Name + ".weight")
	if !ok || len(t.Shape) != 2 || m.Name != head && !slices.Contains(projections, suffix(m.Name)) {
		return t, fmt.Errorf("the policy has no matrix %q that an adapter can change; the adapter is for another base", m.Name)
	}
	if t.Shape[0] != m.Out || t.Shape[1] != m.In {
		return t, fmt.Errorf("module %q is [%d, %d] in the policy, the adapter is for [%d, %d]", m.Name, t.Shape[0], t.Shape[1], m.Out, m.In)
	}
	return t, nil
}
