package ablation

import (
	"fmt"
	"math"
	"slices"

	"pith/analysis/metrics"
	"pith/analysis/stats"
	"pith/traces"
)

// draws is how often seeds and problems are drawn anew, from a fixed seed: the same log gives the
// same report.
const draws, drawSeed, flips = 2000, 20260101, 4999

// Columns of a unit.
const (
	accuracyColumn = iota
	tokensColumn
	areaColumn
	columns
)

// arm is the runs of an arm, or a view of the untrained policy.
type arm struct {
	row   Row
	units []stats.Unit // of the last evaluation, one a seed
	base  []stats.Unit // of the evaluation before the first step, seed by seed
}

// Compare reads the runs and compares their arms. A run that cannot be read or has no last
// evaluation is excluded and named; with no run left there is nothing to compare.
func Compare(in Input) (Report, error) {
	r := Report{
		Name: in.Name, About: in.About, Points: in.Points, StopRule: in.StopRule, Draws: draws,
		Weights: metrics.DefaultAES.String(), Failed: append([]Excluded{}, in.Failed...), Stopped: append([]Excluded{}, in.Stopped...),
	}
	if r.Points == 0 {
		r.Points = 1.5
	}
	var runs []*loaded
	for _, x := range in.Runs {
		l, err := load(x)
		if err != nil {
			r.Failed = append(r.Failed, Excluded{x.Dir, err.Error()})
			continue
		}
		runs = append(runs, l)
	}
	if len(runs) == 0 {
		return r, fmt.Errorf("nothing to compare: none of %d runs has been evaluated", len(in.Runs))
	}
	r.Reference = reference(in, runs)
	for _, decoding := range []string{sampled, greedy} {
		t, ok := newTable(in, runs, decoding)
		if !ok {
			continue
		}
		t.compare(r.Reference, r.Points)
		r.Tables = append(r.Tables, t.Table)
	}
	if len(r.Tables) == 0 {
		return r, fmt.Errorf("nothing to compare: no run has an evaluation before and after training")
	}
	r.Sentences = r.words()
	return r, nil
}

// reference is the arm that others are compared with.
func reference(in Input, runs []*loaded) string {
	for _, name := range []string{in.Reference, "grpo"} {
		if name != "" && slices.ContainsFunc(runs, func(l *loaded) bool { return l.Arm == name }) {
			return name
		}
	}
	return runs[0].Arm
}

// table is a Table with what its numbers are made of.
type table struct {
	Table
	arms []arm
}

// newTable gathers the arms under one way of decoding; ok is false where no run has it.
func newTable(in Input, runs []*loaded, decoding string) (*table, bool) {
	t := &table{Table: Table{Decoding: decoding, Unlike: []string{}}}
	numbers := numbering{}
	index := map[string]int{}
	bases := map[uint64]*loaded{} // whose step-0 evaluation stands for the untrained policy of a seed
	for _, l := range runs {
		last := l.last()
		final, ok := l.eval(last, decoding)
		if !ok || len(l.rows[evalKey{last, decoding}]) == 0 {
			continue
		}
		if t.Problems == 0 {
			t.Temperature, t.Problems, t.Limit = final.Temperature, int(final.Problems), l.limit
			t.Budgets = budgetGrid(l.limit)
		}
		if (final.Temperature != t.Temperature || l.limit != t.Limit) && !slices.Contains(t.Unlike, l.Arm) {
			t.Unlike = append(t.Unlike, l.Arm)
		}
		i, known := index[l.Arm]
		if !known {
			i = len(t.arms)
			index[l.Arm] = i
			kind := Arm
			if l.Baseline {
				kind = Baseline
			}
			t.arms = append(t.arms, arm{row: Row{Name: l.Arm, Method: l.Method, Kind: kind}})
		}
		a := &t.arms[i]
		rows := l.rows[evalKey{last, decoding}]
		a.units = append(a.units, unit(l.Seed, rows, numbers, t.Budgets, 0))
		a.base = append(a.base, unit(l.Seed, l.rows[evalKey{0, decoding}], numbers, t.Budgets, 0))
		a.row.Seeds, a.row.Runs = append(a.row.Seeds, l.Seed), append(a.row.Runs, l.Dir)
		a.row.Truncated += final.Truncated
		a.row.NoScore += final.NoScore
		a.row.Trajectory = append(a.row.Trajectory, trajectory(l, decoding))
		addCurve(&a.row, rows, t.Budgets, 0)
		if have := bases[l.Seed]; len(l.rows[evalKey{0, decoding}]) > 0 && (have == nil || len(have.rows[evalKey{0, decoding}]) < len(l.rows[evalKey{0, decoding}])) {
			bases[l.Seed] = l
		}
	}
	if len(t.arms) == 0 {
		return nil, false
	}
	t.untrained(in, bases, numbers)
	for i := range t.arms {
		r := &t.arms[i].row
		r.Number = i + 1
		n := float64(len(r.Seeds))
		r.Truncated /= n
		r.NoScore /= n
		for j := range r.Curve {
			r.Curve[j] /= n
		}
	}
	return t, true
}

// untrained puts the policy before training, as it is and cut off at limits, in front of the arms.
// A response cut off at a limit is its own beginning, so what a limit does to a policy that was not
// trained for it can be read from the recorded responses: those that are longer are wrong, and cost
// the limit.
func (t *table) untrained(in Input, bases map[uint64]*loaded, numbers numbering) {
	if len(bases) == 0 {
		return
	}
	var seeds []uint64
	for s := range bases {
		seeds = append(seeds, s)
	}
	slices.Sort(seeds)
	view := func(name, kind string, limit int) arm {
		a := arm{row: Row{Name: name, Kind: kind, Seeds: seeds}}
		for _, s := range seeds {
			l := bases[s]
			rows := l.rows[evalKey{0, t.Decoding}]
			a.units = append(a.units, unit(s, rows, numbers, t.Budgets, limit))
			a.base = append(a.base, unit(s, rows, numbers, t.Budgets, 0))
			a.row.Runs = append(a.row.Runs, l.Dir)
			e, _ := l.eval(0, t.Decoding)
			a.row.NoScore += e.NoScore
			a.row.Truncated += truncated(rows, e.Truncated, limit)
			addCurve(&a.row, rows, t.Budgets, limit)
		}
		return a
	}
	var front []arm
	if in.Untrained {
		front = append(front, view("untrained", Untrained, 0))
	}
	for _, limit := range in.HardCaps {
		if float64(limit) < t.Limit {
			front = append(front, view(fmt.Sprintf("untrained, cut at %d", limit), Capped, limit))
		}
	}
	t.arms = slices.Concat(front, t.arms)
}

// truncated is the share of responses that a limit cuts off.
func truncated(rows []answer, share float64, limit int) float64 {
	if limit == 0 {
		return share
	}
	cut, n := 0.0, 0.0
	for _, a := range rows {
		if a.failed() {
			continue
		}
		n++
		if int(a.LengthTokens) > limit {
			cut++
		}
	}
	return cut / max(n, 1)
}

// numbering gives problems numbers that are common to all runs.
type numbering map[string]int

func (n numbering) of(problem string) int {
	i, ok := n[problem]
	if !ok {
		i = len(n)
		n[problem] = i
	}
	return i
}

// unit adds the responses of an evaluation up by problem. With a limit, longer responses count as
// cut off there and wrong.
func unit(seed uint64, rows []answer, numbers numbering, budgets []int, limit int) stats.Unit {
	u := stats.Unit{Seed: seed, Num: make([][]float64, columns), Den: make([][]float64, columns)}
	at := map[int]int{}
	for _, row := range rows {
		if row.failed() {
			continue
		}
		p := numbers.of(row.Problem)
		i, ok := at[p]
		if !ok {
			i = len(u.Problems)
			at[p] = i
			u.Problems = append(u.Problems, p)
			for k := range columns {
				u.Num[k], u.Den[k] = append(u.Num[k], 0), append(u.Den[k], 0)
			}
		}
		length, right, scored := outcome(row, limit)
		u.Num[tokensColumn][i] += length
		u.Den[tokensColumn][i]++
		if !scored {
			continue
		}
		u.Den[accuracyColumn][i]++
		u.Den[areaColumn][i]++
		if right {
			u.Num[accuracyColumn][i]++
			u.Num[areaColumn][i] += areaOf(length, budgets)
		}
	}
	return u
}

func outcome(row answer, limit int) (length float64, right, scored bool) {
	length, right, scored = float64(row.LengthTokens), row.Verdict == traces.Right, row.Verdict == traces.Right || row.Verdict == traces.Wrong
	if limit > 0 && length > float64(limit) {
		return float64(limit), false, true
	}
	return length, right, scored
}

// budgetGrid doubles from 4 tokens up to the limit.
func budgetGrid(limit float64) []int {
	var grid []int
	for b := 4.0; b < limit; b *= math.Sqrt2 {
		grid = append(grid, int(math.Round(b)))
	}
	return append(grid, int(limit))
}

// areaOf is what one right response of a length adds to the area under the accuracy-budget curve:
// it is right at every budget that holds it. Trapezoids on the logarithm of the budget.
func areaOf(length float64, budgets []int) float64 {
	if len(budgets) < 2 {
		return math.NaN()
	}
	curve := make([]metrics.BudgetPoint, len(budgets))
	for i, b := range budgets {
		curve[i].Budget = float64(b)
		if length <= float64(b) {
			curve[i].Accuracy = 1
		}
	}
	area, err := metrics.AreaUnderBudget(curve)
	if err != nil {
		return math.NaN()
	}
	return area
}

// addCurve adds one seed's accuracy at every budget to the row's.
func addCurve(r *Row, rows []answer, budgets []int, limit int) {
	if r.Curve == nil {
		r.Curve = make([]float64, len(budgets))
	}
	n := 0.0
	right := make([]float64, len(budgets))
	for _, row := range rows {
		if row.failed() {
			continue
		}
		length, ok, scored := outcome(row, limit)
		if !scored {
			continue
		}
		n++
		for i, b := range budgets {
			if ok && length <= float64(b) {
				right[i]++
			}
		}
	}
	for i := range budgets {
		r.Curve[i] += right[i] / max(n, 1)
	}
}

func trajectory(l *loaded, decoding string) Trajectory {
	t := Trajectory{Seed: l.Seed}
	for _, e := range l.evals {
		if e.Decoding == decoding {
			t.Step, t.Tokens, t.Accuracy = append(t.Step, e.Step), append(t.Tokens, e.TokensMean), append(t.Accuracy, e.Accuracy)
		}
	}
	return t
}
