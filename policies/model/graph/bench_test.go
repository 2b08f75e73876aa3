package graph

import (
	"fmt"
	"testing"

	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"pith/policies/kernel"
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

// flops is what a forward and backward pass over a batch must multiply and add, two operations each:
// six per matrix parameter and token, and for attention, per head and pair of positions that see
// each other, 2 products forwards and 5 backwards over the head's width.
func flops(c model.Config, b *Batch) float64 {
	h := c.HiddenSize
	dense := c.NumLayers*(h*c.QKVDim()+c.QueryDim()*h+3*h*c.IntermediateSize) + c.VocabSize*h
	pairs := 0
	for i := range b.Sequences() {
		n := int(b.Offsets[i+1] - b.Offsets[i])
		pairs += n * (n + 1) / 2
	}
	return 6*float64(dense)*float64(len(b.Tokens)) + 14*float64(c.NumLayers*c.QueryDim())*float64(pairs)
}

// report adds rates. FLOP counts what is needed, not what is computed twice or in vain; the peak is
// that of one core, measured right after, times the threads.
func report(b *testing.B, c model.Config, x *Batch, threads int) {
	seconds := b.Elapsed().Seconds() / float64(b.N)
	rate := flops(c, x) / seconds / 1e9
	b.ReportMetric(float64(len(x.Tokens))/seconds, "tokens/s")
	b.ReportMetric(rate, "GFLOP/s")
	b.ReportMetric(100*rate/(kernel.MeasurePeak()*float64(threads)), "%peak")
}

// BenchmarkAccumulate is the training pass of the quickstart policy by batch size and threads.
func BenchmarkAccumulate(b *testing.B) {
	defer kernel.SetThreads(kernel.SetThreads(0))
	c := quickstart()
	w := model.NewWeights(c)
	w.Init(1, model.InitOptions{})
	for _, threads := range []int{1, 2} {
		for _, n := range []int{512, 1024, 2048, 4096, 6144} {
			b.Run(fmt.Sprintf("threads=%d/tokens=%d", threads, n), func(b *testing.B) {
				kernel.SetThreads(threads)
				m, err := New(c, w.Flat(), make([]float32, len(w.Flat())))
				if err != nil {
					b.Fatal(err)
				}
				x := mixed(c, n)
				if _, err := m.Accumulate(x, smooth[float32]); err != nil { // builds the graph
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := m.Accumulate(x, smooth[float32]); err != nil {
						b.Fatal(err)
					}
				}
				report(b, c, x, threads)
			})
		}
	}
}

// BenchmarkLinear compares the linear operation, forwards and backwards, with what Gorgonia's own
// Mul does on the same matrix product kernel.
func BenchmarkLinear(b *testing.B) {
	gorgonia.Use(kernel.BLAS{})
	defer gorgonia.Use(gonum.Implementation{})
	const rows, in, out = 2048, 128, 384
	weight := Param[float32]{Name: "w", Shape: []int{out, in}, Value: make([]float32, out*in), Grad: make([]float32, out*in)}
	input := Param[float32]{Name: "x", Shape: []int{rows, in}, Value: make([]float32, rows*in), Grad: make([]float32, rows*in)}
	for name, product := range map[string]func(bd *builder[float32], x, w *gorgonia.Node) *gorgonia.Node{
		"own": func(bd *builder[float32], x, w *gorgonia.Node) *gorgonia.Node {
			return bd.apply(newLinear(bd, "test", weight, nil, false, nil), x, w)
		},
		"gorgonia": func(_ *builder[float32], x, w *gorgonia.Node) *gorgonia.Node {
			return gorgonia.Must(gorgonia.Mul(x, gorgonia.Must(gorgonia.Transpose(w))))
		},
	} {
		b.Run(name, func(b *testing.B) {
			prog := &program[float32]{lay: &layout{capacity: rows, rows: rows}, tokens: &tokenInput{}, graph: gorgonia.NewGraph()}
			bd := newBuilder[float32](quickstart(), prog, true)
			x, w := bd.param(input), bd.param(weight)
			y := product(bd, x, w)
			cost := bd.apply(newProbe(rows, out), y)
			if _, err := gorgonia.Grad(cost, x, w); err != nil {
				b.Fatal(err)
			}
			vm := gorgonia.NewTapeMachine(prog.graph)
			defer vm.Close()
			b.ReportAllocs()
			for b.Loop() {
				vm.Reset()
				if err := vm.RunAll(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(6*rows*in*out*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

// probe is a loss that costs nothing: its value is 0 and its gradient a fixed matrix.
type probe struct {
	base
	grad *array[float32]
}

func newProbe(rows, width int) *probe {
	return &probe{newBase("probe", dtype[float32](), tensor.ScalarShape(), matrix[float32]()), newArray(make([]float32, rows*width), rows, width)}
}

func (o *probe) Do(...gorgonia.Value) (gorgonia.Value, error) { return scalar(float32(0)), nil }
func (o *probe) DiffWRT(int) []bool                           { return []bool{true} }

func (o *probe) SymDiff(_ gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n, err := gorgonia.ApplyOp(&probeBackward{newBase("probe backward", matrix[float32](), o.grad.tensor.Shape(), dtype[float32](), dtype[float32]()), o.grad}, output, grad)
	return gorgonia.Nodes{n}, err
}

type probeBackward struct {
	base
	grad *array[float32]
}

func (o *probeBackward) Do(...gorgonia.Value) (gorgonia.Value, error) { return o.grad.tensor, nil }

// BenchmarkBuild is the cost of building and compiling a program anew for a larger batch.
func BenchmarkBuild(b *testing.B) {
	c := quickstart()
	p, err := newParams(c, make([]float32, c.Parameters()), make([]float32, c.Parameters()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newProgram(c, p, 2048, true); err != nil {
			b.Fatal(err)
		}
	}
}
