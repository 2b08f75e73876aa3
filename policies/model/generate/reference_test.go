package generate_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pith/policies/kernel"
	"pith/policies/model"
	"pith/policies/model/generate"
)

// reference is a plain float64 forward pass of a whole sequence, written for clarity and without
// the kernels: the logits after each token.
func reference(w *model.Weights, tokens []int32) [][]float64 {
	c := w.Config
	h, d := c.HiddenSize, c.HeadDim
	norm := func(x []float64, weight []float32) []float64 {
		ss := 0.0
		for _, v := range x {
			ss += v * v
		}
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = v / math.Sqrt(ss/float64(len(x))+c.RMSNormEps) * float64(weight[i])
		}
		return out
	}
	mul := func(m []float32, x []float64, bias []float32) []float64 {
		out := make([]float64, len(m)/len(x))
		for r := range out {
			if bias != nil {
				out[r] = float64(bias[r])
			}
			for i, v := range x {
				out[r] += float64(m[r*len(x)+i]) * v
			}
		}
		return out
	}
	frequencies := c.Frequencies()
	if c.Rope == (model.Rope{}) { // by the formula, without the code that the kernels use
		for j := range frequencies {
			frequencies[j] = math.Pow(c.RopeTheta, -2*float64(j)/float64(d))
		}
	}
	rotate := func(x []float64, pos int) {
		for j := range d / 2 {
			sin, cos := math.Sincos(float64(pos) * frequencies[j])
			x[j], x[j+d/2] = x[j]*cos-x[j+d/2]*sin, x[j+d/2]*cos+x[j]*sin
		}
	}
	add := func(x, y []float64) {
		for i := range x {
			x[i] += y[i]
		}
	}
	xs := make([][]float64, len(tokens))
	for p, t := range tokens {
		for _, v := range w.Embed[int(t)*h : (int(t)+1)*h] {
			xs[p] = append(xs[p], float64(v))
		}
	}
	for i := range w.Layers {
		l := &w.Layers[i]
		keys, values := make([][]float64, len(xs)), make([][]float64, len(xs))
		for p, x := range xs {
			n := norm(x, l.InputNorm)
			q := mul(l.Q, n, l.QBias)
			keys[p], values[p] = mul(l.K, n, l.KBias), mul(l.V, n, l.VBias)
			for a := 0; a < len(q); a += d {
				if l.QNorm != nil {
					copy(q[a:a+d], norm(q[a:a+d], l.QNorm))
				}
				rotate(q[a:a+d], p)
			}
			for a := 0; a < len(keys[p]); a += d {
				if l.KNorm != nil {
					copy(keys[p][a:a+d], norm(keys[p][a:a+d], l.KNorm))
				}
				rotate(keys[p][a:a+d], p)
			}
			out := make([]float64, len(q))
			for a := range c.NumHeads {
				g := a / (c.NumHeads / c.NumKVHeads) * d
				weights, sum := make([]float64, p+1), 0.0
				for t := range weights {
					dot := 0.0
					for e := range d {
						dot += q[a*d+e] * keys[t][g+e]
					}
					weights[t] = math.Exp(dot / math.Sqrt(float64(d)))
					sum += weights[t]
				}
				for t, wt := range weights {
					for e := range d {
						out[a*d+e] += wt / sum * values[t][g+e]
					}
				}
			}
			add(x, mul(l.O, out, nil))
		}
		for _, x := range xs {
			n := norm(x, l.PostNorm)
			gate, up := mul(l.Gate, n, nil), mul(l.Up, n, nil)
			for e, g := range gate {
				gate[e] = g / (1 + math.Exp(-g)) * up[e]
			}
			add(x, mul(l.Down, gate, nil))
		}
	}
	logits := make([][]float64, len(xs))
	for p, x := range xs {
		logits[p] = mul(w.Head, norm(x, w.Norm), nil)
	}
	return logits
}

func TestLogitsAgreeWithAPlainFloat64Forward(t *testing.T) {
	configs := map[string]model.Config{"quickstart": quickstart}
	for name, c := range shapes {
		configs[name] = c
	}
	for name, c := range configs {
		t.Run(name, func(t *testing.T) {
			w := policy(c, 9)
			if name == "quickstart" { // as it is initialised
				w.Init(9, model.InitOptions{})
			}
			p := generate.Pack(w)
			s := tokens(rand.New(rand.NewPCG(1, 2)), c.VocabSize, 3*generate.PagePositions+5)
			want := reference(w, s)
			got := generate.Logits(p, s)
			for i := range want {
				for v := range want[i] {
					if diff := math.Abs(float64(got[i][v]) - want[i][v]); !(diff <= 1e-4) {
						t.Fatalf("logit %d after token %d is %v, want %v", v, i, got[i][v], want[i][v])
					}
				}
			}
		})
	}
}

// golden is what testdata/reference.py computed elsewhere.
type golden struct {
	Sequences [][]int32     `json:"sequences"`
	Loss      float64       `json:"loss"`
	Logprobs  [][]*float64  `json:"logprobs"`
	Logits    [][][]float64 `json:"logits"`
}

func TestPoliciesWrittenElsewhereGiveTheLogitsComputedElsewhere(t *testing.T) {
	for _, arch := range []string{model.Llama, model.Qwen2, model.Qwen3} {
		t.Run(arch, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", arch)
			w, err := model.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			var g golden
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err == nil {
				err = json.Unmarshal(text, &g)
			}
			if err != nil {
				t.Fatal(err)
			}
			p := generate.Pack(w)
			for i, s := range g.Sequences {
				for name, got := range map[string]func(pos, v int) float64{
					"kernels": func() func(pos, v int) float64 {
						z := generate.Logits(p, s)
						return func(pos, v int) float64 { return float64(z[pos][v]) }
					}(),
					"plain": func() func(pos, v int) float64 {
						z := reference(w, s)
						return func(pos, v int) float64 { return z[pos][v] }
					}(),
				} {
					tol := map[string]float64{"kernels": 1e-4, "plain": 1e-9}[name]
					for pos, row := range g.Logits[i] {
						for v, want := range row {
							if diff := math.Abs(got(pos, v) - want); !(diff <= tol) {
								t.Fatalf("%s: sequence %d, logit %d after token %d is %v, want %v", name, i, v, pos, got(pos, v), want)
							}
						}
					}
				}
			}
			scores, err := p.Score(t.Context(), g.Sequences)
			if err != nil {
				t.Fatal(err)
			}
			loss, n := 0.0, 0
			for i, s := range scores {
				for k, l := range s[1:] {
					if want := *g.Logprobs[i][k+1]; math.Abs(float64(l)-want) > 1e-4 {
						t.Fatalf("log-probability %d of sequence %d is %v, want %v", k+1, i, l, want)
					}
					loss, n = loss-float64(l), n+1
				}
			}
			if loss /= float64(n); math.Abs(loss-g.Loss) > 1e-5 {
				t.Errorf("loss is %v, want %v", loss, g.Loss)
			}
		})
	}
}

func TestEveryKernelGivesTheSameBits(t *testing.T) {
	defer kernel.Use("")
	c := shapes["qwen3"]
	w := policy(c, 4)
	s := tokens(rand.New(rand.NewPCG(3, 2)), c.VocabSize, 70)
	var want [][]float32
	for _, name := range kernel.Available() {
		if err := kernel.Use(name); err != nil {
			t.Fatal(err)
		}
		got := generate.Logits(generate.Pack(w), s)
		for i := range want {
			for v := range want[i] {
				if math.Float32bits(got[i][v]) != math.Float32bits(want[i][v]) {
					t.Fatalf("%s: logit %d after token %d is %v, the fastest kernel says %v", name, v, i, got[i][v], want[i][v])
				}
			}
		}
		if want == nil {
			want = got
		}
	}
}
