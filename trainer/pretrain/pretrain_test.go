package pretrain_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"pith/policies/kernel"
	"pith/policies/model"
	"pith/trainer/pretrain"
)

// counting teaches to count upwards: a start digit, then its successors modulo ten.
type counting struct{}

func (counting) Example(step, row int) ([]int32, []bool, error) {
	start, length := (3*step+row)%10, 6+(step+row)%5
	ids, train := []int32{10}, []bool{false}
	for i := range length {
		ids = append(ids, int32((start+i)%10))
		train = append(train, i > 0)
	}
	return ids, train, nil
}

func small() *model.Weights {
	w := model.NewWeights(model.Config{
		Arch: model.Llama, VocabSize: 12, HiddenSize: 32, IntermediateSize: 48, NumLayers: 1,
		NumHeads: 2, NumKVHeads: 2, HeadDim: 16, MaxContext: 32, RMSNormEps: 1e-5, RopeTheta: 1000,
		TieEmbeddings: true, BOS: 10, EOS: -1, PAD: 11,
	})
	w.Init(1, model.InitOptions{})
	return w
}

func config() pretrain.Config {
	c := pretrain.Default()
	c.Steps, c.Rows, c.Warmup, c.CheckpointEvery, c.LR = 60, 8, 5, 10, 1e-2
	return c
}

func TestTheTaskIsLearnt(t *testing.T) {
	var first, last pretrain.Progress
	steps := 0
	w, err := pretrain.Run(t.Context(), small(), counting{}, config(), "", func(p pretrain.Progress) {
		if steps == 0 {
			first = p
		}
		last = p
		steps++
		if p.Step != steps || p.Steps != 60 || p.Tokens <= p.Trained || p.Trained < 8*5 || !(p.GradNorm > 0) {
			t.Errorf("step %d reports %+v", steps, p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if w == nil || steps != 60 {
		t.Fatalf("%d steps reported, want 60", steps)
	}
	if math.Abs(first.Loss-math.Log(12)) > 0.5 {
		t.Errorf("first loss is %v, want about ln 12", first.Loss)
	}
	if last.Loss > 0.1 {
		t.Errorf("last loss is %v, want the task learnt", last.Loss)
	}
}

func TestSameBytesForAnyThreadsPartsAndInterruptions(t *testing.T) {
	run := func(ctx context.Context, c pretrain.Config, dir string, progress func(pretrain.Progress)) (string, error) {
		w, err := pretrain.Run(ctx, small(), counting{}, c, dir, progress)
		if err != nil {
			return "", err
		}
		return w.Digest(), nil
	}
	want, err := run(t.Context(), config(), "", nil)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("threads and parts", func(t *testing.T) {
		defer kernel.SetThreads(kernel.SetThreads(3))
		c := config()
		c.MaxTokens = 20
		if got, err := run(t.Context(), c, "", nil); err != nil || got != want {
			t.Errorf("other weights (%v)", err)
		}
	})
	t.Run("interruptions", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "base")
		for _, stopAt := range []int{3, 17, 30, 59} {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := run(ctx, config(), dir, func(p pretrain.Progress) {
				if p.Step == stopAt {
					cancel()
				}
			})
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped at step %d with %v", stopAt, err)
			}
		}
		steps := 0
		got, err := run(t.Context(), config(), dir, func(pretrain.Progress) { steps++ })
		if err != nil || got != want {
			t.Errorf("other weights after interruptions (%v)", err)
		}
		if steps != 10 {
			t.Errorf("%d steps after the last interruption, want the 10 since the last checkpoint", steps)
		}
		if got, err := run(t.Context(), config(), dir, nil); err != nil || got != want {
			t.Errorf("a finished run gives other weights when run again (%v)", err)
		}
	})
}

func TestCheckpointsOfAnotherRunAreRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "base")
	c := config()
	c.Steps = 10
	if _, err := pretrain.Run(t.Context(), small(), counting{}, c, dir, nil); err != nil {
		t.Fatal(err)
	}
	other := c
	other.LR = 2e-3
	if _, err := pretrain.Run(t.Context(), small(), counting{}, other, dir, nil); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("another learning rate: %v", err)
	}
	w := small()
	w.Init(2, model.InitOptions{})
	if _, err := pretrain.Run(t.Context(), w, counting{}, c, dir, nil); err == nil {
		t.Error("other initial weights were accepted")
	}
	c.MaxTokens = 99
	if _, err := pretrain.Run(t.Context(), small(), counting{}, c, dir, nil); err != nil {
		t.Errorf("the token budget does not change results, but: %v", err)
	}
}

type faulty struct {
	ids   []int32
	train []bool
	err   error
}

func (f faulty) Example(int, int) ([]int32, []bool, error) { return f.ids, f.train, f.err }

func TestSourcesThatCannotBeLearntFromAreReported(t *testing.T) {
	broken := errors.New("no more problems")
	for name, c := range map[string]struct {
		source pretrain.Source
		want   string
	}{
		"error":          {faulty{err: broken}, "no more problems"},
		"short mask":     {faulty{ids: []int32{1, 2}, train: []bool{true}}, "mask of 1"},
		"nothing to do":  {faulty{ids: []int32{1, 2}, train: []bool{true, false}}, "no token of the step is a target"},
		"foreign token":  {faulty{ids: []int32{1, 12}, train: []bool{false, true}}, "outside the vocabulary"},
		"too long":       {faulty{ids: make([]int32, 33), train: append(make([]bool, 32), true)}, "context"},
		"empty sequence": {faulty{}, "target"},
	} {
		if _, err := pretrain.Run(t.Context(), small(), c.source, config(), "", nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, c.want)
		}
	}
}

func TestConfigIsValidatedAsAWhole(t *testing.T) {
	if err := pretrain.Default().Validate(); err != nil {
		t.Errorf("the default is invalid: %v", err)
	}
	for name, spoil := range map[string]func(*pretrain.Config){
		"shape":            func(c *pretrain.Config) { c.Shape = "sine" },
		"warmup":           func(c *pretrain.Config) { c.Warmup = c.Steps },
		"final":            func(c *pretrain.Config) { c.Final = 1.5 },
		"checkpoint_every": func(c *pretrain.Config) { c.CheckpointEvery = -1 },
	} {
		c := pretrain.Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a bad %s gives %v", name, err)
		}
	}
	err := pretrain.Config{}.Validate()
	for _, want := range []string{"steps", "rows", "lr", "eps", "max_tokens"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the zero config gives %v, want a word about %s", err, want)
		}
	}
}

func TestLearningRateRisesThenFalls(t *testing.T) {
	c := pretrain.Default()
	for shape, end := range map[string]float64{"cosine": 0.05, "linear": 0.05, "constant": 1} {
		c.Shape = shape
		lr, err := c.Schedule()
		if err != nil {
			t.Fatal(err)
		}
		for step, want := range map[int64]float64{1: c.LR / 50, 50: c.LR, 1500: c.LR * end} {
			if got := lr.At(step); math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: rate %v at step %d, want %v", shape, got, step, want)
			}
		}
	}
}
