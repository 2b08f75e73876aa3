package sweep

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"pith/trainer"
)

// Bill is what a sweep will take, before it runs.
type Bill struct {
	Sweep    string    `json:"sweep"`
	StopRule string    `json:"stop_rule"`
	Runs     []RunBill `json:"runs"`
	Total    RunBill   `json:"total"` // of runs that are not finished
	Basis    []string  `json:"basis"` // where the estimates come from
	HardCaps []int     `json:"hard_caps,omitempty"`
}

// RunBill is one line of the bill. Limits are exact; what is expected rests on rates.
type RunBill struct {
	Name        string   `json:"name,omitempty"`
	Arm         string   `json:"arm,omitempty"`
	Seed        uint64   `json:"seed,omitempty"`
	Status      Status   `json:"status,omitempty"`
	Steps       int64    `json:"steps"`        // learner steps that are left
	Samples     int64    `json:"samples"`      // responses to train on; more with dynamic sampling
	Evaluations int64    `json:"evaluations"`  // held-out responses
	TokensLimit int64    `json:"tokens_limit"` // if every response reaches its limit
	Tokens      *int64   `json:"tokens"`       // expected; null without a rate
	Hours       *float64 `json:"hours"`        // of the machine; null without a rate
	Dollars     *float64 `json:"dollars"`      // null without a price
}

// Measured is what finished runs tell about the next ones.
type Measured struct {
	Runs              int
	TokensPerResponse map[string]float64 // by arm; "" = over all
	TokensPerSecond   float64            // of the whole machine
}

// Bill works out what the runs that s has not finished will take; a nil s means all of them.
// Measured figures go before the file's rates.
func (p *Plan) Bill(s *State, m Measured) (Bill, error) {
	b := Bill{Sweep: p.Spec.Name, StopRule: p.StopRule(), HardCaps: p.HardCaps()}
	rate := cmp.Or(m.TokensPerSecond, p.Spec.Rates.TokensPerSecond)
	derived := map[string]trainer.Arithmetics{}
	arms := map[string]bool{}
	for i, r := range p.Runs {
		a, ok := derived[r.Arm]
		if !ok {
			var err error
			if a, err = trainer.Derive(r.Config); err != nil {
				return b, err
			}
			derived[r.Arm] = a
		}
		line := RunBill{Name: r.Name, Arm: r.Arm, Seed: r.Seed, Status: Waiting}
		share := 1.0
		if s != nil {
			x := s.Runs[i]
			line.Status = x.Status
			if x.Status == Done {
				share = 0
			} else if x.Steps > 0 {
				share = 1 - float64(x.Step)/float64(x.Steps)
			}
		}
		part := func(n int64) int64 { return int64(share*float64(n) + 0.5) }
		evalLimit := cmp.Or(r.Config.Eval.MaxTokens, r.Config.Rollout.MaxTokens)
		line.Steps, line.Samples, line.Evaluations = part(int64(r.Config.Run.Steps)), part(a.SamplesInAll), part(a.EvalSamples)
		line.TokensLimit = line.Samples*int64(r.Config.Rollout.MaxTokens) + line.Evaluations*int64(evalLimit)
		each := cmp.Or(m.TokensPerResponse[r.Arm], p.Spec.Rates.TokensPerResponse, m.TokensPerResponse[""])
		if each > 0 {
			tokens := min(line.TokensLimit, int64(float64(line.Samples+line.Evaluations)*each))
			line.Tokens = &tokens
			if rate > 0 {
				hours := float64(tokens) / rate / 3600
				line.Hours = &hours
			}
		}
		line.Dollars = p.dollars(r, line)
		b.Runs = append(b.Runs, line)
		b.Total.add(line)
		arms[r.Arm] = true
	}
	b.Total.Arm = fmt.Sprintf("%d runs", len(b.Runs))
	b.Basis = p.basis(m, rate)
	return b, nil
}

// dollars prices a line: tokens by the config's prices, hours by the file's rate and the config's.
func (p *Plan) dollars(r Run, line RunBill) *float64 {
	prices := r.Config.Prices
	perHour := prices.PerHour + p.Spec.Rates.DollarsPerHour
	if prices.CompletionPerMillion == 0 && perHour == 0 || line.Tokens == nil || perHour > 0 && line.Hours == nil {
		return nil
	}
	d := float64(*line.Tokens) * prices.CompletionPerMillion / 1e6
	if line.Hours != nil {
		d += perHour * *line.Hours
	}
	return &d
}

func (p *Plan) basis(m Measured, rate float64) []string {
	var out []string
	switch {
	case len(m.TokensPerResponse) > 0 && m.Runs > 0:
		out = append(out, fmt.Sprintf("lengths: measured in %d finished runs, by arm where it is among them", m.Runs))
	case p.Spec.Rates.TokensPerResponse > 0:
		out = append(out, fmt.Sprintf("lengths: %g tokens a response, as rates.tokens_per_response states", p.Spec.Rates.TokensPerResponse))
	default:
		out = append(out, "lengths: unknown, only the limit is certain; state rates.tokens_per_response, or run one run first")
	}
	switch {
	case m.TokensPerSecond > 0:
		out = append(out, fmt.Sprintf("speed: %.0f tokens a second, measured in %d finished runs on this machine", rate, m.Runs))
	case rate > 0:
		out = append(out, fmt.Sprintf("speed: %.0f tokens a second, as rates.tokens_per_second states", rate))
	default:
		out = append(out, "speed: unknown; state rates.tokens_per_second, or run one run first")
	}
	return out
}

func (t *RunBill) add(x RunBill) {
	t.Steps += x.Steps
	t.Samples += x.Samples
	t.Evaluations += x.Evaluations
	t.TokensLimit += x.TokensLimit
	t.Tokens, t.Hours, t.Dollars = sum(t.Tokens, x.Tokens), sum(t.Hours, x.Hours), sum(t.Dollars, x.Dollars)
}

func sum[T int64 | float64](a, b *T) *T {
	if b == nil {
		return a
	}
	total := *b
	if a != nil {
		total += *a
	}
	return &total
}

// Lines renders the bill for people: a line an arm, then the total.
func (b Bill) Lines() []string {
	type row struct {
		arm   string
		seeds []string
		bill  RunBill
	}
	var rows []row
	for _, r := range b.Runs {
		i := slices.IndexFunc(rows, func(x row) bool { return x.arm == r.Arm })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{arm: r.Arm})
		}
		seed := fmt.Sprint(r.Seed)
		if r.Status == Done {
			seed += "✓"
		}
		rows[i].seeds = append(rows[i].seeds, seed)
		rows[i].bill.add(r)
	}
	width := len("arm")
	for _, r := range rows {
		width = max(width, len(r.arm))
	}
	out := []string{fmt.Sprintf("%-*s  %-12s %8s %10s %10s %14s %14s %8s %9s", width, "arm", "seeds", "steps", "samples", "held out", "tokens, limit", "expected", "hours", "dollars")}
	line := func(name, seeds string, r RunBill) {
		out = append(out, fmt.Sprintf("%-*s  %-12s %8d %10d %10d %14d %14s %8s %9s", width, name, seeds, r.Steps, r.Samples, r.Evaluations, r.TokensLimit,
			optional(r.Tokens, "%d"), optional(r.Hours, "%.2f"), optional(r.Dollars, "%.2f")))
	}
	for _, r := range rows {
		line(r.arm, strings.Join(r.seeds, " "), r.bill)
	}
	line("total", b.Total.Arm, b.Total)
	return append(append(out, b.Basis...), b.StopRule)
}

func optional[T any](v *T, format string) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf(format, *v)
}
