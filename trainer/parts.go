package trainer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"pith/configs"
	"pith/datasets"
	"pith/datasets/families"
	"pith/policies/builtin"
	"pith/policies/loss"
	"pith/policies/model"
	"pith/policies/tokenizer"
	"pith/rewards"
	"pith/rewards/grade"
	"pith/rewards/lint"
	"pith/rollout/strategy"
)

// parts are what a config names, opened but not started: no goroutine, no file of the run.
type parts struct {
	family      *families.Family
	tokenizer   tokenizer.Tokenizer
	weights     *model.Weights
	grader      grade.Grader
	method      *rewards.Method
	loss        loss.Fn
	aggregation loss.Aggregation
	schedules   schedules
	chooser     *chooser
	pairs       *pairing
	columns     []string // that the loss reads, by policies/loss's names
}

// open builds the parts of a config. All that is wrong is reported at once, with key paths.
func open(c configs.Config) (*parts, error) {
	var p parts
	var problems []string
	bad := func(path string, err error) {
		if err != nil {
			problems = append(problems, path+": "+err.Error())
		}
	}
	var err error
	p.family, err = families.Open(c.Data.Source, c.Run.Seed, c.Data.Params)
	bad("data", err)
	p.weights, p.tokenizer, err = builtin.Open(c.Policy.Base)
	bad("policy.base", err)
	p.grader, err = grade.New(c.Data.Grader, c.Data.Grade)
	bad("data.grader", err)
	p.method, err = rewards.New(c.Rewards.Method, MethodOptions(c))
	bad("rewards", err)
	p.loss, _, err = loss.New(c.Loss.Kind, c.Loss.Params)
	bad("loss", err)
	p.columns, _ = lossNeeds(c)
	p.pairs, err = openPairing(c)
	bad("loss.pairs", err)
	p.aggregation, err = loss.ParseAggregation(c.Loss.Aggregation)
	bad("loss.aggregation", err)
	if p.family != nil {
		p.chooser, err = newChooser(c, p.family.Source)
		bad("data.curriculum.params", err)
	}
	for i, s := range c.Schedule {
		one, err := openScheduled(c, s)
		bad(fmt.Sprintf("schedule[%d]", i), err)
		p.schedules = append(p.schedules, one)
	}
	if len(problems) > 0 {
		return nil, &configs.Error{Problems: problems}
	}
	if err := p.fit(c); err != nil {
		return nil, err
	}
	// What the first step asks for must be possible; later steps say so when they come.
	err = p.schedules.rewards(1, p.method)
	if err == nil {
		_, err = p.schedules.loss(1, c.Loss)
	}
	if err != nil {
		return nil, &configs.Error{Problems: []string{err.Error()}}
	}
	return &p, nil
}

// fit checks the combinations that only the opened parts can show to be impossible.
func (p *parts) fit(c configs.Config) error {
	var problems []string
	if err := p.method.Check(rewards.Setting{GroupSize: c.Rollout.SamplesPerPrompt, MaxTokens: c.Rollout.MaxTokens}); err != nil {
		problems = append(problems, "rewards: "+err.Error())
	}
	problems = append(problems, p.inputs(c)...)
	if err := p.strategy(c); err != nil {
		problems = append(problems, err.Error())
	}
	d, _ := rewards.Lookup(c.Rewards.Method)
	if err := p.chooser.fits(c, d.Filter != "" && c.Rewards.Params["filter"] != false); err != nil {
		problems = append(problems, "data.curriculum: "+err.Error())
	}
	context := p.maxContext(c)
	if c.Rollout.MaxTokens >= context {
		problems = append(problems, fmt.Sprintf("rollout.max_tokens: %d does not fit the context of %d tokens beside a prompt", c.Rollout.MaxTokens, context))
	}
	if err := p.vocabulary(); err != nil {
		problems = append(problems, err.Error())
	}
	if err := p.budgetPrompt(c); err != nil {
		problems = append(problems, "data.token_budget.prompt: "+err.Error())
	}
	problems = append(problems, p.inversions(c)...)
	if len(problems) > 0 {
		return &configs.Error{Problems: problems}
	}
	return nil
}

// strategy checks that the strategy's options are sound and that data and policy have the tokens
// and tools that it works with.
func (p *parts) strategy(c configs.Config) error {
	options, err := strategyOptions(c)
	if err != nil {
		return err
	}
	w := workerParts(p.family, p.tokenizer, p.grader)
	err = strategy.Check(c.Rollout.Strategy, options, &strategy.Env{Tokens: w.Tokens, Markers: w.Markers, Tools: w.Tools, Grader: w.Grader})
	if err != nil {
		return fmt.Errorf("rollout.%w (data.source %s, policy.base %s)", err, c.Data.Source, c.Policy.Base)
	}
	return nil
}

// strategyOptions are rollout.params as the strategy reads them; nil for none.
func strategyOptions(c configs.Config) (json.RawMessage, error) {
	if len(c.Rollout.Params) == 0 {
		return nil, nil
	}
	options, err := json.Marshal(c.Rollout.Params)
	if err != nil {
		return nil, fmt.Errorf("rollout.params: %w", err)
	}
	return options, nil
}

// stops are the tokens that end a response: the family's own, or those that end a text of the model
// where the family, such as a file of problems, has none.
func (p *parts) stops() []int32 {
	if eos := p.family.Markers.EOS; eos != "" {
		if id, ok := p.tokenizer.ID(eos); ok {
			return []int32{id}
		}
	}
	return p.weights.Config.Ends()
}

func (p *parts) maxContext(c configs.Config) int {
	if c.Engine.MaxContext > 0 {
		return min(c.Engine.MaxContext, p.weights.Config.MaxContext)
	}
	return p.weights.Config.MaxContext
}

// vocabulary checks that the policy can read the family's prompts and markers.
func (p *parts) vocabulary() error {
	m := p.family.Markers
	for _, token := range []string{m.EOS, m.Think, m.EndThink, m.Cut, m.Call, m.EndCall, m.Result, m.EndResult} {
		if token == "" {
			continue
		}
		if _, ok := p.tokenizer.ID(token); !ok {
			return fmt.Errorf("policy.base: its vocabulary lacks %q, which data source %s writes; pretrain a policy for it with pith pretrain", token, p.family.Source.Name())
		}
	}
	return nil
}

// budgetPrompt checks that the policy can read a prompt with a budget in it.
func (p *parts) budgetPrompt(c configs.Config) error {
	if c.Data.TokenBudget.Max == 0 {
		return nil
	}
	problem, err := p.family.Source.Problem(datasets.Train, 0)
	if err != nil {
		return err
	}
	newBeforehand(c, p.family.Budget).add(&problem, datasets.Train, 0)
	if _, err := p.tokenizer.Encode(problem.Prompt); err != nil {
		return fmt.Errorf("the policy cannot read it: %w; write it in words of its vocabulary, or leave it empty", err)
	}
	return nil
}

// inversions refuses a reward that ranks a success below a failure, unless it is allowed by name.
func (p *parts) inversions(c configs.Config) []string {
	if slices.Contains(c.Rewards.AllowInversions, c.Rewards.Method) {
		return nil
	}
	report, err := lint.Check(p.method, lint.GridFor(rewards.Setting{GroupSize: c.Rollout.SamplesPerPrompt, MaxTokens: c.Rollout.MaxTokens}))
	if err != nil {
		return []string{"rewards: " + err.Error()}
	}
	if err := report.Err(c.Rewards.AllowInversions); err != nil {
		return []string{fmt.Sprintf("rewards.method: %v (see pith lint)", err)}
	}
	return nil
}

// MethodOptions are the settings of a config's method; the maps are the caller's.
func MethodOptions(c configs.Config) rewards.Options {
	o := rewards.Options{Profile: c.Rewards.Profile, Params: maps.Clone(c.Rewards.Params), Advantage: advantageOptions(c.Advantage), KLCoef: c.Rewards.KL.Coef}
	if o.Params == nil {
		o.Params = map[string]any{}
	}
	if o.Advantage == nil {
		o.Advantage = map[string]any{}
	}
	return o
}

func advantageOptions(a configs.Advantage) map[string]any {
	if a.Kind == "" && len(a.Params) == 0 {
		return nil
	}
	out := map[string]any{}
	for k, v := range a.Params {
		out[k] = v
	}
	if a.Kind != "" {
		out["kind"] = a.Kind
	}
	return out
}

func scheduleSpec(s configs.Schedule) map[string]any {
	out := map[string]any{"kind": s.Kind}
	for k, v := range s.Params {
		out[k] = v
	}
	return out
}
