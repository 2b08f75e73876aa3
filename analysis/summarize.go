package analysis

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"pith/analysis/metrics"
	"pith/configs"
	"pith/traces"
)

// Summarize reads run directories, in order. A directory that is no run is an error; damage inside
// one is listed in its Problems.
func Summarize(dirs []string) (Report, error) {
	r := Report{Runs: []RunReport{}}
	for _, dir := range dirs {
		d, err := load(dir)
		if err != nil {
			return Report{}, fmt.Errorf("report: %w", err)
		}
		r.Runs = append(r.Runs, d.summarize())
	}
	return r, nil
}

func (d *runData) summarize() RunReport {
	m := &d.manifest
	r := RunReport{
		Name: d.name(), Method: m.Config.Rewards.Method, Profile: m.Config.Rewards.Profile, Seed: m.Seed,
		Planned: int64(m.Config.Run.Steps), Directory: d.dir, data: d,
		Evals: d.evaluations(sampled), EvalsGreedy: d.evaluations(greedy),
	}
	if len(r.Evals) == 0 {
		r.Evals = r.EvalsGreedy
	}
	r.Base, r.Final = ends(r.Evals)
	r.BaseGreedy, r.FinalGreedy = ends(r.EvalsGreedy)
	r.Gain = d.gain(r.Base, r.Final)
	r.GainGreedy = d.gain(r.BaseGreedy, r.FinalGreedy)
	for _, s := range d.steps {
		r.Steps = max(r.Steps, s.Step)
		r.Cost.Tokens += s.GeneratedTokens
		r.Cost.PromptTokens += s.PromptTokens
	}
	for _, t := range d.clock {
		r.Seconds += t.Total + t.Eval
	}
	r.Cost = d.cost(r.Cost, r.Seconds)
	var unbalanced []string
	r.Accounting, unbalanced = d.balance()
	r.Waits = d.waits()
	r.Stations, r.Watch = d.stationsReport(), d.inspect()
	r.Outlook, r.Money = r.outlook(), r.money(m.Config.Prices)
	r.Problems = slices.Concat([]string{}, unbalanced, d.problems)
	return r
}

// ends returns the first and the last evaluation. A run that has been evaluated once has both.
func ends(evals []Evaluation) (first, last *Evaluation) {
	if len(evals) == 0 {
		return nil, nil
	}
	return &evals[0], &evals[len(evals)-1]
}

// evaluations lists those under one way of decoding, by step.
func (d *runData) evaluations(decoding string) []Evaluation {
	out := []Evaluation{}
	for _, e := range d.evals {
		if e.Decoding == decoding {
			out = append(out, d.evaluation(e))
		}
	}
	slices.SortStableFunc(out, func(a, b Evaluation) int { return cmp.Compare(a.Step, b.Step) })
	return out
}

func (d *runData) evaluation(e traces.Eval) Evaluation {
	scored := float64(e.Samples) * (1 - e.NoScore)
	if e.Samples > e.Problems && e.Problems > 0 {
		// Several responses to a problem are not independent; the interval is that of as many answers
		// as there are problems, which is the widest case.
		scored *= float64(e.Problems) / float64(e.Samples)
	}
	rows := d.rows[evalKey{e.Step, e.Decoding}]
	problems := byProblem(rows)
	if e.Temperature == 0 && len(rows) > len(problems) {
		// Greedily, a problem that was drawn twice gives the same answer twice.
		scored *= float64(len(problems)) / float64(len(rows))
	}
	out := Evaluation{
		Step: e.Step, Decoding: e.Decoding, Temperature: e.Temperature, Problems: e.Problems, Samples: e.Samples,
		Accuracy: e.Accuracy, AccuracyInterval: Wilson(e.Accuracy*scored, scored),
		TokensMean: e.TokensMean, TokensRight: e.TokensRight, TokensWrong: e.TokensWrong,
		Truncated: e.Truncated, NoScore: e.NoScore, ToolCallsMean: e.ToolCalls, AnytimeAccuracy: e.Anytime,
		Budgets: e.Budgets, BudgetScores: e.BudgetScores, Levels: e.Levels,
	}
	if perRight := metrics.CostOfPass(e.TokensMean, e.Accuracy); !math.IsInf(perRight, 0) {
		out.TokensPerRight = &perRight
	}
	if score := metrics.E3(e.Accuracy, e.TokensMean); !math.IsNaN(score) {
		out.E3 = score
	}
	var lengths []float64
	var perProblem []outcome
	for _, name := range slices.Sorted(maps.Keys(problems)) { // a map's order must not reach the sum
		if o := problems[name]; o.length > 0 {
			perProblem = append(perProblem, o)
		}
	}
	out.TokensInterval = meanLength(perProblem)
	for _, row := range rows {
		if !row.failed() {
			lengths = append(lengths, float64(row.LengthTokens))
		}
	}
	if len(lengths) > 0 {
		slices.Sort(lengths)
		median, p90 := quantile(lengths, 0.5), quantile(lengths, 0.9)
		out.TokensMedian, out.TokensP90 = &median, &p90
	}
	return out
}

// byProblem adds up the responses to each problem.
func byProblem(rows []evalRow) map[string]outcome {
	out := map[string]outcome{}
	for _, row := range rows {
		if row.failed() {
			continue
		}
		o := out[row.Problem]
		o.tokens += float64(row.LengthTokens)
		o.length++
		switch row.Verdict {
		case traces.Right:
			o.right++
			o.scored++
		case traces.Wrong:
			o.scored++
		}
		out[row.Problem] = o
	}
	return out
}

// gain compares two evaluations; nil where there are not two.
func (d *runData) gain(base, final *Evaluation) *Gain {
	if base == nil || final == nil || base.Step == final.Step {
		return nil
	}
	g := &Gain{Accuracy: final.Accuracy - base.Accuracy}
	if base.TokensMean > 0 {
		g.Tokens = final.TokensMean/base.TokensMean - 1
	}
	if score := metrics.AES(final.Accuracy, final.TokensMean, base.Accuracy, base.TokensMean, metrics.DefaultAES); !math.IsNaN(score) {
		g.AES, g.AESWeights = &score, metrics.DefaultAES.String()
	}
	before := byProblem(d.rows[evalKey{base.Step, base.Decoding}])
	after := byProblem(d.rows[evalKey{final.Step, final.Decoding}])
	var shared []string
	for problem := range before {
		if _, ok := after[problem]; ok {
			shared = append(shared, problem)
		}
	}
	slices.Sort(shared)
	var pairs []pairedOutcome
	var was, is outcome
	for _, problem := range shared {
		pairs = append(pairs, pairedOutcome{before[problem], after[problem]})
		was.add(before[problem])
		is.add(after[problem])
	}
	g.Paired = len(pairs)
	g.AccuracyInterval, g.TokensInterval = bootstrap(pairs)
	// Evaluations on different numbers of problems are compared on those that they share.
	if was.scored > 0 && is.scored > 0 {
		g.Accuracy = is.accuracy() - was.accuracy()
	}
	if was.tokens > 0 && is.length > 0 {
		g.Tokens = is.mean()/was.mean() - 1
	}
	return g
}

// cost completes the bill: the tokens of evaluations, and dollars where the config has prices.
func (d *runData) cost(c Cost, seconds float64) Cost {
	dollars := 0.0
	for _, rows := range d.rows {
		for _, row := range rows {
			c.EvalTokens += int64(row.LengthTokens)
		}
	}
	for _, e := range d.evals { // in the order of the log, so that the sum has one rounding
		for _, row := range d.rows[evalKey{e.Step, e.Decoding}] {
			dollars += row.PromptPrice + row.Price
		}
	}
	for _, s := range d.steps {
		dollars += s.Price
	}
	prices := d.manifest.Config.Prices
	if prices == (configs.Prices{}) {
		return c
	}
	dollars += prices.PerHour*seconds/3600 + prices.Watts*prices.PerKWh*seconds/3.6e6
	c.Dollars = &dollars
	return c
}
