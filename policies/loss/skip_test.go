package loss

import "testing"

func TestLossesThatIgnoreZeroAdvantagesGetNothingFromThem(t *testing.T) {
	ignoring := 0
	for _, name := range Names() {
		fn, _, err := New(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := &Batch{
			Offsets:   []int32{0, 3, 5},
			LogProbs:  []float32{0, -0.5, -2, 0, -0.1},
			Behavior:  []float32{0, -0.9, -0.2, 0, -0.4},
			Proximal:  []float32{0, -0.7, -0.3, 0, -0.2},
			Reference: []float32{0, -0.6, -1, 0, -3},
			Advantage: make([]float32, 5),
			Weight:    []float32{0, 1, 0.5, 0, 2},
			Entropy:   []float32{0, 1, 2, 0, 3},
			Group:     []int32{0, 0},
		}
		if !IgnoresZeroAdvantage(fn) {
			continue
		}
		ignoring++
		var out Result
		if err := fn.Eval(b, &out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if out.Value != 0 {
			t.Errorf("%s: value %v, want 0", name, out.Value)
		}
		for i, g := range out.GradLogProb {
			if g != 0 {
				t.Errorf("%s: gradient %v at token %d, want 0", name, g, i)
			}
		}
	}
	if ignoring < 5 {
		t.Errorf("only %d losses ignore zero advantages; the plain policy gradients should", ignoring)
	}
	for name, params := range map[string]map[string]any{
		"a KL term":            {"kl_coef": 0.1},
		"an entropy bonus":     {"entropy_coef": 0.1},
		"weights over a batch": {"denominator": "proximal", "correction": "tis", "correction_normalize": true},
		"nothing that hinders": nil,
	} {
		fn, _, err := New("ppo", params)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := IgnoresZeroAdvantage(fn), params == nil; got != want {
			t.Errorf("ppo with %s ignores zero advantages: %v, want %v", name, got, want)
		}
	}
	if fn, _, _ := New("dro", nil); IgnoresZeroAdvantage(fn) {
		t.Error("dro pulls at every token, whatever its advantage")
	}
}
