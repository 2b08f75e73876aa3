package analysis

import (
	"fmt"
	"math"
	"strings"

	"pith/analysis/metrics"
	"pith/configs"
)

// Money is what the run cost, and what its shorter answers save. Values are null without the prices
// that they need, or where they would be infinite.
type Money struct {
	PerStep      *float64 `json:"dollars_per_step"`
	PerPoint     *float64 `json:"dollars_per_point"` // of held-out accuracy gained
	AnswerBase   *float64 `json:"cost_of_pass_base"` // dollars of a right answer (arXiv 2504.13359)
	AnswerFinal  *float64 `json:"cost_of_pass_final"`
	BreakEven    *float64 `json:"break_even_answers"` // right answers served until the saving has paid for the run
	KWh          *float64 `json:"kilowatt_hours"`
	EnergyDollar *float64 `json:"energy_dollars"`
	Sentence     string   `json:"sentence"`
}

// money prices a run; nil where the config has no prices.
func (r *RunReport) money(p configs.Prices) *Money {
	if p == (configs.Prices{}) {
		return nil
	}
	m := &Money{}
	var said []string
	if p.Watts > 0 && r.Seconds > 0 {
		kwh := p.Watts * r.Seconds / 3.6e6
		m.KWh = &kwh
		said = append(said, fmt.Sprintf("%s kWh were used", trim(kwh, 3)))
		if p.PerKWh > 0 {
			m.EnergyDollar = positiveOrNil(kwh * p.PerKWh)
		}
	}
	if r.Cost.Dollars != nil && *r.Cost.Dollars > 0 {
		total := *r.Cost.Dollars
		if r.Steps > 0 {
			m.PerStep = positiveOrNil(total / float64(r.Steps))
			said = append(said, pricedAt(*m.PerStep)+" a step")
		}
		if r.Gain != nil && r.Gain.Accuracy > 0 {
			m.PerPoint = positiveOrNil(total / (100 * r.Gain.Accuracy))
			said = append(said, pricedAt(*m.PerPoint)+" a point of accuracy gained")
		}
		said = append(said, r.breakEven(m, p, total)...)
	}
	if len(said) > 0 {
		m.Sentence = strings.ToUpper(said[0][:1]) + said[0][1:]
		if len(said) > 1 {
			m.Sentence += ", " + strings.Join(said[1:], ", ")
		}
		m.Sentence += "."
	}
	return m
}

// breakEven compares what a right answer costs before and after, by the tokens that it takes.
func (r *RunReport) breakEven(m *Money, p configs.Prices, total float64) (said []string) {
	if r.Gain == nil || p.CompletionPerMillion == 0 {
		return nil
	}
	cost := func(e *Evaluation) *float64 {
		c := metrics.CostOfPass(e.TokensMean*p.CompletionPerMillion/1e6+e.ToolCallsMean*p.ToolCall, e.Accuracy)
		if math.IsInf(c, 1) {
			return nil
		}
		return &c
	}
	m.AnswerBase, m.AnswerFinal = cost(r.Base), cost(r.Final)
	if m.AnswerBase == nil || m.AnswerFinal == nil {
		return nil
	}
	said = append(said, fmt.Sprintf("a right answer costs %s where it cost %s", pricedAt(*m.AnswerFinal), pricedAt(*m.AnswerBase)))
	if n := metrics.BreakEven(total, *m.AnswerBase, *m.AnswerFinal); !math.IsInf(n, 1) {
		m.BreakEven = &n
		return append(said, fmt.Sprintf("so the run has paid for itself after %s right answers served", count(int64(math.Ceil(n)))))
	}
	return append(said, "so serving it never pays for the run")
}

func positiveOrNil(x float64) *float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// pricedAt writes a price with three significant digits, however small.
func pricedAt(x float64) string { return fmt.Sprintf("$%.3g", x) }
