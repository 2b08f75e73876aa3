package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"pith/rollout/task"
	"pith/traces"
)

// Where a hint is put.
const (
	inPrompt   = "prompt"
	inResponse = "response"
)

// hintsOptions are the options of the hints strategy.
type hintsOptions struct {
	Text      string `json:"text"`
	Place     string `json:"place"`
	BudgetMin int    `json:"budget_min"`
	BudgetMax int    `json:"budget_max"`
}

func hintsDefaults() hintsOptions {
	return hintsOptions{Text: "Think for {budget} tokens.", Place: inPrompt}
}

func hintsDocs() []Option {
	d := hintsDefaults()
	return []Option{
		{"text", d.Text, "the hint; {budget} and {limit} (rollout.max_tokens) are written as numbers, {budget_digits} and {limit_digits} a digit at a time, {think}, {end_think} and other markers as the data's tokens"},
		{"place", d.Place, "prompt: in the question, at {hint} or before the thought begins; response: inserted at the start of the response and kept from the loss"},
		{"budget_min", d.BudgetMin, "budgets are uniform from here, one a group; 0: problems bring their own"},
		{"budget_max", d.BudgetMax, "… to here"},
	}
}

// hints tells the policy something in words: how many tokens to think (L1, arXiv 2503.04697, whose
// budgets are uniform in 100…4000 and stated in the prompt), the limit it will be cut at
// (ThinkPrune, arXiv 2504.01296), or how to begin (a forced start). All samples of a group get the
// same hint, held-out problems too; a drawn budget is a function of the group's seed, and is
// recorded as the problem's token budget.
type hints struct{ o hintsOptions }

func openHints(options json.RawMessage) (Strategy, error) {
	o := hintsDefaults()
	if err := decode(options, &o); err != nil {
		return nil, err
	}
	var errs []error
	if strings.TrimSpace(o.Text) == "" {
		errs = append(errs, errors.New("text is empty, must be the hint"))
	}
	if o.Place != inPrompt && o.Place != inResponse {
		errs = append(errs, fmt.Errorf("place is %q, must be %s or %s", o.Place, inPrompt, inResponse))
	}
	if o.BudgetMin < 0 || o.BudgetMax < o.BudgetMin || o.BudgetMin == 0 && o.BudgetMax > 0 || o.BudgetMax > 1<<30 {
		errs = append(errs, fmt.Errorf("budget_min and budget_max are %d and %d, must both be 0 or a range of positive counts", o.BudgetMin, o.BudgetMax))
	}
	return hints{o}, errors.Join(errs...)
}

// needsBudget says whether the hint speaks of a budget.
func (s hints) needsBudget() bool { return strings.Contains(s.o.Text, "{budget") }

// ready implements readier. Numbers are tried at both ends of the range, and every digit where
// they are written a digit at a time.
func (s hints) ready(env *Env) error {
	try := []values{{s.o.BudgetMin, 1}, {s.o.BudgetMax, 1}}
	if strings.Contains(s.o.Text, "_digits}") {
		try = append(try, values{1234567890, 1234567890})
	}
	for _, v := range try {
		if _, err := env.write("hint", s.o.Text, v); err != nil {
			return err
		}
	}
	return nil
}

// budget is the group's: its problem's own, or drawn from the range.
func (s hints) budget(t *task.Task) (int, error) {
	switch span := s.o.BudgetMax - s.o.BudgetMin + 1; {
	case s.o.BudgetMax > 0:
		return s.o.BudgetMin + int(deriveSeed(t.Params.Seed, seedBudget)%uint64(span)), nil
	case t.Problem.TokenBudget > 0:
		return t.Problem.TokenBudget, nil
	case s.needsBudget():
		return 0, fmt.Errorf("the hint speaks of a budget and problem %s has none; set budget_min and budget_max", t.Problem.ID)
	}
	return 0, nil
}

func (s hints) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	fail := func(err error) ([]Rollout, error) { return nil, fmt.Errorf("strategy hints: %w", err) }
	budget, err := s.budget(t)
	if err != nil {
		return fail(err)
	}
	v := values{budget: budget, limit: t.Params.MaxTokens}
	var start []int32
	if s.o.Place == inResponse {
		if start, err = env.write("hint", s.o.Text, v); err != nil {
			return fail(err)
		}
	}
	rs := newResponses(env, t)
	for _, r := range rs {
		r.budget = int32(budget)
		if s.o.Place == inResponse {
			r.insert(traces.Injected, start)
		} else if err := r.ask("hint", s.o.Text, v); err != nil {
			return fail(err)
		}
	}
	if err := advance(ctx, env, rs, t.Params, 0); err != nil {
		return nil, err
	}
	return rollouts(rs), nil
}
