package local

import (
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"pith/policies/kernel"
)

// AdamWConfig holds what stays the same over a run; the learning rate comes with each step.
type AdamWConfig struct {
	Beta1       float64 `json:"beta1" mapstructure:"beta1" yaml:"beta1"`
	Beta2       float64 `json:"beta2" mapstructure:"beta2" yaml:"beta2"`
	Eps         float64 `json:"eps" mapstructure:"eps" yaml:"eps"`
	WeightDecay float64 `json:"weight_decay" mapstructure:"weight_decay" yaml:"weight_decay"` // decoupled; matrices only
	ClipNorm    float64 `json:"clip_norm" mapstructure:"clip_norm" yaml:"clip_norm"`          // of the whole gradient; 0 = off
}

// DefaultAdamW is what the quickstart trains with.
func DefaultAdamW() AdamWConfig {
	return AdamWConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, ClipNorm: 1}
}

// Validate reports every violation at once.
func (c AdamWConfig) Validate() error {
	var errs []error
	check := func(ok bool, name string, v float64, want string) {
		if !ok || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("%s is %v, want %s", name, v, want))
		}
	}
	check(c.Beta1 >= 0 && c.Beta1 < 1, "beta1", c.Beta1, "a number from 0 to below 1")
	check(c.Beta2 >= 0 && c.Beta2 < 1, "beta2", c.Beta2, "a number from 0 to below 1")
	check(c.Eps > 0, "eps", c.Eps, "a positive number")
	check(c.WeightDecay >= 0, "weight_decay", c.WeightDecay, "0 or more")
	check(c.ClipNorm >= 0, "clip_norm", c.ClipNorm, "0 (off) or more")
	return errors.Join(errs...)
}

// ErrNotFinite is returned by Step where the gradient holds an infinity or a NaN. Weights and
// moments are then unchanged and the gradient is cleared.
var ErrNotFinite = errors.New("the gradient is not finite; lower the learning rate or look for the batch that caused it")

// AdamW is the optimiser of Loshchilov and Hutter (2019, arXiv 1711.05101, algorithm 2) behind
// Gorgonia's Solver interface, with what its own solvers lack: state that can be saved, clipping by
// global norm, decay of matrices alone, and no allocation. It must always be given the same
// parameters in the same order; it clears the gradients.
type AdamW struct {
	Config AdamWConfig
	// LR is read by Step. A schedule sets it before each.
	LR float64

	step   int64
	m, v   []float32 // all parameters end to end, in the order given to Step
	norm   float64   // of the last gradient
	factor float64   // that clipping multiplied it by
}

var _ gorgonia.Solver = (*AdamW)(nil)

// NewAdamW makes an optimiser for n parameters in all.
func NewAdamW(c AdamWConfig, n int) *AdamW {
	return &AdamW{Config: c, m: make([]float32, n), v: make([]float32, n)}
}

// Updates is the number of steps taken.
func (a *AdamW) Updates() int64 { return a.step }

// GradNorm is the global norm of the last step's gradient before clipping.
func (a *AdamW) GradNorm() float64 { return a.norm }

// pair is one parameter and its gradient in memory.
type pair struct {
	value, grad []float32
	matrix      bool
}

// Step implements gorgonia.Solver.
func (a *AdamW) Step(model []gorgonia.ValueGrad) error {
	pairs := make([]pair, len(model))
	total := 0
	for i, vg := range model {
		p, err := pairOf(vg)
		if err != nil {
			return fmt.Errorf("adamw: parameter %d: %w", i, err)
		}
		pairs[i] = p
		total += len(p.value)
	}
	if total != len(a.m) {
		return fmt.Errorf("adamw: made for %d parameters, given %d", len(a.m), total)
	}
	a.norm, a.factor = gradNorm(pairs), 1
	defer func() {
		for _, p := range pairs {
			clear(p.grad)
		}
	}()
	if math.IsNaN(a.norm) || math.IsInf(a.norm, 0) {
		return ErrNotFinite
	}
	if a.Config.ClipNorm > 0 && a.norm > a.Config.ClipNorm {
		a.factor = a.Config.ClipNorm / a.norm
	}
	a.step++
	at := 0
	for _, p := range pairs {
		s := kernel.AdamWParams{
			LR: float32(a.LR), Beta1: float32(a.Config.Beta1), Beta2: float32(a.Config.Beta2),
			Eps: float32(a.Config.Eps), GradScale: float32(a.factor), Step: int(a.step),
		}
		if p.matrix {
			s.WeightDecay = float32(a.Config.WeightDecay)
		}
		m, v := a.m[at:at+len(p.value)], a.v[at:at+len(p.value)]
		kernel.Parallel(len(p.value), normChunk, func(lo, hi int) {
			kernel.AdamW(p.value[lo:hi], p.grad[lo:hi], m[lo:hi], v[lo:hi], s)
		})
		at += len(p.value)
	}
	return nil
}

// normChunk is the unit of the sum of squares: chunks are summed on their own and then in order, so
// that the result does not depend on the number of threads.
const normChunk = 1 << 14

// gradNorm is the global 2-norm in float64.
func gradNorm(pairs []pair) float64 {
	sum := 0.0
	for _, p := range pairs {
		parts := make([]float64, (len(p.grad)+normChunk-1)/normChunk)
		kernel.Parallel(len(parts), 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				parts[i] = kernel.SumSquares64(p.grad[i*normChunk : min((i+1)*normChunk, len(p.grad))])
			}
		})
		for _, s := range parts {
			sum += s
		}
	}
	return math.Sqrt(sum)
}

func pairOf(vg gorgonia.ValueGrad) (pair, error) {
	g, err := vg.Grad()
	if err != nil {
		return pair{}, err
	}
	value, ok := vg.Value().Data().([]float32)
	if !ok {
		return pair{}, fmt.Errorf("value is a %T, want float32 numbers", vg.Value().Data())
	}
	grad, ok := g.Data().([]float32)
	if !ok || len(grad) != len(value) {
		return pair{}, fmt.Errorf("gradient is a %T of %d, want %d float32 numbers", g.Data(), len(grad), len(value))
	}
	return pair{value: value, grad: grad, matrix: vg.Value().Shape().Dims() == 2}, nil
}

// parameter is one tensor of the policy with its gradient, as Gorgonia's solvers take them. Both are
// views into flat vectors.
type parameter struct{ value, grad *tensor.Dense }

func newParameter(shape []int, value, grad []float32) parameter {
	over := func(data []float32) *tensor.Dense {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
	}
	return parameter{value: over(value), grad: over(grad)}
}

func (p parameter) Value() gorgonia.Value         { return p.value }
func (p parameter) Grad() (gorgonia.Value, error) { return p.grad, nil }
