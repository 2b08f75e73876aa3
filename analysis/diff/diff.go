package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"pith/traces"
)

// Result is how B differs from A.
type Result struct {
	A        Side     `json:"a"`
	B        Side     `json:"b"`
	Decoding string   `json:"decoding"`
	Settings []Change `json:"settings"` // that differ
	// Paired counts the responses to the same problem on both sides with a score on both; NoScore
	// those where a side has none; OnlyA and OnlyB those without a counterpart.
	Paired  int `json:"paired"`
	NoScore int `json:"no_score"`
	OnlyA   int `json:"only_a"`
	OnlyB   int `json:"only_b"`

	Accuracy Estimate `json:"accuracy_change"` // of the paired, in points of share
	Tokens   Estimate `json:"tokens_change"`   // relative, of the paired
	Flips    Flips    `json:"flips"`
	// P is the two-sided exact probability of so many more problems going one way than the other, were
	// both sides equally good (McNemar's test, binomial form). It counts problems by the balance of
	// their flips, not responses: the same problem drawn nine times says one thing.
	P     float64 `json:"p_value"`
	Curve []Step  `json:"curve"` // evaluations after the same step
	// Lost and Gained are examples, first those that got shorter, by how much they did.
	Lost   []Flip `json:"lost"`
	Gained []Flip `json:"gained"`
}

// Change is a setting, or a fact of the manifest, that differs; "" where a side has none.
type Change struct {
	Key string `json:"key"`
	A   string `json:"a"`
	B   string `json:"b"`
}

// Estimate is a difference with its 95 % interval, from a seeded bootstrap over problems (Efron 1979).
type Estimate struct {
	Value    float64    `json:"value"`
	Interval [2]float64 `json:"interval"`
}

// Flips counts pairs by verdict.
type Flips struct {
	BothRight     int `json:"both_right"`
	BothWrong     int `json:"both_wrong"`
	Lost          int `json:"lost"`         // right → wrong
	LostShorter   int `json:"lost_shorter"` // of those, the ones that got shorter
	Gained        int `json:"gained"`       // wrong → right
	GainedShorter int `json:"gained_shorter"`
}

// Step is both sides' evaluation after one learner step.
type Step struct {
	Step      int64   `json:"step"`
	AccuracyA float64 `json:"accuracy_a"`
	AccuracyB float64 `json:"accuracy_b"`
	TokensA   float64 `json:"tokens_a"`
	TokensB   float64 `json:"tokens_b"`
}

// Flip is a problem whose verdict changed.
type Flip struct {
	Problem string   `json:"problem"`
	Level   int32    `json:"level"`
	Gold    string   `json:"gold"`
	Prompt  string   `json:"prompt"`
	A       Response `json:"a"`
	B       Response `json:"b"`

	at key
}

// Response is one side's answer.
type Response struct {
	Verdict   traces.Verdict `json:"verdict"`
	Extracted string         `json:"extracted"`
	Tokens    int32          `json:"tokens"`
	Text      string         `json:"text"`
}

// Compare reads both sides. Decodings must agree: greedy and sampled answers differ for no reason of
// training. examples bounds Lost and Gained; 0 keeps none. Memory grows with the number of held-out
// responses, not with their texts.
func Compare(a, b Point, examples int) (*Result, error) {
	if a.Decoding != b.Decoding {
		return nil, fmt.Errorf("cannot compare %s with %s decoding", a.Decoding, b.Decoding)
	}
	la, err := load(a)
	if err != nil {
		return nil, err
	}
	lb, err := load(b)
	if err != nil {
		return nil, err
	}
	r := &Result{A: la.side, B: lb.side, Decoding: a.Decoding, Settings: settings(la, lb), Curve: curve(la, lb), Lost: []Flip{}, Gained: []Flip{}}
	r.pair(la, lb)
	if r.Paired == 0 {
		return nil, fmt.Errorf("%s and %s were evaluated on no common problem (same data, data.params and seed of the held-out split are needed)", a.Dir, b.Dir)
	}
	r.Lost, r.Gained = shortest(r.Lost, examples), shortest(r.Gained, examples)
	for _, l := range []*loaded{la, lb} {
		if err := r.texts(l, l == la); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// pair walks the responses of A in the order of the log.
func (r *Result) pair(a, b *loaded) {
	var pairs []pair
	common := 0
	for _, k := range a.order {
		x := a.rows[k]
		y, ok := b.rows[k]
		if !ok {
			r.OnlyA++
			continue
		}
		common++
		if !scored(x) || !scored(y) {
			r.NoScore++
			continue
		}
		p := pair{problem: k.problem, rightA: x.Verdict == traces.Right, rightB: y.Verdict == traces.Right, tokensA: float64(x.Length), tokensB: float64(y.Length)}
		pairs = append(pairs, p)
		shorter := y.Length < x.Length
		flip := Flip{Problem: k.problem, Level: x.Level, A: Response{Verdict: x.Verdict, Tokens: x.Length}, B: Response{Verdict: y.Verdict, Tokens: y.Length}, at: k}
		switch {
		case p.rightA && p.rightB:
			r.Flips.BothRight++
		case p.rightA:
			r.Flips.Lost++
			r.Lost = append(r.Lost, flip)
			if shorter {
				r.Flips.LostShorter++
			}
		case p.rightB:
			r.Flips.Gained++
			r.Gained = append(r.Gained, flip)
			if shorter {
				r.Flips.GainedShorter++
			}
		default:
			r.Flips.BothWrong++
		}
	}
	r.OnlyB = len(b.rows) - common
	r.Paired = len(pairs)
	r.P = mcnemar(balance(pairs))
	r.Accuracy, r.Tokens = bootstrap(pairs)
}

func scored(r row) bool { return r.Verdict == traces.Right || r.Verdict == traces.Wrong }

// shortest puts the flips that shortened most first.
func shortest(flips []Flip, n int) []Flip {
	slices.SortFunc(flips, func(a, b Flip) int {
		return cmp.Or(cmp.Compare(a.B.Tokens-a.A.Tokens, b.B.Tokens-b.A.Tokens), cmp.Compare(a.Problem, b.Problem), cmp.Compare(a.at.nth, b.at.nth))
	})
	return flips[:min(len(flips), n)]
}

// balance counts the problems that lost and that gained right answers.
func balance(pairs []pair) (lost, gained int) {
	net := map[string]int{}
	for _, p := range pairs {
		net[p.problem] += p.change()
	}
	for _, n := range net {
		switch {
		case n < 0:
			lost++
		case n > 0:
			gained++
		}
	}
	return lost, gained
}

// mcnemar is the exact two-sided test of lost against gained flips.
func mcnemar(lost, gained int) float64 {
	n := lost + gained
	tail := 0.0
	for i := range min(lost, gained) + 1 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(i + 1))
		c, _ := math.Lgamma(float64(n - i + 1))
		tail += math.Exp(a - b - c - float64(n)*math.Ln2)
	}
	return min(2*tail, 1)
}

type pair struct {
	problem          string
	rightA, rightB   bool
	tokensA, tokensB float64
}

// change is 1 where the pair became right, -1 where it became wrong.
func (p pair) change() int {
	switch {
	case p.rightB && !p.rightA:
		return 1
	case p.rightA && !p.rightB:
		return -1
	}
	return 0
}

// Resamples of the bootstrap.
const Resamples = 2000

// bootstrap draws problems, with all their responses, with replacement.
func bootstrap(pairs []pair) (accuracy, tokens Estimate) {
	type sums struct{ n, change, a, b float64 }
	by := map[string]int{}
	var problems []sums
	var all sums
	for _, p := range pairs {
		i, ok := by[p.problem]
		if !ok {
			i = len(problems)
			by[p.problem] = i
			problems = append(problems, sums{})
		}
		for _, s := range []*sums{&problems[i], &all} {
			s.n++
			s.change += float64(p.change())
			s.a += p.tokensA
			s.b += p.tokensB
		}
	}
	accuracy.Value, tokens.Value = all.change/all.n, all.b/all.a-1
	random := rand.New(rand.NewPCG(20260301, uint64(len(problems))))
	points, ratios := make([]float64, Resamples), make([]float64, Resamples)
	for i := range Resamples {
		var s sums
		for range problems {
			p := &problems[random.IntN(len(problems))]
			s.n, s.change, s.a, s.b = s.n+p.n, s.change+p.change, s.a+p.a, s.b+p.b
		}
		points[i], ratios[i] = s.change/s.n, s.b/s.a-1
	}
	accuracy.Interval, tokens.Interval = percentiles(points), percentiles(ratios)
	return accuracy, tokens
}

func percentiles(v []float64) [2]float64 {
	slices.Sort(v)
	last := float64(len(v) - 1)
	return [2]float64{v[int(0.025*last)], v[int(math.Ceil(0.975*last))]}
}

// curve pairs the evaluations after the same steps.
func curve(a, b *loaded) []Step {
	steps := []Step{}
	for _, x := range a.evals {
		for _, y := range b.evals {
			if x.Step == y.Step {
				steps = append(steps, Step{x.Step, x.Accuracy, y.Accuracy, x.TokensMean, y.TokensMean})
			}
		}
	}
	return steps
}

// settings compares configs and manifests key by key.
func settings(a, b *loaded) []Change {
	fa, fb := map[string]string{}, map[string]string{}
	for _, side := range []struct {
		l   *loaded
		out map[string]string
	}{{a, fa}, {b, fb}} {
		flatten("", side.l.config, side.out)
		maps.Copy(side.out, side.l.facts)
	}
	keys := map[string]bool{}
	for k := range fa {
		keys[k] = true
	}
	for k := range fb {
		keys[k] = true
	}
	changes := []Change{}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if fa[k] != fb[k] {
			changes = append(changes, Change{k, fa[k], fb[k]})
		}
	}
	return changes
}

// flatten writes a nested value as key paths, lists as their JSON.
func flatten(prefix string, v any, out map[string]string) {
	m, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			return
		}
		text, err := json.Marshal(v)
		if err != nil {
			text = fmt.Append(nil, v)
		}
		out[prefix] = strings.Trim(string(text), `"`)
		return
	}
	for k, v := range m {
		path := snake(k)
		if prefix != "" {
			path = prefix + "." + path
		}
		flatten(path, v, out)
	}
}

// snake writes a Go field name, as manifests hold it, the way configs do.
func snake(name string) string {
	var b strings.Builder
	upper := func(i int) bool { return i >= 0 && i < len(name) && name[i] >= 'A' && name[i] <= 'Z' }
	for i := range len(name) {
		if upper(i) && i > 0 && (!upper(i-1) || i+1 < len(name) && !upper(i+1)) && name[i-1] != '_' {
			b.WriteByte('_')
		}
		b.WriteByte(name[i])
	}
	return strings.ToLower(b.String())
}

// textual is what is read of the responses that are shown.
type textual struct {
	Step      int64  `parquet:"step"`
	Problem   string `parquet:"problem"`
	Gold      string `parquet:"gold"`
	Prompt    string `parquet:"prompt_text"`
	Text      string `parquet:"text"`
	Extracted string `parquet:"extracted"`
}

// texts reads the texts of the examples of one side.
func (r *Result) texts(l *loaded, first bool) error {
	wanted := map[key]*Flip{}
	for _, list := range [][]Flip{r.Lost, r.Gained} {
		for i := range list {
			wanted[list[i].at] = &list[i]
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	seen := map[string]int{}
	for t, err := range traces.Scan[textual](l.run, l.filter()) {
		if err != nil {
			return err
		}
		if t.Step > l.side.Step {
			break
		}
		f := wanted[key{t.Problem, seen[t.Problem]}]
		seen[t.Problem]++
		if f == nil {
			continue
		}
		f.Gold, f.Prompt = t.Gold, t.Prompt
		if first {
			f.A.Text, f.A.Extracted = t.Text, t.Extracted
		} else {
			f.B.Text, f.B.Extracted = t.Text, t.Extracted
		}
	}
	return nil
}
