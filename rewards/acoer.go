package rewards

import (
	"encoding/json"
	"math"

	"pith/policies/advantage"
)

type acoerParams struct {
	Alpha     float64 `key:"alpha" default:"0.02" min:"0" doc:"largest bonus of a right answer, until the controller moves it"`
	Budget    int     `key:"budget" default:"16384" min:"1" doc:"characters of thinking at which the bonus ends, until the controller moves it"`
	Format    float64 `key:"format_weight" default:"0" min:"0" doc:"weight of a separate 0/1 reward for form (the code gives 1)"`
	AdaptFrom int     `key:"adapt_from" default:"200" min:"0" doc:"steps observed before the controller acts"`
	Window    int     `key:"window" default:"100" min:"1" doc:"steps between the two accuracies that the controller compares"`
	Drop      float64 `key:"drop" default:"0.02" min:"0" doc:"fall of the averaged accuracy over the window that relaxes the bonus"`
	AlphaMin  float64 `key:"alpha_min" default:"0.01" min:"0" doc:"the controller's lower bound"`
	AlphaMax  float64 `key:"alpha_max" default:"0.5" min:"0" doc:"the controller's upper bound"`
	BudgetMin int     `key:"budget_min" default:"2048" min:"1" doc:"characters; the controller's lower bound"`
	Shrink    float64 `key:"shrink" default:"0.85" over:"0" doc:"budget as a share of the averaged length of right answers"`
}

var acoerSpec = &spec{
	name: "acoer", title: "ACOER: a logarithmic bonus with a controller that guards accuracy", family: "length", verified: InCode,
	formula: "x = min(characters / B, 1);  r = c · (1 + α · ln(1 + 5(1 - x)) / ln 6) (+ format_weight · formatted)\n" +
		"A = (r - mean) / (sd + 1e-6) over the group\n" +
		"after each step from adapt_from on: if the averaged accuracy fell by more than drop over the window, α ← max(alpha_min, 0.95α)," +
		" else α ← min(alpha_max, 1.02α);  B ← max(budget_min, shrink · averaged length)",
	source:      "arXiv 2606.22716; js-lee-AI/ACOER acoer/reward.py",
	needs:       FieldCorrect | FieldChars,
	optional:    []string{"formatted"},
	state:       "averages of accuracy and of right answers' length (decay 2/51), the accuracies of the window, α and B",
	notes:       []string{"a right answer without any thinking earns the whole bonus", "the averaged length takes 0 for a step in which nothing was right"},
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, KL: 0.001, Rate: 5e-6},
	params:      func() any { return &acoerParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*acoerParams)
		c := &acoerController{o: o}
		pl := &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				alpha, budget := c.setting()
				for i, right := range v.right {
					if right {
						x := min(float64(v.s[i].Chars)/budget, 1)
						v.terms[1][i] = alpha * math.Log(1+5*(1-x)) / math.Log(6)
					}
					if o.Format > 0 {
						v.terms[2][i] = o.Format * indicator(v.s[i].Formatted)
					}
				}
				return nil
			},
			memory: c,
		}
		if o.Format > 0 {
			pl.terms, pl.needs = append(pl.terms, "format"), FieldFormatted
		}
		return pl
	},
}

// acoerController moves α and B. Its zero value has observed nothing.
type acoerController struct {
	o *acoerParams

	Steps    int       `json:"steps"`
	Accuracy float64   `json:"accuracy"` // averaged
	Chars    float64   `json:"chars"`    // averaged, of right answers
	History  []float64 `json:"history"`  // averaged accuracies, the latest Window of them
	Alpha    float64   `json:"alpha"`    // 0 until the controller has acted
	Budget   float64   `json:"budget"`
}

func (c *acoerController) setting() (alpha, budget float64) {
	if c.Alpha > 0 {
		return c.Alpha, c.Budget
	}
	return c.o.Alpha, float64(c.o.Budget)
}

func (c *acoerController) observe(views []view) {
	n, right, chars := 0, 0, 0.0
	for i := range views {
		v := &views[i]
		n += v.n()
		for j, r := range v.right {
			if r {
				right++
				chars += float64(v.s[j].Chars)
			}
		}
	}
	if n == 0 {
		return
	}
	accuracy := float64(right) / float64(n)
	if right > 0 {
		chars /= float64(right)
	}
	const decay = 2.0 / 51
	if c.Steps == 0 {
		c.Accuracy, c.Chars = accuracy, chars
	} else {
		c.Accuracy += decay * (accuracy - c.Accuracy)
		c.Chars += decay * (chars - c.Chars)
	}
	c.History = append(c.History, c.Accuracy)
	c.History = c.History[max(0, len(c.History)-c.o.Window):]
	c.Steps++
	if c.Steps <= c.o.AdaptFrom || len(c.History) < c.o.Window {
		return
	}
	alpha, _ := c.setting()
	if c.Accuracy < c.History[0]-c.o.Drop {
		c.Alpha = max(c.o.AlphaMin, 0.95*alpha)
	} else {
		c.Alpha = min(c.o.AlphaMax, 1.02*alpha)
	}
	c.Budget = max(float64(c.o.BudgetMin), c.o.Shrink*c.Chars)
}

func (c *acoerController) save() ([]byte, error) { return json.Marshal(c) }

func (c *acoerController) load(state []byte) error { return loadJSON(state, c) }
