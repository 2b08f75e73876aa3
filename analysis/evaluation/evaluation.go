package evaluation

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"pith/analysis/metrics"
	"pith/traces"
)

// Options say what is asked.
type Options struct {
	K []int // of pass@k and the others; those above the number of samples are left out
	// BucketWidth and Buckets are those of the length-filtered vote, in tokens; 0 is a tenth of the
	// mean length, and 3.
	BucketWidth float64
	Buckets     int
}

// Estimate is a value with its 95 % interval.
type Estimate struct {
	Value    float64    `json:"value"`
	Interval [2]float64 `json:"interval"`
}

// Report is everything that is said of a policy. Values over nothing are null in JSON.
type Report struct {
	Problems  int `json:"problems"`
	Responses int `json:"responses"`
	Samples   int `json:"samples"` // to a problem, the fewest
	NoScore   int `json:"no_score"`
	Failed    int `json:"failed"`

	Accuracy    Estimate `json:"accuracy"` // avg@k: mean over problems of the share of right responses
	Tokens      Estimate `json:"tokens_mean"`
	TokensRight *float64 `json:"tokens_right"`
	TokensWrong *float64 `json:"tokens_wrong"`
	TokensP50   float64  `json:"tokens_median"`
	TokensP90   float64  `json:"tokens_p90"`
	Truncated   float64  `json:"truncated"`

	At []AtK `json:"at_k"`

	TokensPerRight *float64 `json:"tokens_per_right"`       // null where nothing is right
	CostOfPass     *float64 `json:"cost_of_pass_dollars"`   // null without prices, or where nothing is right
	CostPerAnswer  *float64 `json:"cost_per_answer_dollar"` // null without prices
	E3             float64  `json:"e3_per_1k_tokens"`
	PerThousand    float64  `json:"accuracy_per_1k_tokens"`
	ToolCalls      float64  `json:"tool_calls_mean"`
	Productivity   *float64 `json:"tool_productivity"` // right answers for each call; null without calls

	Budgets []Budget `json:"budgets"` // empty unless the strategy cuts thinking
	Area    *float64 `json:"area_under_budget"`
	Anytime *float64 `json:"anytime_accuracy"`
	Levels  []Level  `json:"levels"`
	Words   []Words  `json:"markers"`
}

// AtK is what k samples of a problem say together.
type AtK struct {
	K        int      `json:"k"`
	Pass     Estimate `json:"pass_at_k"`     // at least one right
	PassAll  Estimate `json:"pass_hat_k"`    // all right
	GPass    Estimate `json:"g_pass_at_k"`   // at least three quarters right
	MeanG    Estimate `json:"mg_pass_at_k"`  // area above one half
	Majority Estimate `json:"maj_at_k"`      // plurality vote, ties by a fair draw
	Filtered Estimate `json:"maj_at_k_len"`  // vote inside the agreeing length buckets
	Tokens   float64  `json:"tokens_mean_k"` // of all k responses
}

// Budget is the accuracy after thinking was cut.
type Budget struct {
	Tokens   int32    `json:"tokens"`
	Accuracy Estimate `json:"accuracy"`
}

// Level is one difficulty.
type Level struct {
	Level    int32    `json:"level"`
	Problems int      `json:"problems"`
	Accuracy Estimate `json:"accuracy"`
	Tokens   Estimate `json:"tokens_mean"`
}

// Words counts markers by outcome, for each 1,000 response tokens.
type Words struct {
	Outcome    string             `json:"outcome"`
	Per        map[string]float64 `json:"per_1k_tokens"`
	Reflecting float64            `json:"reflection_ratio"` // responses with at least one reflection marker
}

// problem gathers the responses to one drawing of a problem.
type problem struct {
	name          string
	level         int32
	scored, right int
	n             int
	tokens        float64
	ballots       []metrics.Ballot
	budgets       []float64 // sums over responses
	budgeted      int
	cost          float64
}

type atK struct{ pass, all, group, mean, majority, filtered float64 }

// Summarize reads judged traces, all under one policy and decoding. Responses of a group belong to one
// problem.
func Summarize(rows []traces.Trace, o Options) (*Report, error) {
	r := &Report{}
	var order []*problem
	byGroup := map[string]*problem{}
	classes := map[string]map[string]int{}
	var lengths, right, wrong []float64
	var truncated, calls, rights float64
	var budgets []int32
	markers := newMarkers()
	for i := range rows {
		t := &rows[i]
		p := byGroup[t.Group]
		if p == nil {
			p = &problem{name: t.Problem, level: t.Level}
			byGroup[t.Group], classes[t.Group] = p, map[string]int{}
			order = append(order, p)
		}
		r.Responses++
		if t.Status == traces.Failed || t.Status == traces.DeadLettered {
			r.Failed++
			continue
		}
		length := float64(t.LengthTokens)
		p.n++
		p.tokens += length
		p.cost += t.PromptPrice + t.CompletionPrice
		for _, c := range t.ToolCalls {
			p.cost += c.Price
		}
		lengths = append(lengths, length)
		calls += float64(len(t.ToolCalls))
		if t.Finish == traces.FinishLength {
			truncated++
		}
		markers.add(t)
		switch t.Verdict {
		case traces.Right:
			p.scored++
			p.right++
			rights++
			right = append(right, length)
		case traces.Wrong:
			p.scored++
			wrong = append(wrong, length)
		default:
			r.NoScore++
		}
		p.ballots = append(p.ballots, metrics.Ballot{Class: class(t, classes[t.Group]), Length: length})
		if len(t.BudgetScores) > 0 {
			budgets = t.Budgets
			if p.budgets == nil {
				p.budgets = make([]float64, len(t.BudgetScores))
			}
			if len(t.BudgetScores) != len(p.budgets) {
				return nil, fmt.Errorf("trace %s has %d budgets, others of its group have %d", t.ID, len(t.BudgetScores), len(p.budgets))
			}
			for b, s := range t.BudgetScores {
				p.budgets[b] += s
			}
			p.budgeted++
		}
	}
	var problems []*problem
	r.Samples = math.MaxInt
	for _, p := range order {
		if p.scored > 0 {
			problems = append(problems, p)
			r.Samples = min(r.Samples, p.scored)
		}
	}
	r.Problems = len(problems)
	if r.Problems == 0 {
		return nil, errors.New("no response has a score: nothing can be said of the policy")
	}
	b := newBootstrap(problems)
	r.Accuracy = b.mean(func(i int) float64 { return problems[i].accuracy() })
	r.Tokens = b.ratio(func(i int) (float64, float64) { return problems[i].tokens, float64(problems[i].n) })
	r.TokensRight, r.TokensWrong = mean(right), mean(wrong)
	slices.Sort(lengths)
	r.TokensP50, r.TokensP90 = lengths[len(lengths)/2], lengths[min(len(lengths)*9/10, len(lengths)-1)]
	r.Truncated, r.ToolCalls = truncated/float64(len(lengths)), calls/float64(len(lengths))
	r.costs(problems, rights, calls)
	r.votes(problems, o, b)
	r.budgetCurve(problems, budgets, b)
	r.levels(problems)
	r.Words = markers.words()
	return r, nil
}

// class numbers the answer of a trace within its group: 0 is right, negative unreadable.
func class(t *traces.Trace, known map[string]int) int {
	switch {
	case t.Verdict == traces.Right:
		return 0
	case t.Extracted == "" || t.Verdict != traces.Wrong:
		return -1
	}
	if _, ok := known[t.Extracted]; !ok {
		known[t.Extracted] = len(known) + 1
	}
	return known[t.Extracted]
}

func (p *problem) accuracy() float64 { return float64(p.right) / float64(p.scored) }

func mean(v []float64) *float64 {
	if len(v) == 0 {
		return nil
	}
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	sum /= float64(len(v))
	return &sum
}

// finite is v, or nil where JSON has no word for it.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func (r *Report) costs(problems []*problem, rights, calls float64) {
	var tokens, cost, n float64
	for _, p := range problems {
		tokens, cost, n = tokens+p.tokens, cost+p.cost, n+float64(p.n)
	}
	r.TokensPerRight = finite(tokens / rights)
	r.E3, r.PerThousand = metrics.E3(r.Accuracy.Value, r.Tokens.Value), metrics.AccuracyPerThousand(r.Accuracy.Value, r.Tokens.Value)
	if calls > 0 {
		r.Productivity = finite(metrics.ToolProductivity(rights, calls))
	}
	if cost > 0 {
		each := cost / n
		r.CostPerAnswer = &each
		r.CostOfPass = finite(metrics.CostOfPass(each, rights/n))
	}
}

// draws is how many subsets of k a vote is averaged over where there are more samples than k.
const draws = 64

// votes computes what k samples say together, for each k that every problem has samples for.
func (r *Report) votes(problems []*problem, o Options, b *bootstrap) {
	width := cmp.Or(o.BucketWidth, max(r.Tokens.Value/10, 1))
	buckets := cmp.Or(o.Buckets, 3)
	r.At = []AtK{}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(o.K))) {
		if k < 1 || k > r.Samples {
			continue
		}
		random := rand.New(rand.NewPCG(20260401, uint64(k)))
		values := make([]atK, len(problems))
		for i, p := range problems {
			v := &values[i]
			// k is within 1 and the samples of every problem, so that no estimator can fail.
			v.pass, _ = metrics.PassAtK(p.scored, p.right, k)
			v.all, _ = metrics.PassAllK(p.scored, p.right, k)
			v.group, _ = metrics.GPassAtK(p.scored, p.right, k, 0.75)
			v.mean, _ = metrics.MeanGPassAtK(p.scored, p.right, k)
			v.majority, v.filtered = p.vote(k, width, buckets, random)
		}
		at := func(f func(*atK) float64) Estimate {
			return b.mean(func(i int) float64 { return f(&values[i]) })
		}
		r.At = append(r.At, AtK{
			K:        k,
			Pass:     at(func(v *atK) float64 { return v.pass }),
			PassAll:  at(func(v *atK) float64 { return v.all }),
			GPass:    at(func(v *atK) float64 { return v.group }),
			MeanG:    at(func(v *atK) float64 { return v.mean }),
			Majority: at(func(v *atK) float64 { return v.majority }),
			Filtered: at(func(v *atK) float64 { return v.filtered }),
			Tokens:   float64(k) * r.Tokens.Value,
		})
	}
}

// vote is the accuracy of both votes, over all responses or over drawn subsets of k.
func (p *problem) vote(k int, width float64, buckets int, random *rand.Rand) (majority, filtered float64) {
	right := func(class int) bool { return class == 0 }
	ballots := slices.Clone(p.ballots)
	rounds := draws
	if k == len(ballots) {
		rounds = 1
	}
	for range rounds {
		if rounds > 1 {
			random.Shuffle(len(ballots), func(i, j int) { ballots[i], ballots[j] = ballots[j], ballots[i] })
		}
		majority += metrics.Majority(ballots[:k]).Accuracy(right)
		filtered += metrics.LengthFilteredMajority(ballots[:k], width, buckets).Accuracy(right)
	}
	return majority / float64(rounds), filtered / float64(rounds)
}

func (r *Report) budgetCurve(problems []*problem, budgets []int32, b *bootstrap) {
	r.Budgets = []Budget{}
	if len(budgets) == 0 {
		return
	}
	var curve []metrics.BudgetPoint
	var scores []float64
	for i, tokens := range budgets {
		e := b.ratio(func(unit int) (float64, float64) {
			p := problems[unit]
			if p.budgeted == 0 {
				return 0, 0
			}
			return p.budgets[i], float64(p.budgeted)
		})
		r.Budgets = append(r.Budgets, Budget{tokens, e})
		curve = append(curve, metrics.BudgetPoint{Budget: float64(tokens), Accuracy: e.Value})
		scores = append(scores, e.Value)
	}
	r.Anytime = finite(metrics.AnytimeAccuracy(scores))
	if area, err := metrics.AreaUnderBudget(curve); err == nil {
		r.Area = &area
	}
}

func (r *Report) levels(problems []*problem) {
	by := map[int32][]*problem{}
	for _, p := range problems {
		by[p.level] = append(by[p.level], p)
	}
	r.Levels = []Level{}
	for level, list := range by {
		b := newBootstrap(list)
		r.Levels = append(r.Levels, Level{level, len(list),
			b.mean(func(i int) float64 { return list[i].accuracy() }),
			b.ratio(func(i int) (float64, float64) { return list[i].tokens, float64(list[i].n) }),
		})
	}
	slices.SortFunc(r.Levels, func(a, b Level) int { return cmp.Compare(a.Level, b.Level) })
}
