package trainer

import (
	"fmt"
	"slices"
	"strings"

	"pith/configs"
	"pith/datasets"
	"pith/rewards"
	"pith/rollout/strategy"
)

// inputs refuses a method that needs what this run cannot give it, naming the setting to change.
// What is not listed comes with every trace: correctness, lengths, turns, entropy, text and what is
// read from it (rewards.FromTrace).
func (p *parts) inputs(c configs.Config) []string {
	has := p.given(c)
	var order []input // one line for all that share a remedy
	lacking := map[input][]string{}
	needs := p.method.Needs()
	if d, _ := rewards.Lookup(c.Rewards.Method); slices.Contains(d.Optional, "first_tool_token") {
		needs = append(needs, "first_tool_token") // a trace may lack it, a run may not: nothing would be shaped
	}
	for _, need := range needs {
		in, ok := has[need]
		if !ok || in.given {
			continue
		}
		if lacking[in] == nil {
			order = append(order, in)
		}
		lacking[in] = append(lacking[in], need)
	}
	var problems []string
	for _, in := range order {
		problems = append(problems, fmt.Sprintf("%s: method %s needs %s, %s", in.key, c.Rewards.Method, strings.Join(lacking[in], " and "), in.fix))
	}
	return problems
}

// input is one thing that a method may need and not every run has.
type input struct {
	given    bool
	key, fix string
}

func (p *parts) given(c configs.Config) map[string]input {
	name := c.Rollout.Strategy
	does := strategy.Gives(name, c.Rollout.Params)
	tools := input{does.Tools, "rollout.strategy", fmt.Sprintf("and %s executes no call; set it to tools, on a data.source with tools", name)}
	accuracy, tokens, budget := p.known(c)
	return map[string]input{
		"budget_scores":    {does.Budgets, "rollout.strategy", fmt.Sprintf("scores at thinking budgets, which %s does not give; set it to anytime", name)},
		"turn_ends":        {does.Turns, "rollout.strategy", fmt.Sprintf("and responses of %s are a single turn; set it to turns or refine", name)},
		"turn_scores":      {does.TurnScores, "rollout.strategy", fmt.Sprintf("and %s grades no turn; set it to turns, with grade true", name)},
		"mode":             {does.Modes || p.family.Markers.EndThink != "", "rollout.strategy", fmt.Sprintf("and %s on data without a token that ends thinking has none; set it to modes", name)},
		"tool_calls":       tools,
		"first_tool_token": tools,

		"problem.reference_accuracy": {accuracy || c.Data.Reference == "evaluation", "data.reference", "which the data do not have; set it to evaluation, or add a column reference_accuracy"},
		"problem.reference_tokens":   {tokens || c.Data.Reference == "evaluation", "data.reference", "which the data do not have; set it to evaluation, or add a column reference_tokens"},
		"problem.token_budget": {
			budget || c.Data.TokenBudget.Max > 0 || does.TokenBudget, "data.token_budget",
			"which the data do not have; set min and max, or rollout.strategy hints with budget_min and budget_max",
		},
		"values": {false, "advantage.kind", "the estimates of a critic, which this learner does not train; choose another kind"},
	}
}

// known says what the data themselves tell of their first problem.
func (p *parts) known(c configs.Config) (accuracy, tokens, budget bool) {
	x, err := p.family.Source.Problem(datasets.Train, 0)
	if err != nil {
		return true, true, true // said when it is sampled
	}
	return x.ReferenceAccuracy != nil, x.ReferenceTokens > 0, x.TokenBudget > 0
}

// needsReference says whether the run asks the frozen base policy for log-probabilities.
func (p *parts) needsReference() bool {
	needs := p.method.Needs()
	return slices.Contains(p.columns, "reference") || slices.Contains(needs, "base_loss") || slices.Contains(needs, "reference_kl")
}
