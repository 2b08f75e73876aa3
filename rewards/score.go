package rewards

import (
	"fmt"
	"math"

	"pith/policies/advantage"
	"pith/traces"
)

// scratch is the memory that Score reuses from call to call.
type scratch struct {
	views   []view
	groups  []advantage.Group
	owner   []int // view of each estimator group
	samples []*Sample
	floats  []float64
	rights  []bool
	whys    []string
	index   []int32
	columns [][]float64
	ranges  []tokenRange
	numbers arena[float64]
	rows    arena[[]float64]
}

// arena hands out slices that are all given back at once.
type arena[T any] struct {
	memory []T
	used   int
}

func (a *arena[T]) reset() { a.used = 0 }

// take gives n zero values. What it gave before stays valid when it has to grow.
func (a *arena[T]) take(n int) []T {
	if a.used+n > len(a.memory) {
		a.memory, a.used = make([]T, max(n, 2*len(a.memory))), 0
	}
	out := a.memory[a.used : a.used+n : a.used+n]
	a.used += n
	clear(out)
	return out
}

// Score gives the rewards and advantages of one training batch, group by group and sample by
// sample in input order. It is pure given the method's state: it changes nothing that a later
// Score depends on. The first input that the method cannot use is returned as an [*InputError].
func (m *Method) Score(batch []Group) ([][]Result, error) {
	return m.ScoreInto(batch, nil)
}

// ScoreInto is Score into results that the caller no longer needs: their memory, terms and token
// advantages included, is reused.
func (m *Method) ScoreInto(batch []Group, dst [][]Result) ([][]Result, error) {
	for i := range batch {
		if err := m.check(&batch[i]); err != nil {
			return nil, err
		}
	}
	views := m.look(batch)
	if m.plan.prepare != nil {
		m.plan.prepare(views)
	}
	for i := range views {
		v := &views[i]
		if v.n() == 0 {
			v.dropped = "no trace of the group has a score"
			continue
		}
		if err := m.plan.score(v); err != nil {
			return nil, err
		}
		m.plan.compose.total(v.terms, v.reward)
		if m.options.KLCoef > 0 {
			for j, s := range v.s {
				v.reward[j] -= m.options.KLCoef * *s.ReferenceKL
			}
		}
		copy(v.learn, v.reward)
		if m.plan.learn != nil {
			m.plan.learn(v)
		}
		switch {
		case v.group.Excluded != "":
			v.dropped = v.group.Excluded
		case m.plan.keep != nil:
			v.dropped = m.plan.keep(v)
		}
	}
	if err := m.estimate(views); err != nil {
		return nil, err
	}
	return m.results(batch, views, dst)
}

// Observe advances what the method remembers by one step's batch. Call it once a step, after
// Score; it does nothing for a method without memory.
func (m *Method) Observe(batch []Group) {
	if m.plan.memory != nil {
		m.plan.memory.observe(m.look(batch))
	}
}

// look lays the batch out in columns.
func (m *Method) look(batch []Group) []view {
	total := 0
	for i := range batch {
		total += len(batch[i].Samples)
	}
	sc, terms := &m.scratch, len(m.plan.terms)
	columns := 4 + terms // tokens, reward, learn, adv, terms
	sc.views = resize(sc.views, len(batch))
	sc.samples = resize(sc.samples, total)
	sc.rights = resize(sc.rights, total)
	sc.whys = resize(sc.whys, total)
	sc.index = resize(sc.index, total)
	sc.floats = resize(sc.floats, total*columns)
	sc.columns = resize(sc.columns, len(batch)*terms)
	clear(sc.floats)
	clear(sc.whys)
	sc.numbers.reset()
	sc.rows.reset()
	from := 0
	for i := range batch {
		g := &batch[i]
		to := from
		for j := range g.Samples {
			s := &g.Samples[j]
			if !s.scored() {
				continue
			}
			sc.samples[to] = s
			sc.rights[to] = s.Correct != nil && *s.Correct
			sc.floats[to] = float64(s.Tokens)
			sc.index[to] = int32(j)
			to++
		}
		column := func(k int) []float64 { return sc.floats[k*total+from : k*total+to : k*total+to] }
		v := &sc.views[i]
		*v = view{
			group: g, s: sc.samples[from:to:to], right: sc.rights[from:to:to], why: sc.whys[from:to:to],
			index: sc.index[from:to:to], memory: sc, tokens: column(0), reward: column(1), learn: column(2), adv: column(3),
			terms: sc.columns[i*terms : (i+1)*terms : (i+1)*terms],
		}
		for k := range terms {
			v.terms[k] = column(4 + k)
		}
		from = to
	}
	return sc.views
}

func resize[T any](xs []T, n int) []T {
	if cap(xs) < n {
		return make([]T, n)
	}
	return xs[:n]
}

// maxAlong bounds the tokens of a response whose advantages are kept one by one.
const maxAlong = 1 << 24

// estimate gives the kept groups to the estimator and lets the method shape what comes back.
func (m *Method) estimate(views []view) error {
	sc := &m.scratch
	sc.groups, sc.owner = sc.groups[:0], sc.owner[:0]
	needs := m.kind.Needs
	discounted, entropic := false, false
	switch e := m.plan.estimator.(type) {
	case *advantage.ReinforcePP:
		discounted = e.Gamma != 1
	case *advantage.Canon:
		entropic = e.Metric == "entropy"
	}
	for i := range views {
		v := &views[i]
		if v.dropped != "" {
			continue
		}
		sc.owner = append(sc.owner, i)
		sc.groups = append(sc.groups, advantage.Group{Reward: v.learn, Tokens: v.tokens, Advantage: v.adv})
		g := &sc.groups[len(sc.groups)-1]
		switch {
		case needs&advantage.NeedTurns != 0:
			m.turnSteps(v, g)
		case needs&advantage.NeedSteps != 0:
			if err := m.plan.split(v, g); err != nil {
				return err
			}
		case needs&advantage.NeedValues != 0:
			g.Along, g.Values = sc.rows.take(v.n()), sc.rows.take(v.n())
			for j, s := range v.s {
				g.Along[j], g.Values[j] = sc.numbers.take(len(s.Values)), s.Values
			}
		case discounted:
			g.Along = sc.rows.take(v.n())
			for j, s := range v.s {
				if s.Tokens > maxAlong {
					return &InputError{Group: v.group.ID, Trace: s.ID, Field: "tokens", Problem: fmt.Sprintf("want at most %d where advantages are kept for each token, got %d", maxAlong, s.Tokens)}
				}
				g.Along[j] = sc.numbers.take(s.Tokens)
			}
		case needs&advantage.NeedComponents != 0:
			g.Components = v.terms
		case needs&advantage.NeedMetric != 0:
			g.Metric = v.tokens
			if entropic {
				g.Metric = sc.numbers.take(v.n())
				for j, s := range v.s {
					g.Metric[j] = *s.Entropy
				}
			}
		}
	}
	m.plan.estimator.Estimate(sc.groups)
	for k := range sc.groups {
		if m.plan.shape != nil {
			m.plan.shape(&views[sc.owner[k]])
		}
	}
	return nil
}

// results scatters the columns back to the samples of the batch.
func (m *Method) results(batch []Group, views []view, dst [][]Result) ([][]Result, error) {
	dst = resize(dst, len(batch))
	next := 0 // estimator group of the next kept view
	for i := range views {
		v := &views[i]
		dst[i] = resize(dst[i], len(batch[i].Samples))
		out := dst[i]
		for j := range out {
			out[j] = Result{Terms: out[j].Terms[:0], TokenAdvantages: out[j].TokenAdvantages[:0], Dropped: true, Reason: "no score"}
		}
		var along [][]float64
		if v.dropped == "" {
			along = m.scratch.groups[next].Along
			next++
		}
		for k := range v.s {
			r := &out[v.index[k]]
			r.Reward, r.Dropped, r.Reason = v.reward[k], v.dropped != "", v.why[k]
			for t, name := range m.plan.terms {
				r.Terms = append(r.Terms, traces.Term{Name: name, Value: v.terms[t][k]})
			}
			if m.options.KLCoef > 0 {
				r.Terms = append(r.Terms, traces.Term{Name: klTerm, Value: -m.options.KLCoef * *v.s[k].ReferenceKL})
			}
			if r.Dropped {
				r.Reason = v.dropped
			} else {
				r.Advantage = v.adv[k]
				var row []float64
				if along != nil {
					row = along[k]
				}
				if err := m.spread(v, k, row, r); err != nil {
					return nil, err
				}
			}
			if !isFinite(r.Reward) || !isFinite(r.Advantage) {
				return nil, fmt.Errorf("group %q: trace %q: %s gives reward %v and advantage %v; its inputs are too extreme for the method's parameters", v.group.ID, v.s[k].ID, m.name, r.Reward, r.Advantage)
			}
		}
	}
	return dst, nil
}

// spread fills the token advantages of a result, where it has any, and then its scalar with their
// length-weighted mean; a method that only cuts keeps its scalar.
func (m *Method) spread(v *view, k int, row []float64, r *Result) error {
	ranges := m.scratch.ranges[:0]
	switch {
	case m.plan.spread != nil:
		ranges = m.plan.spread(v, k, row, ranges)
	case m.kind.Needs&advantage.NeedTurns != 0:
		if ranges = turnRanges(v.s[k], row, ranges); len(ranges) == 0 {
			return nil
		}
	default:
		for t, a := range row {
			ranges = append(ranges, tokenRange{start: t, end: t + 1, value: a})
		}
	}
	if len(ranges) == 0 {
		if row != nil {
			r.Advantage = 0 // a mean over no token
		}
		return nil
	}
	m.scratch.ranges = ranges
	weighted, tokens := 0.0, 0.0
	for _, x := range ranges {
		if x.end > math.MaxInt32 {
			return &InputError{Group: v.group.ID, Trace: v.s[k].ID, Field: "tokens", Problem: fmt.Sprintf("want at most %d where advantages differ along the response, got %d", math.MaxInt32, x.end)}
		}
		r.TokenAdvantages = append(r.TokenAdvantages, traces.TokenAdvantage{Start: int32(x.start), End: int32(x.end), Value: x.value})
		weighted += x.value * float64(x.end-x.start)
		tokens += float64(x.end - x.start)
	}
	if row != nil && tokens > 0 {
		r.Advantage = weighted / tokens
	}
	return nil
}
