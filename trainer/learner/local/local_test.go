package local_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"pith/policies/kernel"
	"pith/policies/loss"
	"pith/policies/model"
	"pith/rollout/engine"
	"pith/trainer/learner"
	"pith/trainer/learner/learnertest"
	"pith/trainer/learner/local"
)

func tiny() model.Config {
	return model.Config{
		Arch: model.Llama, VocabSize: 20, HiddenSize: 24, IntermediateSize: 32, NumLayers: 2,
		NumHeads: 2, NumKVHeads: 1, HeadDim: 8, MaxContext: 64, RMSNormEps: 1e-5, RopeTheta: 1000,
		TieEmbeddings: true, BOS: 1, EOS: 2, PAD: 0,
	}
}

// fresh makes a learner on the tiny model with at most maxTokens in a part.
func fresh(t *testing.T, maxTokens int) *local.Learner {
	t.Helper()
	w := model.NewWeights(tiny())
	w.Init(3, model.InitOptions{EmbeddingSD: 0.5})
	o := local.Default()
	o.MaxTokens = maxTokens
	l, err := local.New(w, engine.PolicyRef{ID: "base"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConformance(t *testing.T) {
	for name, maxTokens := range map[string]int{"one part": 4096, "a part for each sequence": 1} {
		t.Run(name, func(t *testing.T) {
			learnertest.Run(t, learnertest.Fixture{
				New:   func(t *testing.T) learner.Learner { return fresh(t, maxTokens) },
				Vocab: tiny().VocabSize,
			})
		})
	}
}

// rollouts are n sequences in groups of four with varied advantages.
func rollouts(n int) []learner.Datum {
	d := make([]learner.Datum, n)
	for i := range d {
		length := 9 + 11*i%23
		column := func() []float32 { return make([]float32, length) }
		d[i] = learner.Datum{
			Tokens: make([]int32, length), Train: column(), Advantage: column(), Behavior: column(), Reference: column(),
			Group: int32(i / 2), Temperature: 0.7 + 0.1*float64(i%5),
		}
		for t := range length {
			d[i].Tokens[t] = int32((i*i + 5*t) % 20)
			if t > 3 {
				d[i].Train[t] = 0.01
				d[i].Advantage[t] = float32(1-2*(i%2)) * (0.5 + float32(i%3))
				d[i].Behavior[t] = -2.5 + 0.1*float32(t%9)
				d[i].Reference[t] = -2.4 + 0.1*float32(t%7)
			}
		}
	}
	return d
}

func TestPartsGiveTheGradientOfTheWhole(t *testing.T) {
	for name, params := range map[string]map[string]any{
		"ppo":    {"entropy_coef": 0.05, "kl_coef": 0.1},
		"gspo":   {"clip_low": 0.3, "clip_high": 0.3},
		"kl_cov": {"cov_share": 0.1}, // statistics over the batch: not separable
		"dpo":    nil,                // compares sequences of a group
	} {
		t.Run(name, func(t *testing.T) {
			fn, _, err := loss.New(name, params)
			if err != nil {
				t.Fatal(err)
			}
			d := rollouts(10)
			type result struct {
				loss    float64
				norm    float64
				digest  string
				metrics loss.Metrics
			}
			run := func(maxTokens int) result {
				l := fresh(t, maxTokens)
				out, err := l.Accumulate(t.Context(), d, fn)
				if err != nil {
					t.Fatal(err)
				}
				s, err := l.Step(t.Context(), learner.OptimStep{LR: 1e-3})
				if err != nil {
					t.Fatal(err)
				}
				return result{out.Loss, s.GradNorm, l.Weights().Digest(), out.Metrics}
			}
			want := run(1 << 20)
			for _, maxTokens := range []int{1, 40, 100} {
				got := run(maxTokens)
				if math.Abs(got.loss-want.loss) > 1e-12*math.Abs(want.loss) {
					t.Errorf("parts of %d tokens: loss %v, want %v", maxTokens, got.loss, want.loss)
				}
				if got.digest != want.digest || got.norm != want.norm {
					t.Errorf("parts of %d tokens: other weights after the step", maxTokens)
				}
				if got.metrics.Tokens != want.metrics.Tokens || math.Abs(got.metrics.Entropy-want.metrics.Entropy) > 1e-9 {
					t.Errorf("parts of %d tokens: metrics %+v, want %+v", maxTokens, got.metrics, want.metrics)
				}
			}
		})
	}
}

func TestTrainingHasTheSameBitsOnAnyNumberOfThreads(t *testing.T) {
	fn, _, err := loss.New("ppo", nil)
	if err != nil {
		t.Fatal(err)
	}
	run := func(threads int) string {
		defer kernel.SetThreads(kernel.SetThreads(threads))
		l := fresh(t, 64)
		for range 3 {
			if _, err := l.Accumulate(t.Context(), rollouts(12), fn); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Step(t.Context(), learner.OptimStep{LR: 1e-2}); err != nil {
				t.Fatal(err)
			}
		}
		return l.Weights().Digest()
	}
	want := run(1)
	for _, threads := range []int{2, 3, 8} {
		if run(threads) != want {
			t.Errorf("%d threads give other weights", threads)
		}
	}
}

func TestClippingScalesTheGradientToItsNorm(t *testing.T) {
	fn, _, err := loss.New("sft", nil)
	if err != nil {
		t.Fatal(err)
	}
	l := fresh(t, 1024)
	d := rollouts(4)
	for i := range d {
		for k := range d[i].Train {
			d[i].Train[k] *= 1e4
		}
	}
	if _, err := l.Accumulate(t.Context(), d, fn); err != nil {
		t.Fatal(err)
	}
	s, err := l.Step(t.Context(), learner.OptimStep{LR: 1e-3})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Clipped || s.GradNorm <= 1 {
		t.Errorf("a large gradient gives %+v, want it clipped", s)
	}
}

func TestCheckpointsThatDoNotFitAreRefused(t *testing.T) {
	l := fresh(t, 1024)
	save := func() string {
		dir := filepath.Join(t.TempDir(), "state")
		if err := l.Save(dir); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, spoil := range map[string]func(dir string) error{
		"no optimizer":  func(dir string) error { return os.Remove(filepath.Join(dir, "optimizer.safetensors")) },
		"cut optimizer": func(dir string) error { return os.Truncate(filepath.Join(dir, "optimizer.safetensors"), 1000) },
		"weights of another step": func(dir string) error {
			w := model.NewWeights(tiny())
			w.Init(4, model.InitOptions{})
			return w.Save(dir)
		},
		"another model": func(dir string) error {
			c := tiny()
			c.NumLayers = 1
			return model.NewWeights(c).Save(dir)
		},
	} {
		dir := save()
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		before := l.Weights().Digest()
		if err := l.Load(dir); err == nil {
			t.Errorf("%s: loaded", name)
		}
		if l.Weights().Digest() != before {
			t.Errorf("%s: the failed load changed the weights", name)
		}
	}
}

func TestLoadFindsTheOldStateWhereASaveWasCutShort(t *testing.T) {
	l := fresh(t, 1024)
	dir := filepath.Join(t.TempDir(), "state")
	if err := l.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil { // as between the two renames
		t.Fatal(err)
	}
	if err := l.Load(dir); err != nil {
		t.Error(err)
	}
	if err := l.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Load(dir); err != nil {
		t.Error(err)
	}
}

func TestAdamWIsASolverForOrdinaryGorgoniaNodes(t *testing.T) {
	// Minimise (w·w)/2 + decay: the first step of Adam has length lr in each coordinate.
	g := gorgonia.NewGraph()
	w := gorgonia.NewVector(g, gorgonia.Float32, gorgonia.WithShape(3), gorgonia.WithName("w"),
		gorgonia.WithValue(tensor.New(tensor.WithBacking([]float32{1, -2, 3}))))
	cost := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Square(w))))
	if _, err := gorgonia.Grad(cost, w); err != nil {
		t.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(w))
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	a := local.NewAdamW(local.AdamWConfig{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, ClipNorm: 1, WeightDecay: 0.5}, 3)
	a.LR = 0.25
	if err := a.Step(gorgonia.NodesToValueGrads(gorgonia.Nodes{w})); err != nil {
		t.Fatal(err)
	}
	if got, want := a.GradNorm(), 2*math.Sqrt(14); math.Abs(got-want) > 1e-6 {
		t.Errorf("gradient norm is %v, want %v", got, want)
	}
	got := w.Value().Data().([]float32)
	for i, want := range []float32{0.75, -1.75, 2.75} { // vectors are not decayed
		if math.Abs(float64(got[i]-want)) > 1e-5 {
			t.Errorf("w is %v, want 0.75 -1.75 2.75", got)
			break
		}
	}
	if d, err := w.Grad(); err != nil || !slices.Equal(d.Data().([]float32), []float32{0, 0, 0}) {
		t.Errorf("gradient is %v after the step, want zeros", d)
	}
}

func TestOptionsAreValidated(t *testing.T) {
	w := model.NewWeights(tiny())
	for name, spoil := range map[string]func(*local.Options){
		"beta1":      func(o *local.Options) { o.AdamW.Beta1 = 1 },
		"beta2":      func(o *local.Options) { o.AdamW.Beta2 = -0.1 },
		"eps":        func(o *local.Options) { o.AdamW.Eps = 0 },
		"decay":      func(o *local.Options) { o.AdamW.WeightDecay = math.Inf(1) },
		"clip":       func(o *local.Options) { o.AdamW.ClipNorm = math.NaN() },
		"max tokens": func(o *local.Options) { o.MaxTokens = 0 },
	} {
		o := local.Default()
		spoil(&o)
		if _, err := local.New(w, engine.PolicyRef{}, o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	l := fresh(t, 64)
	if _, err := l.Step(t.Context(), learner.OptimStep{LR: math.NaN()}); err == nil {
		t.Error("a learning rate of NaN was accepted")
	}
	_, err := l.Accumulate(t.Context(), rollouts(1), failing{})
	if !errors.Is(err, errFailing) {
		t.Errorf("an error of the loss arrives as %v", err)
	}
}

var errFailing = errors.New("this loss always fails")

type failing struct{}

func (failing) Eval(*loss.Batch, *loss.Result) error { return errFailing }
