package lora

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"pith/policies/model"
	"pith/policies/model/random"
)

// Options say how [Extract] makes an adapter.
type Options struct {
	Rank    int      // of every module; at most the smaller side of each matrix
	Alpha   float64  // lora_alpha; 0 means Rank, so that the scale is 1
	Targets []string // projections to adapt; nil means all seven of a layer
	Base    string   // what to name as the base in adapter_config.json
}

// Fit tells how much of a module's change the adapter holds.
type Fit struct {
	Module string
	Norm   float64 // Frobenius norm of the change
	Left   float64 // Frobenius norm of what the adapter lacks, over Norm; 0 where nothing changed
}

// Extraction is an adapter and what it lacks.
type Extraction struct {
	Adapter *Adapter
	Fits    []Fit    // by module, in the policy's order
	Missed  []string // tensors that changed and that no module of the adapter holds
}

// Extract makes the adapter of the given rank that is nearest to the change from base to tuned: for
// every matrix the first Rank terms of the change's singular value decomposition, which are the best
// of that rank in the Frobenius norm (Eckart and Young 1936), with the singular values shared evenly
// by A and B. Changes of norms, biases, embeddings and of modules that are not targets cannot be
// part of it; they are listed in Missed, and it is the caller's to refuse.
//
// Matrices whose smaller side is above 512 are decomposed within a random subspace of Rank+16
// dimensions after two power iterations (Halko, Martinsson and Tropp 2011, SIAM Review 53, algorithm
// 4.4), drawn the same each time; Fit tells the truth there too, measured on the product.
func Extract(base, tuned *model.Weights, o Options) (*Extraction, error) {
	if base.Config != tuned.Config {
		return nil, fmt.Errorf("extract adapter: the two policies have different shapes: %+v and %+v", base.Config, tuned.Config)
	}
	if o.Targets == nil {
		o.Targets = projections
	}
	for _, t := range o.Targets {
		if !slices.Contains(projections, t) && (t != head || base.Config.TieEmbeddings) {
			return nil, fmt.Errorf("extract adapter: %q is not a module that can be adapted here; these are: %s", t, strings.Join(projections, ", "))
		}
	}
	if o.Alpha == 0 {
		o.Alpha = float64(o.Rank)
	}
	if o.Rank < 1 || !(o.Alpha > 0) {
		return nil, fmt.Errorf("extract adapter: rank is %d and alpha %v, want both above 0", o.Rank, o.Alpha)
	}
	e := &Extraction{Adapter: &Adapter{Config: Config{Base: o.Base, Rank: o.Rank, Alpha: o.Alpha}}}
	scale := o.Alpha / float64(o.Rank)
	tensors := tuned.Tensors()
	for i, from := range base.Tensors() {
		to := tensors[i]
		name, isMatrix := strings.CutSuffix(from.Name, ".weight")
		if !isMatrix || len(from.Shape) != 2 || !slices.Contains(o.Targets, suffix(name)) {
			if !slices.Equal(from.Data, to.Data) {
				e.Missed = append(e.Missed, from.Name)
			}
			continue
		}
		out, in := from.Shape[0], from.Shape[1]
		if o.Rank > min(out, in) {
			return nil, fmt.Errorf("extract adapter: rank %d is more than %q, a [%d, %d], has", o.Rank, name, out, in)
		}
		change := mat.NewDense(out, in, nil)
		for k, x := range to.Data {
			d := float64(x) - float64(from.Data[k])
			if math.IsNaN(d) || math.IsInf(d, 0) {
				return nil, fmt.Errorf("extract adapter: the change of %q is not finite", from.Name)
			}
			change.RawMatrix().Data[k] = d
		}
		m := Module{Name: name, Rank: o.Rank, In: in, Out: out, Alpha: o.Alpha}
		var err error
		if m.B, m.A, err = factor(change, o.Rank, scale); err != nil {
			return nil, fmt.Errorf("extract adapter: %q: %w", name, err)
		}
		e.Adapter.Modules = append(e.Adapter.Modules, m)
		e.Fits = append(e.Fits, fit(change, m, scale))
	}
	slices.SortFunc(e.Adapter.Modules, func(x, y Module) int { return strings.Compare(x.Name, y.Name) })
	return e, e.Adapter.Validate()
}

// exactBelow is the smaller side up to which a matrix is decomposed in full.
const exactBelow = 512

// factor returns b [out, rank] and a [rank, in] with scale·b·a near change.
func factor(change *mat.Dense, rank int, scale float64) (b, a []float32, err error) {
	out, in := change.Dims()
	work, basis := change, (*mat.Dense)(nil)
	if min(out, in) > exactBelow && rank+16 < min(out, in) {
		basis = subspace(change, rank+16)
		work = new(mat.Dense)
		work.Mul(basis.T(), change) // [rank+16, in]
	}
	var svd mat.SVD
	if !svd.Factorize(work, mat.SVDThin) {
		return nil, nil, fmt.Errorf("the singular value decomposition does not converge")
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	if basis != nil {
		var full mat.Dense
		full.Mul(basis, &u)
		u = full
	}
	values := svd.Values(nil)
	b, a = make([]float32, out*rank), make([]float32, rank*in)
	for r := range rank {
		root := math.Sqrt(values[r] / scale)
		for i := range out {
			b[i*rank+r] = float32(u.At(i, r) * root)
		}
		for j := range in {
			a[r*in+j] = float32(v.At(j, r) * root)
		}
	}
	return b, a, nil
}

// subspace is an orthonormal basis [out, k] that holds nearly all of what the first directions of m
// hold.
func subspace(m *mat.Dense, k int) *mat.Dense {
	out, in := m.Dims()
	draw := mat.NewDense(in, k, nil)
	for i := range draw.RawMatrix().Data {
		draw.RawMatrix().Data[i] = random.Normal(1, 1, uint64(i))
	}
	y := mat.NewDense(out, k, nil)
	y.Mul(m, draw)
	y = orthonormal(y)
	for range 2 {
		z := mat.NewDense(in, k, nil)
		z.Mul(m.T(), y)
		z = orthonormal(z)
		y.Mul(m, z)
		y = orthonormal(y)
	}
	return y
}

// orthonormal makes the columns of m orthonormal, by Gram and Schmidt's method applied twice, which
// leaves nothing of rounding (Björck 1994). A column that depends on those before it becomes zero.
func orthonormal(m *mat.Dense) *mat.Dense {
	t := mat.DenseCopyOf(m.T()) // rows are contiguous
	k, _ := t.Dims()
	for i := range k {
		row := t.RawRowView(i)
		before := floats.Norm(row, 2)
		for range 2 {
			for j := range i {
				other := t.RawRowView(j)
				floats.AddScaled(row, -floats.Dot(row, other), other)
			}
		}
		if norm := floats.Norm(row, 2); norm > 1e-12*before {
			floats.Scale(1/norm, row)
		} else {
			clear(row)
		}
	}
	return mat.DenseCopyOf(t.T())
}

// fit measures what the module lacks of the change.
func fit(change *mat.Dense, m Module, scale float64) Fit {
	var all, left float64
	row := make([]float64, m.In)
	for i := range m.Out {
		copy(row, change.RawRowView(i))
		for _, d := range row {
			all += d * d
		}
		for r := range m.Rank {
			w := scale * float64(m.B[i*m.Rank+r])
			for j, a := range m.A[r*m.In : (r+1)*m.In] {
				row[j] -= w * float64(a)
			}
		}
		for _, d := range row {
			left += d * d
		}
	}
	f := Fit{Module: m.Name, Norm: math.Sqrt(all)}
	if all > 0 {
		f.Left = math.Sqrt(left / all)
	}
	return f
}
