package ablation

import (
	"math"
	"slices"

	"pith/analysis/metrics"
	"pith/analysis/stats"
)

// compare fills the rows, the front and the pairs.
func (t *table) compare(reference string, points float64) {
	for i := range t.arms {
		t.arms[i].fill(t.Limit)
	}
	t.front()
	for i := range t.arms {
		t.Rows = append(t.Rows, t.arms[i].row)
	}
	t.pairs(points)
	t.againstReference(reference, points)
}

func column(k int) func([]float64) float64 { return func(m []float64) float64 { return m[k] } }

// fill estimates what a row says of itself and against the untrained policy of its seeds.
func (a *arm) fill(limit float64) {
	r := &a.row
	r.Accuracy = stats.Contrast(a.units, column(accuracyColumn))
	r.Tokens = stats.Contrast(a.units, column(tokensColumn))
	r.Area = stats.Contrast(a.units, column(areaColumn))
	if r.Kind != Untrained {
		pairs := paired(a.units, a.base)
		if len(pairs) == len(a.units) {
			r.Gain = estimate(pairs, difference)
			r.Saving = estimate(pairs, relative)
			r.AES = estimate(pairs, func(m []float64) float64 {
				return metrics.AES(m[accuracyColumn], m[tokensColumn], m[columns+accuracyColumn], m[columns+tokensColumn], metrics.DefaultAES)
			})
		}
	}
	if len(r.Trajectory) == 0 {
		return
	}
	var volumes []float64
	for _, run := range r.Trajectory {
		var points []stats.Point
		for i := range run.Step {
			points = append(points, stats.Point{Tokens: run.Tokens[i], Accuracy: run.Accuracy[i]})
		}
		volumes = append(volumes, stats.Hypervolume(points, limit))
	}
	v := stats.Mean(volumes)
	r.Volume = &v
}

func difference(m []float64) float64 { return m[accuracyColumn] - m[columns+accuracyColumn] }
func relative(m []float64) float64   { return m[tokensColumn]/m[columns+tokensColumn] - 1 }

func estimate(units []stats.Unit, f func([]float64) float64) *stats.Estimate {
	e := stats.Contrast(units, f)
	if math.IsNaN(e.Mean) || math.IsInf(e.Mean, 0) {
		return nil
	}
	return &e
}

// paired joins units of the same seed that have problems in common.
func paired(a, b []stats.Unit) []stats.Unit {
	var out []stats.Unit
	for _, x := range a {
		i := slices.IndexFunc(b, func(y stats.Unit) bool { return y.Seed == x.Seed })
		if i < 0 {
			continue
		}
		if p := stats.Pair(x, b[i]); len(p.Problems) > 1 {
			out = append(out, p)
		}
	}
	return out
}

// front marks the rows that nothing dominates, how often each is among them in the bootstrap, and
// what the dominated area would lose without it.
func (t *table) front() {
	points := make([]stats.Point, len(t.arms))
	units := make([][]stats.Unit, len(t.arms))
	for i := range t.arms {
		points[i] = stats.Point{Tokens: t.arms[i].row.Tokens.Mean, Accuracy: t.arms[i].row.Accuracy.Mean}
		units[i] = t.arms[i].units
	}
	t.Hypervolume = stats.Hypervolume(points, t.Limit)
	for _, i := range stats.Front(points) {
		t.arms[i].row.OnFront = true
		t.Front = append(t.Front, t.arms[i].row.Name)
		without := slices.Delete(slices.Clone(points), i, i+1)
		t.arms[i].row.Exclusive = t.Hypervolume - stats.Hypervolume(without, t.Limit)
	}
	for _, draw := range stats.Bootstrap(units, draws, drawSeed) {
		for i, m := range draw {
			points[i] = stats.Point{Tokens: m[tokensColumn], Accuracy: min(max(m[accuracyColumn], 0), 1)}
		}
		for _, i := range stats.Front(points) {
			t.arms[i].row.FrontShare += 1.0 / draws
		}
	}
}

// pairs compares every two trained arms.
func (t *table) pairs(points float64) {
	t.Pairs = []Pair{}
	for i := range t.arms {
		for j := i + 1; j < len(t.arms); j++ {
			if a, b := &t.arms[i], &t.arms[j]; a.trained() && b.trained() {
				t.Pairs = append(t.Pairs, pair(a, b, points))
			}
		}
	}
}

func (a *arm) trained() bool { return a.row.Kind == Arm || a.row.Kind == Baseline }

func pair(a, b *arm, points float64) Pair {
	p := Pair{A: a.row.Name, B: b.row.Name}
	units := paired(a.units, b.units)
	if len(units) == 0 {
		p.Unpaired = "no seed with held-out problems in common"
		p.Accuracy.Mean, p.Tokens.Mean = a.row.Accuracy.Mean-b.row.Accuracy.Mean, a.row.Tokens.Mean/b.row.Tokens.Mean-1
		return p
	}
	p.Accuracy, p.Tokens = stats.Contrast(units, difference), stats.Contrast(units, relative)
	if n, ok := p.Accuracy.Spread.SeedsToTell(points / 100); ok {
		p.SeedsNeeded = &n
	}
	return p
}

// againstReference compares the other trained arms with the reference, corrected for being several.
func (t *table) againstReference(reference string, points float64) {
	at := slices.IndexFunc(t.arms, func(a arm) bool { return a.row.Name == reference && a.trained() })
	if at < 0 {
		return
	}
	var rows []*Row
	var accuracy, tokens []float64
	for i := range t.arms {
		if i == at || !t.arms[i].trained() {
			continue
		}
		p := pair(&t.arms[i], &t.arms[at], points)
		if p.Unpaired == "" {
			flip := stats.SignFlip(differences(paired(t.arms[i].units, t.arms[at].units)), flips, drawSeed)
			p.FlipP = &flip
		}
		t.Rows[i].VsReference = &p
		rows = append(rows, &t.Rows[i])
		accuracy, tokens = append(accuracy, probability(p.Accuracy)), append(tokens, probability(p.Tokens))
	}
	accuracy, tokens = stats.Holm(accuracy), stats.Holm(tokens)
	for i, r := range rows {
		r.VsReference.AccuracyHolm, r.VsReference.TokensHolm = known(accuracy[i]), known(tokens[i])
	}
}

func probability(e stats.Estimate) float64 {
	if e.P == nil {
		return math.NaN()
	}
	return *e.P
}

func known(p float64) *float64 {
	if math.IsNaN(p) {
		return nil
	}
	return &p
}

// differences are those in accuracy, problem by problem, over all seeds: what a permutation flips.
func differences(units []stats.Unit) []float64 {
	sums := map[int]float64{}
	var order []int
	for _, u := range units {
		for i, p := range u.Problems {
			if u.Den[accuracyColumn][i] == 0 || u.Den[columns+accuracyColumn][i] == 0 {
				continue
			}
			if _, ok := sums[p]; !ok {
				order = append(order, p)
			}
			sums[p] += u.Num[accuracyColumn][i] - u.Num[columns+accuracyColumn][i]
		}
	}
	out := make([]float64, len(order))
	for i, p := range order {
		out[i] = sums[p]
	}
	return out
}
