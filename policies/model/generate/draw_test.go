package generate

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pith/policies/model/random"
)

var inf = float32(math.Inf(1))

// logitsOf are the logits of the given probabilities, moved by a constant.
func logitsOf(probabilities ...float64) []float32 {
	z := make([]float32, len(probabilities))
	for i, p := range probabilities {
		z[i] = float32(math.Log(p) + 3)
	}
	return z
}

// distribution is what the drawer draws from, by token, found by asking for every u.
func distribution(t testing.TB, logits []float32, p Params, stops bool) (probability []float64, entropy float64) {
	t.Helper()
	var d drawer
	probability = make([]float64, len(logits))
	const n = 4096
	for i := range n {
		x := d.draw(logits, &p, stops, (float64(i)+0.5)/n)
		if x.nonsense {
			t.Fatal("no distribution")
		}
		got := math.Exp(float64(x.logprob))
		if old := probability[x.token]; old != 0 && old != got {
			t.Fatalf("token %d has probability %v and %v", x.token, old, got)
		}
		probability[x.token], entropy = got, float64(x.entropy)
	}
	return probability, entropy
}

func TestFiltersKeepAndRenormalise(t *testing.T) {
	logits := logitsOf(0.1, 0.4, 0.05, 0.3, 0.15)
	off := Params{Temperature: 1, TopP: 1}
	with := func(change func(*Params)) Params {
		p := off
		change(&p)
		return p
	}
	for _, tc := range []struct {
		name   string
		params Params
		stops  bool
		want   []float64 // before renormalising
	}{
		{"off", off, true, []float64{0.1, 0.4, 0.05, 0.3, 0.15}},
		{"top-k", with(func(p *Params) { p.TopK = 2 }), true, []float64{0, 0.4, 0, 0.3, 0}},
		{"top-k beyond the vocabulary", with(func(p *Params) { p.TopK = 9 }), true, []float64{0.1, 0.4, 0.05, 0.3, 0.15}},
		{"top-p between two", with(func(p *Params) { p.TopP = 0.6 }), true, []float64{0, 0.4, 0, 0.3, 0}},
		{"top-p takes one at least", with(func(p *Params) { p.TopP = 1e-9 }), true, []float64{0, 1, 0, 0, 0}},
		{"top-p close to 1", with(func(p *Params) { p.TopP = 0.96 }), true, []float64{0.1, 0.4, 0.05, 0.3, 0.15}},
		{"min-p", with(func(p *Params) { p.MinP = 0.3 }), true, []float64{0, 0.4, 0, 0.3, 0.15}},
		{"min-p 1", with(func(p *Params) { p.MinP = 1 }), true, []float64{0, 1, 0, 0, 0}},
		{"top-k, then top-p of what is left", with(func(p *Params) { p.TopK, p.TopP = 3, 0.8 }), true, []float64{0, 0.4, 0, 0.3, 0}},
		{"min-p, then top-p of what is left", with(func(p *Params) { p.MinP, p.TopP = 0.3, 0.5 }), true, []float64{0, 0.4, 0, 0.3, 0}},
		{"stop tokens forbidden", with(func(p *Params) { p.Stop = []int32{1, 2} }), false, []float64{0.1, 0, 0, 0.3, 0.15}},
		{"stop tokens allowed", with(func(p *Params) { p.Stop = []int32{1, 2} }), true, []float64{0.1, 0.4, 0.05, 0.3, 0.15}},
		{"forbidden before the filters", with(func(p *Params) { p.Stop, p.TopK = []int32{1}, 1 }), false, []float64{0, 0, 0, 1, 0}},
		{"temperature", with(func(p *Params) { p.Temperature = 0.5 }), true, []float64{0.01, 0.16, 0.0025, 0.09, 0.0225}},
		{"temperature before top-p", with(func(p *Params) { p.Temperature, p.TopP = 0.5, 0.85 }), true, []float64{0, 0.16, 0, 0.09, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, entropy := distribution(t, logits, tc.params, tc.stops)
			sum, h := 0.0, 0.0
			for _, p := range tc.want {
				sum += p
			}
			for i, p := range tc.want {
				p /= sum
				if math.Abs(got[i]-p) > 1e-6 {
					t.Errorf("token %d has probability %v, want %v", i, got[i], p)
				}
				if p > 0 {
					h -= p * math.Log(p)
				}
			}
			if math.Abs(entropy-h) > 1e-5 {
				t.Errorf("entropy is %v, want %v", entropy, h)
			}
		})
	}
}

func TestGreedyTakesTheLowestOfTheLikeliest(t *testing.T) {
	var d drawer
	p := Params{Temperature: 0, TopP: 1, Stop: []int32{2}}
	for _, tc := range []struct {
		name   string
		logits []float32
		stops  bool
		want   int32
	}{
		{"one", []float32{0, 1, 5, 2}, true, 2},
		{"a tie", []float32{0, 5, 1, 5}, true, 1},
		{"forbidden", []float32{0, 1, 5, 2}, false, 3},
		{"minus infinity elsewhere", []float32{-inf, -inf, -inf, 7}, true, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := d.draw(tc.logits, &p, tc.stops, 0.99); got.token != tc.want || got.nonsense {
				t.Errorf("got %+v, want token %d", got, tc.want)
			}
		})
	}
	got := d.draw(logitsOf(0.25, 0.75), &p, true, 0)
	if math.Abs(float64(got.logprob)-math.Log(0.75)) > 1e-6 {
		t.Errorf("log-probability %v is not that of temperature 1", got.logprob)
	}
}

func TestLogitsWithoutADistributionAreSaidSo(t *testing.T) {
	var d drawer
	p := Params{Temperature: 1, TopP: 1, Stop: []int32{0}}
	nan := float32(math.NaN())
	for name, logits := range map[string][]float32{
		"not a number": {0, nan, 1}, "all": {nan, nan, nan}, "infinite": {0, inf, 1}, "nothing": {-inf, -inf, -inf},
	} {
		if got := d.draw(logits, &p, true, 0.5); !got.nonsense {
			t.Errorf("%s: drew %+v", name, got)
		}
	}
	if got := d.draw([]float32{1, -inf, -inf}, &p, false, 0.5); !got.nonsense {
		t.Errorf("only the forbidden token is possible: drew %+v", got)
	}
}

// TestDrawsFollowTheirProbabilities draws with the generator that samples use.
func TestDrawsFollowTheirProbabilities(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 40)
	for i := range logits {
		logits[i] = float32(r.NormFloat64())
	}
	p := Params{Temperature: 0.8, TopP: 0.95}
	var d drawer
	const n = 100_000
	count, probability := make([]float64, len(logits)), make([]float64, len(logits))
	for i := range uint64(n) {
		x := d.draw(logits, &p, true, random.Uniform(5, i%12, i/12))
		count[x.token]++
		probability[x.token] = math.Exp(float64(x.logprob))
	}
	chi, cells, sum := 0.0, -1.0, 0.0
	for i, q := range probability {
		if q > 0 {
			chi += (count[i] - n*q) * (count[i] - n*q) / (n * q)
			cells++
			sum += q
		}
	}
	if math.Abs(sum-1) > 1e-5 {
		t.Errorf("probabilities of what was drawn sum to %v", sum)
	}
	if chi > cells+6*math.Sqrt(2*cells) {
		t.Errorf("chi-square %.1f with %.0f degrees of freedom", chi, cells)
	}
}

// TestFiltersAgreeWithTheirDefinition compares with a sort of everything, in float64.
func TestFiltersAgreeWithTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "n")
		logits := make([]float32, n)
		for i := range logits {
			logits[i] = rapid.Float32Range(-30, 5).Draw(t, "logit")
		}
		p := Params{Temperature: 1, TopP: rapid.SampledFrom([]float64{1, 0.5, 0.9, 0.999}).Draw(t, "top-p"),
			TopK: rapid.IntRange(0, n+1).Draw(t, "top-k"), MinP: rapid.SampledFrom([]float64{0, 0.01, 0.5}).Draw(t, "min-p")}
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			return int(math.Copysign(1, float64(logits[b])-float64(logits[a]))) * boolInt(logits[a] != logits[b])
		})
		top := float64(logits[order[0]])
		weight := func(i int) float64 { return math.Exp(float64(logits[i]) - top) }
		kept := order[:0:0]
		margin := math.Inf(1) // how close the definition is to a decision that rounding could turn
		for rank, i := range order {
			margin = min(margin, math.Abs(weight(i)-p.MinP))
			if weight(i) >= p.MinP && (p.TopK == 0 || rank < p.TopK) {
				kept = append(kept, i)
			}
		}
		total, run := 0.0, 0.0
		for _, i := range kept {
			total += weight(i)
		}
		for rank, i := range kept {
			if margin = min(margin, math.Abs(run/total-p.TopP)); p.TopP < 1 && run/total >= p.TopP {
				kept = kept[:rank]
				break
			}
			run += weight(i)
		}
		if margin < 1e-5 && (p.MinP > 0 || p.TopP < 1) {
			t.Skip("too close to call")
		}
		var d drawer
		if d.draw(logits, &p, true, 0.5).nonsense {
			t.Fatal("no distribution")
		}
		var got []int
		for i, e := range d.e {
			if e > 0 {
				got = append(got, i)
			}
		}
		slices.Sort(kept)
		if diff := cmp.Diff(kept, got); diff != "" {
			t.Errorf("tokens kept (-definition +got):\n%s", diff)
		}
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestParamsAreCheckedAllAtOnce(t *testing.T) {
	good := Params{MaxTokens: 5, Temperature: 1, TopP: 1}
	for _, tc := range []struct {
		name   string
		change func(*Params)
		want   []string
	}{
		{"good", func(*Params) {}, nil},
		{"limits", func(p *Params) { p.MaxTokens, p.MinTokens, p.TopK = 0, -1, -1 }, []string{"max tokens is 0", "min tokens is -1", "top-k is -1"}},
		{"numbers", func(p *Params) { p.Temperature, p.TopP, p.MinP = math.NaN(), math.NaN(), math.NaN() }, []string{"temperature is NaN", "top-p is NaN", "min-p is NaN"}},
		{"a temperature that overflows", func(p *Params) { p.Temperature = 1e-9 }, []string{"temperature is 1e-09"}},
		{"ranges", func(p *Params) { p.TopP, p.MinP, p.Temperature = 1.5, 2, math.Inf(1) }, []string{"top-p is 1.5", "min-p is 2", "temperature is +Inf"}},
		{"stop tokens", func(p *Params) { p.Stop = []int32{-1, 4} }, []string{"stop token -1", "stop token 4"}},
		{"nothing may be drawn", func(p *Params) { p.MinTokens, p.Stop = 1, []int32{0, 1, 2, 3, 3} }, []string{"every token of the vocabulary is one"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := good
			tc.change(&p)
			err := p.check(4)
			if (err == nil) != (tc.want == nil) {
				t.Fatalf("error is %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want one with %q", err, want)
				}
			}
		})
	}
}

func TestLogProbabilitiesAreOfTheDistributionAskedFor(t *testing.T) {
	chance := []float64{0.1, 0.4, 0.05, 0.3, 0.15}
	logits := logitsOf(chance...)
	tempered := make([]float64, len(chance)) // at temperature 2: square roots, renormalised
	sum := 0.0
	for i, p := range chance {
		tempered[i] = math.Sqrt(p)
		sum += tempered[i]
	}
	for _, tc := range []struct {
		name string
		p    Params
		want func(token int32) float64
	}{
		{"raw under temperature", Params{Temperature: 2, TopP: 1, Logprobs: Raw}, func(t int32) float64 { return chance[t] }},
		{"raw under a filter", Params{Temperature: 1, TopP: 1, TopK: 2, Logprobs: Raw}, func(t int32) float64 { return chance[t] }},
		{"raw under a minimum length", Params{Temperature: 1, TopP: 1, MinTokens: 1, Stop: []int32{1}, Logprobs: Raw}, func(t int32) float64 { return chance[t] }},
		{"raw when greedy", Params{TopP: 1, Logprobs: Raw}, func(t int32) float64 { return chance[t] }},
		{"tempered under temperature", Params{Temperature: 2, TopP: 1, Logprobs: Tempered}, func(t int32) float64 { return tempered[t] / sum }},
		{"tempered under both", Params{Temperature: 2, TopP: 1, TopK: 2, Logprobs: Tempered}, func(t int32) float64 { return tempered[t] / sum }},
		{"tempered under a filter", Params{Temperature: 1, TopP: 0.6, Logprobs: Tempered}, func(t int32) float64 { return chance[t] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var d drawer
			for i := range 50 {
				got := d.draw(logits, &tc.p, false, (float64(i)+0.5)/50)
				if want := tc.want(got.token); math.Abs(math.Exp(float64(got.logprob))-want) > 1e-6 {
					t.Fatalf("token %d has probability %v, want %v", got.token, math.Exp(float64(got.logprob)), want)
				}
				plain := tc.p
				plain.Logprobs = Drawn
				if same := d.draw(logits, &plain, false, (float64(i)+0.5)/50); same.token != got.token || same.entropy != got.entropy {
					t.Fatal("what is reported changes what is drawn")
				}
			}
		})
	}
}
