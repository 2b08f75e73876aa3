package rewards

import (
	"errors"
	"fmt"

	"pith/policies/advantage"
	"pith/traces"
)

type brpoParams struct {
	Prior    string  `key:"prior" default:"uniform" enum:"uniform|linear|base" doc:"weight of each budget: equal, proportional to the budget, all on the largest"`
	Lambda   float64 `key:"lambda" default:"0.5" over:"0" max:"1" doc:"how fast scores at earlier budgets fade from the baseline"`
	Budgets  []int   `key:"budgets" default:"[2000,4000,6000,8000]" min:"1" doc:"thinking tokens kept at each cut, increasing; a problem's own budgets win"`
	Baseline string  `key:"baseline" default:"brpo" enum:"brpo|v1only|v2only|none|notrain" doc:"what is subtracted; anything but brpo is an ablation of the released code"`
}

// Validate implements the cross-field check of package params.
func (o *brpoParams) Validate() error {
	if len(o.Budgets) == 0 {
		return errors.New("budgets: want at least one")
	}
	for i := 1; i < len(o.Budgets); i++ {
		if o.Budgets[i] <= o.Budgets[i-1] {
			return fmt.Errorf("budgets: want increasing token counts, got %v", o.Budgets)
		}
	}
	return nil
}

var brpoSpec = &spec{
	name: "brpo", title: "AnytimeReasoner: budget-relative policy optimisation", family: "budget", verified: InCode,
	formula: "scores r_1…r_m at budgets b_1<…<b_m with prior P;  r = Σ P_j·r_j\n" +
		"thinking tokens in (b_{j-1}, b_j]: A_j = R_j - (j-1)/m·V1_j - (m-j+1)/m·V2_j,  R_j = Σ_{k≥j} P_k·r_k\n" +
		"V1_j = (Σ_{k<j} λ^{j-k}·r_k / Σ_{k<j} λ^{j-k}) · Σ_{k≥j} P_k (0 for j = 1);  V2_j = mean of R_j over the group (0 for a group of one)\n" +
		"summary tokens: r_m - mean of r_m over the group",
	source:   "arXiv 2505.13438v3; sail-sg/AnytimeReasoner verl/trainer/ppo/brpo.py",
	needs:    FieldBudgetScores | FieldTokens,
	optional: []string{"problem.budgets", "correct"},
	notes: []string{
		"budgets at or beyond the end of the chain collapse: its last segment takes the first collapsed column",
		"tokens beyond the largest budget influence no score and get 0",
		"reward is the prior-weighted score, advantage the length-weighted mean of token_advantages",
		"a trace's own summary is trained as the released code does with one summary a split: against the group",
	},
	promises: Promises{},
	recommended: Recommended{
		Strategy: "anytime", GroupSize: 8, Loss: "ppo", Aggregation: "dr_grpo", ClipLow: 0.2, ClipHigh: 0.2, Temperature: 1, Rate: 1e-6,
	},
	params: func() any { return &brpoParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*brpoParams)
		b := &brpo{o: o}
		return &plan{
			terms: []string{"budget_score"},
			estimator: estimator[advantage.BRPO](profile, func(e *advantage.BRPO) {
				e.Lambda, e.Baseline = o.Lambda, o.Baseline
			}),
			score: b.score, split: b.split, spread: b.spread,
		}
	},
}

type brpo struct{ o *brpoParams }

func (b *brpo) budgets(v *view) []int {
	if v.group.Problem.Budgets != nil {
		return v.group.Problem.Budgets
	}
	return b.o.Budgets
}

// priorOf gives P_j, which adds up to 1.
func (b *brpo) prior(budgets []int, j int) float64 {
	switch b.o.Prior {
	case "linear":
		total := 0
		for _, x := range budgets {
			total += x
		}
		return float64(budgets[j]) / float64(total)
	case "base":
		return indicator(j == len(budgets)-1)
	}
	return 1 / float64(len(budgets))
}

func (b *brpo) score(v *view) error {
	budgets := b.budgets(v)
	for i, s := range v.s {
		if len(s.BudgetScores) != len(budgets) {
			return &InputError{Group: v.group.ID, Trace: s.ID, Field: "budget_scores", Problem: fmt.Sprintf("want one for each of the budgets %v, got %d; set problem.budgets or method.budgets", budgets, len(s.BudgetScores))}
		}
		total := 0.0
		for j, r := range s.BudgetScores {
			total += b.prior(budgets, j) * r
		}
		v.terms[0][i] = total
	}
	return nil
}

func (b *brpo) split(v *view, g *advantage.Group) error {
	budgets, n := b.budgets(v), v.n()
	g.Prior = v.memory.numbers.take(len(budgets))
	for j := range budgets {
		g.Prior[j] = b.prior(budgets, j)
	}
	g.Steps, g.Along = v.memory.rows.take(n), v.memory.rows.take(n)
	for i, s := range v.s {
		g.Steps[i], g.Along[i] = s.BudgetScores, v.memory.numbers.take(len(budgets))
	}
	return nil
}

// spread maps the advantages of budget steps to the token ranges of a response: thinking tokens in
// (b_{j-1}, b_j], counted along the thinking segments, get A_j.
func (b *brpo) spread(v *view, i int, row []float64, out []tokenRange) []tokenRange {
	s, budgets := v.s[i], b.budgets(v)
	if row == nil { // another estimator: one value for the whole response
		return out
	}
	if s.Segments == nil {
		return cutAtBudgets(budgets, row, 0, s.Tokens, 0, out)
	}
	thought := 0 // thinking tokens before this segment
	for _, seg := range s.Segments {
		from, to := int(seg.Start), int(seg.End)
		switch {
		case !seg.Kind.Sampled(): // no policy chose it
			out = append(out, tokenRange{start: from, end: to})
		case seg.Kind == traces.Answer || seg.Kind == traces.Summary:
			out = append(out, tokenRange{start: from, end: to, value: b.summary(v, i)})
		default:
			out = cutAtBudgets(budgets, row, from, to, thought, out)
			thought += to - from
		}
	}
	return out
}

// cutAtBudgets appends the ranges of thinking tokens [from, to), the first of which is number
// thought of the chain.
func cutAtBudgets(budgets []int, row []float64, from, to, thought int, out []tokenRange) []tokenRange {
	for j, budget := range budgets {
		end := min(to, from+budget-thought)
		if end <= from {
			continue
		}
		out = append(out, tokenRange{start: from, end: end, value: row[j]})
		thought += end - from
		from = end
		if from == to {
			return out
		}
	}
	if from < to {
		out = append(out, tokenRange{start: from, end: to})
	}
	return out
}

// summary is the advantage of what a policy wrote after its thinking: its score at the largest
// budget against the group's mean there.
func (b *brpo) summary(v *view, i int) float64 {
	if b.o.Baseline == "notrain" {
		return 0
	}
	at := len(v.s[i].BudgetScores) - 1
	mean, equal := 0.0, true
	for _, s := range v.s {
		mean += s.BudgetScores[at] / float64(v.n())
		equal = equal && s.BudgetScores[at] == v.s[0].BudgetScores[at]
	}
	if equal && v.n() > 1 {
		return 0
	}
	if v.n() == 1 {
		mean = 0
	}
	return v.s[i].BudgetScores[at] - mean
}
