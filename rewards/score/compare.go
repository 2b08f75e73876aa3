package score

import (
	"cmp"
	"errors"
	"io"
	"math"
	"slices"

	"pith/rewards"
)

// Comparison says how methods differ on the same recorded groups. The first method is the base.
type Comparison struct {
	Groups int64        `json:"groups"`
	Traces int64        `json:"traces"` // scored ones
	Base   string       `json:"base"`
	Rows   []Row        `json:"methods"`
	Bands  []LengthBand `json:"bands"` // in the order of Row.Mass
}

// LengthBand holds the traces with From ≤ tokens < To.
type LengthBand struct {
	From   int64 `json:"from"`
	To     int64 `json:"to"`
	Traces int64 `json:"traces"`
}

// Row is one method. Shares lie in [0, 1]; those over nothing are 0.
type Row struct {
	Method  string `json:"method"`
	Profile string `json:"profile"`
	// SignChanged is the share of scored traces that the base pushes one way and this method the
	// other way, or not at all.
	SignChanged float64 `json:"sign_changed"`
	// Rank is Spearman's correlation between this method's advantages and the base's inside a
	// group, averaged over the groups in which both differ among traces (RankGroups of them).
	Rank       float64 `json:"rank_correlation"`
	RankGroups int64   `json:"rank_groups"`
	// Inverted is the share of right traces that get less advantage than a wrong one of their
	// group.
	Inverted float64 `json:"inverted"`
	// Mass is the share of the gradient mass Σ |advantage| · tokens in each length band, and Push
	// the mass's balance there, from -1 (all down) to 1 (all up).
	Mass []float64 `json:"gradient_mass"`
	Push []float64 `json:"push"`
	// Kept is the share of groups that the method's filter keeps, Active that of groups with any
	// advantage.
	Kept   float64 `json:"groups_kept"`
	Active float64 `json:"groups_active"`
	// FromLength says how much of the advantages came from length: with A as it is and B as it
	// would be had all traces of a group been equally long and none truncated,
	// Σ|A - B| / (Σ|A - B| + Σ|B|).
	FromLength float64 `json:"from_length"`
}

// Compare scores JSON lines under several methods, the first of which is the base. Memory stays
// constant unless one of the methods needs the whole batch.
func Compare(methods []*rewards.Method, in io.Reader) (*Comparison, error) {
	if len(methods) == 0 {
		return nil, errors.New("nothing to compare: name at least one method")
	}
	c := newComparer(methods)
	if slices.ContainsFunc(methods, (*rewards.Method).Batched) {
		batch, lines, err := readAll(in, methods...)
		if err != nil {
			return nil, err
		}
		if err := c.add(batch); err != nil {
			return nil, atGroup(err, batch, lines)
		}
		return c.finish(), nil
	}
	r := NewReader(in)
	batch := make([]rewards.Group, 1)
	for {
		err := r.Next(&batch[0])
		if errors.Is(err, io.EOF) {
			return c.finish(), nil
		}
		if err != nil {
			return nil, err
		}
		if err := c.add(batch); err != nil {
			return nil, r.at(err)
		}
	}
}

// CompareBatches compares methods on batches given one by one, each scored as a training batch of
// its own, with what a method remembers advanced between them.
func CompareBatches(methods []*rewards.Method, batches func(yield func([]rewards.Group, error) bool)) (*Comparison, error) {
	c := newComparer(methods)
	for batch, err := range batches {
		if err != nil {
			return nil, err
		}
		if err := c.add(batch); err != nil {
			return nil, err
		}
		for _, m := range methods {
			m.Observe(batch)
		}
	}
	return c.finish(), nil
}

// lengthBands is the number of bands; band k > 0 holds the lengths from 2^(k-1) up to 2^k.
const lengthBands = 34

func bandOf(tokens int) int {
	band := 0
	for ; tokens > 0 && band < lengthBands-1; tokens >>= 1 {
		band++
	}
	return band
}

// tally accumulates one method.
type tally struct {
	changed, inverted, kept, active int64
	rank                            float64
	rankGroups                      int64
	mass, push                      [lengthBands]float64
	moved, still                    float64 // Σ|A - B|, Σ|B|
	results, flat                   [][]rewards.Result
}

type comparer struct {
	methods []*rewards.Method
	tallies []tally
	groups  int64
	traces  int64
	right   int64
	bands   [lengthBands]int64
	level   []rewards.Group
	a, b    []float64
}

func newComparer(methods []*rewards.Method) *comparer {
	return &comparer{methods: methods, tallies: make([]tally, len(methods))}
}

func (c *comparer) add(batch []rewards.Group) error {
	c.level = levelled(batch, c.level)
	for k, m := range c.methods {
		var err error
		t := &c.tallies[k]
		if t.results, err = m.ScoreInto(batch, t.results); err != nil {
			return err
		}
		if t.flat, err = m.ScoreInto(c.level, t.flat); err != nil {
			return err
		}
	}
	for i := range batch {
		g := &batch[i]
		c.groups++
		for j := range g.Samples {
			if s := &g.Samples[j]; s.Correct != nil || s.Missing&rewards.FieldCorrect != 0 {
				c.traces++
				c.bands[bandOf(s.Tokens)]++
				if s.Correct != nil && *s.Correct {
					c.right++
				}
			}
		}
		for k := range c.tallies {
			c.tally(&c.tallies[k], g, c.tallies[k].results[i], c.tallies[0].results[i], c.tallies[k].flat[i])
		}
	}
	return nil
}

func (c *comparer) tally(t *tally, g *rewards.Group, own, base, flat []rewards.Result) {
	c.a, c.b = c.a[:0], c.b[:0]
	worstWrong, kept, active := math.Inf(-1), false, false
	for j := range g.Samples {
		s := &g.Samples[j]
		if s.Correct == nil && s.Missing&rewards.FieldCorrect == 0 {
			continue
		}
		a, b := own[j].Advantage, base[j].Advantage
		c.a, c.b = append(c.a, a), append(c.b, b)
		if sign(a) != sign(b) {
			t.changed++
		}
		kept = kept || !own[j].Dropped
		active = active || a != 0
		mass := math.Abs(a) * float64(s.Tokens)
		t.mass[bandOf(s.Tokens)] += mass
		t.push[bandOf(s.Tokens)] += a * float64(s.Tokens)
		t.moved += math.Abs(a - flat[j].Advantage)
		t.still += math.Abs(flat[j].Advantage)
		if s.Correct != nil && !*s.Correct {
			worstWrong = max(worstWrong, a)
		}
	}
	for j := range g.Samples {
		if s := &g.Samples[j]; s.Correct != nil && *s.Correct && own[j].Advantage < worstWrong {
			t.inverted++
		}
	}
	if kept {
		t.kept++
	}
	if active {
		t.active++
	}
	if rho, ok := spearman(c.a, c.b); ok {
		t.rank += rho
		t.rankGroups++
	}
}

func sign(x float64) int { return cmp.Compare(x, 0) }

// levelled copies a batch with every scored trace of a group as long as their mean, and none
// truncated. What cannot be rescaled with the length (values of a critic) stays.
func levelled(batch, dst []rewards.Group) []rewards.Group {
	dst = append(dst[:0], batch...)
	for i := range dst {
		g := &dst[i]
		g.Samples = slices.Clone(g.Samples)
		n, tokens, chars := 0, 0.0, 0.0
		for j := range g.Samples {
			if s := &g.Samples[j]; s.Correct != nil || s.Missing&rewards.FieldCorrect != 0 {
				n++
				tokens += float64(s.Tokens)
				chars += float64(s.Chars)
			}
		}
		for j := range g.Samples {
			s := &g.Samples[j]
			if s.Values == nil && n > 0 {
				s.Tokens, s.Chars = int(math.Round(tokens/float64(n))), int(math.Round(chars/float64(n)))
				s.Segments = nil
			}
			s.Truncated = false
		}
	}
	return dst
}

func (c *comparer) finish() *Comparison {
	out := &Comparison{Groups: c.groups, Traces: c.traces, Base: c.methods[0].Name()}
	first, last := lengthBands, -1
	for k, n := range c.bands {
		if n > 0 {
			first, last = min(first, k), k
		}
	}
	for k := first; k <= last; k++ {
		band := LengthBand{To: 1 << k, Traces: c.bands[k]}
		if k > 0 {
			band.From = 1 << (k - 1)
		}
		out.Bands = append(out.Bands, band)
	}
	for k := range c.tallies {
		t := &c.tallies[k]
		row := Row{
			Method: c.methods[k].Name(), Profile: c.methods[k].Profile(),
			SignChanged: share(float64(t.changed), float64(c.traces)), Rank: share(t.rank, float64(t.rankGroups)), RankGroups: t.rankGroups,
			Inverted: share(float64(t.inverted), float64(c.right)), Kept: share(float64(t.kept), float64(c.groups)),
			Active: share(float64(t.active), float64(c.groups)), FromLength: share(t.moved, t.moved+t.still),
			Mass: []float64{}, Push: []float64{},
		}
		total := 0.0
		for _, m := range t.mass {
			total += m
		}
		for b := first; b <= last; b++ {
			row.Mass = append(row.Mass, share(t.mass[b], total))
			row.Push = append(row.Push, share(t.push[b], t.mass[b]))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// spearman is the correlation of ranks, ties sharing their mean rank; false where either side has
// no differences.
func spearman(a, b []float64) (float64, bool) {
	if len(a) < 2 {
		return 0, false
	}
	x, y := ranks(a), ranks(b)
	mean := float64(len(a)-1) / 2
	xy, xx, yy := 0.0, 0.0, 0.0
	for i := range x {
		xy += (x[i] - mean) * (y[i] - mean)
		xx += (x[i] - mean) * (x[i] - mean)
		yy += (y[i] - mean) * (y[i] - mean)
	}
	if xx == 0 || yy == 0 {
		return 0, false
	}
	return xy / math.Sqrt(xx*yy), true
}

func ranks(xs []float64) []float64 {
	order := make([]int, len(xs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(xs[i], xs[j]) })
	out := make([]float64, len(xs))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && xs[order[to]] == xs[order[from]] {
			to++
		}
		for k := from; k < to; k++ {
			out[order[k]] = float64(from+to-1) / 2
		}
		from = to
	}
	return out
}
