package graph

import (
	"math"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"pith/policies/model"
)

// opCase is one operation alone in a graph: matrix inputs x and parameters, in the order in which
// the operation takes them ("x" marks an input).
type opCase struct {
	config  model.Config
	lengths []int
	inputs  []operand
	make    func(b rig) gorgonia.Op
}

type operand struct {
	name  string
	shape []int // of a parameter; for an input only the width
	input bool
}

// rig hides the precision from the table: it builds the operation for float32 or float64.
type rig struct {
	linear  func(param, bias string, residual bool) gorgonia.Op
	norm    func(param string) gorgonia.Op
	swiglu  func(dim int) gorgonia.Op
	attend  func(qNorm, kNorm string) gorgonia.Op
	embed   func(param string) gorgonia.Op
	project func(param string) gorgonia.Op
}

func opCases() map[string]opCase {
	c := shapes()["llama, tied"]
	grouped := shapes()["llama, grouped queries"]
	qwen3 := shapes()["qwen3, q/k norm"]
	x := func(width int) operand { return operand{name: "x", shape: []int{width}, input: true} }
	p := func(name string, shape ...int) operand { return operand{name: name, shape: shape} }
	lengths := []int{3, 1, 37}
	return map[string]opCase{
		"rmsnorm": {c, lengths, []operand{x(10), p("w", 10)}, func(r rig) gorgonia.Op { return r.norm("w") }},
		"linear":  {c, lengths, []operand{x(7), p("w", 5, 7)}, func(r rig) gorgonia.Op { return r.linear("w", "", false) }},
		"linear with bias": {c, lengths, []operand{x(7), p("w", 5, 7), p("b", 5)},
			func(r rig) gorgonia.Op { return r.linear("w", "b", false) }},
		"linear with residual": {c, lengths, []operand{x(7), p("w", 5, 7), x(5)},
			func(r rig) gorgonia.Op { return r.linear("w", "", true) }},
		"linear with bias and residual": {c, lengths, []operand{x(7), p("w", 5, 7), p("b", 5), x(5)},
			func(r rig) gorgonia.Op { return r.linear("w", "b", true) }},
		"swiglu":    {c, lengths, []operand{x(2 * 9)}, func(r rig) gorgonia.Op { return r.swiglu(9) }},
		"attention": {c, lengths, []operand{x(c.QKVDim())}, func(r rig) gorgonia.Op { return r.attend("", "") }},
		"attention with grouped queries": {grouped, lengths, []operand{x(grouped.QKVDim())},
			func(r rig) gorgonia.Op { return r.attend("", "") }},
		"attention with q/k norm": {qwen3, lengths, []operand{x(qwen3.QKVDim()), p("q", 8), p("k", 8)},
			func(r rig) gorgonia.Op { return r.attend("q", "k") }},
		"embedding": {c, lengths, []operand{p("table", 17, 6)}, func(r rig) gorgonia.Op { return r.embed("table") }},
		"head":      {c, lengths, []operand{x(6), p("w", 17, 6)}, func(r rig) gorgonia.Op { return r.project("w") }},
	}
}

// runOp builds the graph of a case in one precision and returns its inputs, a function that runs it
// and gives the scalar, and one that gives all gradients after a run.
func runOp[T Float](t *testing.T, c opCase) (data [][]T, run func() float64, grads func() [][]T) {
	t.Helper()
	tokens := batch(c.config, c.lengths...)
	prog := &program[T]{lay: &layout{capacity: len(tokens.Tokens)}, tokens: &tokenInput{data: tokens.Tokens}, graph: gorgonia.NewGraph()}
	prog.lay.set(tokens)
	prog.objective = smooth[T]
	b := newBuilder[T](c.config, prog, true)

	rows := len(tokens.Tokens)
	params := map[string]*Param[T]{}
	var nodes gorgonia.Nodes
	var operands []*Param[T]
	for i, in := range c.inputs {
		shape := in.shape
		if in.input {
			shape = []int{rows, in.shape[0]}
		}
		n := tensor.Shape(shape).TotalSize()
		q := &Param[T]{Name: in.name, Shape: shape, Value: make([]T, n), Grad: make([]T, n)}
		for k := range q.Value {
			q.Value[k] = T(0.9 * math.Sin(float64(k*k%101+7*i)+0.3*float64(k)))
		}
		node := b.param(*q)
		nodes, data, operands = append(nodes, node), append(data, q.Value), append(operands, q)
		if !in.input {
			params[in.name] = q
		}
	}
	optional := func(name string) *Param[T] { return params[name] }
	op := c.make(rig{
		linear: func(w, bias string, residual bool) gorgonia.Op {
			return newLinear(b, "test", *params[w], optional(bias), residual, nil)
		},
		norm:   func(w string) gorgonia.Op { return newRMSNorm(b, "test", *params[w], nil) },
		swiglu: func(dim int) gorgonia.Op { return newSwiGLU(b, dim) },
		attend: func(q, k string) gorgonia.Op { return newAttention(b, optional(q), optional(k)) },
		embed:  func(w string) gorgonia.Op { return newEmbedding(b, *params[w]) },
		project: func(w string) gorgonia.Op {
			prog.head = newHead(b, *params[w], &prog.objective)
			return prog.head
		},
	})
	children := nodes
	if _, ok := op.(*embedding[T]); ok {
		children = append(gorgonia.Nodes{b.tokenNode()}, nodes...)
	}
	out := b.apply(op, children...)
	if b.err != nil {
		t.Fatal(b.err)
	}
	cost := out
	if !out.IsScalar() {
		weights := make([]T, out.Shape().TotalSize())
		for k := range weights {
			weights[k] = T(math.Cos(float64(k*k%37) + 0.1*float64(k)))
		}
		r := gorgonia.NewMatrix(b.graph, dtype[T](), gorgonia.WithShape(out.Shape()...), gorgonia.WithName("weights"),
			gorgonia.WithValue(tensor.New(tensor.WithShape(out.Shape()...), tensor.WithBacking(weights))))
		cost = gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(out, r))))
	}
	gradNodes, err := gorgonia.Grad(cost, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(b.graph)
	t.Cleanup(func() { vm.Close() })
	run = func() float64 {
		vm.Reset()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		switch v := cost.Value().Data().(type) {
		case float32:
			return float64(v)
		default:
			return v.(float64)
		}
	}
	grads = func() [][]T {
		for _, q := range operands {
			clear(q.Grad)
		}
		run()
		g := make([][]T, len(gradNodes))
		for i, n := range gradNodes {
			g[i] = append([]T(nil), floats[T](n.Value())...)
		}
		return g
	}
	return data, run, grads
}

func TestGradientsOfEveryOperationAgreeWithCentralDifferencesInFloat64(t *testing.T) {
	for name, c := range opCases() {
		t.Run(name, func(t *testing.T) {
			data, run, grads := runOp[float64](t, c)
			got := grads()
			for i, x := range data {
				if e := gradientError(got[i], x, 200, run); e > 1e-6 || math.IsNaN(e) {
					t.Errorf("gradient of %s: relative error %.2g, want at most 1e-6", c.inputs[i].name, e)
				}
			}
		})
	}
}

func TestFloat32OperationsAgreeWithTheirFloat64Twins(t *testing.T) {
	for name, c := range opCases() {
		t.Run(name, func(t *testing.T) {
			_, run32, grads32 := runOp[float32](t, c)
			_, run64, grads64 := runOp[float64](t, c)
			if got, want := run32(), run64(); math.Abs(got-want) > 1e-5*max(1, math.Abs(want)) {
				t.Errorf("value %v, want %v", got, want)
			}
			got, want := grads32(), grads64()
			for i := range want {
				if e := relativeError(widen(got[i]), want[i]); e > 1e-6 || math.IsNaN(e) {
					t.Errorf("gradient of %s: relative error %.2g, want at most 1e-6", c.inputs[i].name, e)
				}
			}
		})
	}
}
