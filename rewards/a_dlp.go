package rewards

import (
	"encoding/json"

	"pith/policies/advantage"
)

type aDLPParams struct {
	Lambda            float64 `key:"lambda" default:"0.001" min:"0" doc:"price of a token at the start; the multiplier moves it after every step"`
	Eta               float64 `key:"eta" default:"0.001" min:"0" doc:"step of the multiplier"`
	ReferenceAccuracy float64 `key:"reference_accuracy" default:"0.62" min:"0" max:"1" doc:"accuracy at which the multiplier rests"`
}

var aDLPSpec = &spec{
	name: "a_dlp", title: "A-DLP: a length price that follows accuracy", family: "length", verified: InCode,
	formula: "r = c - λ · L;  after each step λ ← max(0, λ + eta · (accuracy of the step - reference_accuracy));  A = (r - mean) / (sd + 1e-6) over the group",
	source:  "arXiv 2505.18298; JinyanSu1/A-DLP",
	needs:   FieldCorrect | FieldTokens,
	state:   "λ",
	notes: []string{
		"wrong answers pay too: a short wrong answer can outrank a long right one",
		"a step's reward uses λ from before its own update",
		"the code's optional rejection filter compares the penalised reward with 0, so that long right answers count as failures; it is left out",
	},
	promises:    Promises{ZeroSum: true, Monotone: true, PressesWrong: true},
	recommended: Recommended{Strategy: "single", GroupSize: 4, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, KL: 0.001, Temperature: 0.6},
	params:      func() any { return &aDLPParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*aDLPParams)
		price := &multiplier{o: o}
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				lambda := price.value()
				for i, tokens := range v.tokens {
					v.terms[1][i] = -lambda * tokens
				}
				return nil
			},
			memory: price,
		}
	},
}

// multiplier is A-DLP's λ.
type multiplier struct {
	o      *aDLPParams
	Lambda *float64 `json:"lambda"` // nil until a step was observed
}

func (m *multiplier) value() float64 {
	if m.Lambda != nil {
		return *m.Lambda
	}
	return m.o.Lambda
}

func (m *multiplier) observe(views []view) {
	n, right := 0, 0
	for i := range views {
		n += views[i].n()
		right += views[i].rights()
	}
	if n == 0 {
		return
	}
	next := max(0, m.value()+m.o.Eta*(float64(right)/float64(n)-m.o.ReferenceAccuracy))
	m.Lambda = &next
}

func (m *multiplier) save() ([]byte, error) { return json.Marshal(m) }

func (m *multiplier) load(state []byte) error { return loadJSON(state, m) }
