package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/rollout/task"
	"pith/traces"
)

// Estimators of how good the answer is after a cut thought.
const (
	estimateSamples     = "samples"     // the share of right answers among some that are drawn and graded
	estimateProbability = "probability" // the exact probability of the gold answer's tokens
)

// anytimeOptions are the options of the anytime strategy.
type anytimeOptions struct {
	Budgets      []int32 `json:"budgets"`
	Estimator    string  `json:"estimator"`
	Answers      int     `json:"answers"`
	AnswerTokens int     `json:"answer_tokens"`
}

func anytimeDefaults() anytimeOptions {
	return anytimeOptions{Budgets: []int32{4, 8, 16, 32, 64}, Estimator: estimateSamples, Answers: 4, AnswerTokens: 128}
}

func anytimeDocs() []Option {
	d := anytimeDefaults()
	return []Option{
		{"budgets", d.Budgets, "thinking tokens kept at each cut, ascending"},
		{"estimator", d.Estimator, "samples: answers are drawn after each cut and graded; probability: of the gold answer, exact, for answers with one spelling"},
		{"answers", d.Answers, "answers drawn at each cut (samples)"},
		{"answer_tokens", d.AnswerTokens, "longest answer (samples)"},
	}
}

// anytime samples whole responses and asks of each how good its answer would be had the thinking
// been cut at each budget (AnytimeReasoner, arXiv 2505.13438, section 3; the cut as in section 6.1
// of the recipe): after the first b thinking tokens the cut marker and the end of thinking are
// inserted and the answer is forced. A chain that ended by itself within b keeps its own end; one
// that the token limit stopped is cut where it stands; one that ended without an end of thinking
// has no answer to give and scores 0. Budgets at or beyond the chain's length share its last cut.
//
// Only the whole response becomes a trace, and only it is trained on. The forced answers are
// drawn from random streams of their own.
type anytime struct{ o anytimeOptions }

func openAnytime(options json.RawMessage) (Strategy, error) {
	o := anytimeDefaults()
	if err := decode(options, &o); err != nil {
		return nil, err
	}
	var errs []error
	if len(o.Budgets) == 0 || o.Budgets[0] < 1 || !slices.IsSorted(o.Budgets) || len(slices.Compact(slices.Clone(o.Budgets))) != len(o.Budgets) {
		errs = append(errs, fmt.Errorf("budgets are %v, must be positive and ascend", o.Budgets))
	}
	if o.Estimator != estimateSamples && o.Estimator != estimateProbability {
		errs = append(errs, fmt.Errorf("estimator is %q, must be %s or %s", o.Estimator, estimateSamples, estimateProbability))
	}
	if o.Answers < 1 {
		errs = append(errs, fmt.Errorf("answers is %d, must be positive", o.Answers))
	}
	if o.AnswerTokens < 1 {
		errs = append(errs, fmt.Errorf("answer_tokens is %d, must be positive", o.AnswerTokens))
	}
	return anytime{o}, errors.Join(errs...)
}

// cut is a response whose thinking ends early. Budgets that cut at the same place share one.
type cut struct {
	r       *response
	budgets []int   // indices into the options' budgets
	prefix  []int32 // response tokens: thought, marker, end of thinking
	score   float64
}

// ready implements readier.
func (s anytime) ready(env *Env) error {
	_, err := env.marker("end of thinking", env.Markers.EndThink)
	return err
}

func (s anytime) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	end, err := env.marker("end of thinking", env.Markers.EndThink)
	if err != nil {
		return nil, fmt.Errorf("strategy anytime: %w", err)
	}
	ending := []int32{end}
	if marker := env.optional(env.Markers.Cut); marker >= 0 {
		ending = []int32{marker, end}
	}
	rs, err := firstTurn(ctx, env, t, t.Params)
	if err != nil {
		return nil, err
	}
	var cuts []*cut
	for _, r := range rs {
		if r.err == nil { // a failed response has no budget scores
			cuts = append(cuts, s.cuts(r, ending)...)
		}
	}
	if s.o.Estimator == estimateProbability {
		err = s.probabilities(ctx, env, t, cuts)
	} else {
		err = s.sampled(ctx, env, t, cuts)
	}
	if err != nil {
		return nil, err
	}
	out := make([]Rollout, len(rs))
	for i, r := range rs {
		out[i] = r.rollout()
		if r.err == nil {
			out[i].Trace.Budgets = slices.Clone(s.o.Budgets)
			out[i].Trace.BudgetScores = make([]float64, len(s.o.Budgets))
		}
	}
	for _, c := range cuts {
		for _, b := range c.budgets {
			out[c.r.sample-t.First].Trace.BudgetScores[b] = c.score
		}
	}
	return out, nil
}

// cuts lists where r is cut. A chain that ended without an end of thinking has none beyond its
// length.
func (s anytime) cuts(r *response, ending []int32) []*cut {
	thought := slices.Index(r.tokens, r.endThink)
	closed := thought >= 0
	if !closed {
		if thought = len(r.tokens); r.finish == traces.FinishStop {
			thought-- // the stop token is no thought
		}
	}
	var out []*cut
	var final *cut // of all budgets that the chain does not reach
	for i, b := range s.o.Budgets {
		if int(b) < thought {
			out = append(out, &cut{r: r, budgets: []int{i}, prefix: append(slices.Clone(r.tokens[:b]), ending...)})
			continue
		}
		if final == nil {
			final = &cut{r: r}
			switch {
			case closed:
				final.prefix = slices.Clone(r.tokens[:thought+1])
			case r.finish == traces.FinishStop:
				return out
			default:
				final.prefix = append(slices.Clone(r.tokens), ending...)
			}
			out = append(out, final)
		}
		final.budgets = append(final.budgets, i)
	}
	return out
}

// probabilities scores every cut by the probability that the policy's next tokens are the gold
// answer: one engine call for the whole task.
func (s anytime) probabilities(ctx context.Context, env *Env, t *task.Task, cuts []*cut) error {
	gold, err := env.Tokens.Encode(t.Problem.Answer)
	if err == nil && len(gold) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return fmt.Errorf("strategy anytime: the gold answer %q of problem %s has no probability: %w", t.Problem.Answer, t.Problem.ID, err)
	}
	sequences := make([][]int32, len(cuts))
	for i, c := range cuts {
		sequences[i] = slices.Concat(t.Prompt, c.prefix, gold)
	}
	if len(sequences) == 0 {
		return nil
	}
	logprobs, err := env.score(ctx, t.ID(), sequences)
	if err != nil {
		return err
	}
	for i, c := range cuts {
		sum := 0.0
		for _, lp := range logprobs[i][len(sequences[i])-len(gold):] {
			sum += float64(lp)
		}
		if c.score = math.Min(1, math.Exp(sum)); math.IsNaN(c.score) {
			return &engine.Error{Class: engine.Malformed, Op: "score " + t.ID(), Msg: "a log-probability is not a number"}
		}
	}
	return nil
}

// sampled scores every cut by answers that are drawn and graded. Budgets that share a cut each
// get their own answers, and the mean of all of them.
func (s anytime) sampled(ctx context.Context, env *Env, t *task.Task, cuts []*cut) error {
	if env.Grader == nil {
		return errors.New("strategy anytime: the estimator samples needs a grader on the worker; use the estimator probability, or give it one")
	}
	return each(cuts, func(c *cut) error { return s.answer(ctx, env, t, c) })
}

func (s anytime) answer(ctx context.Context, env *Env, t *task.Task, c *cut) error {
	p := t.Params
	p.MaxTokens, p.MinTokens = len(c.prefix)+s.o.AnswerTokens, 0
	p.Seed = deriveSeed(t.Params.Seed, seedAnswers)
	n := s.o.Answers * len(c.budgets)
	d, err := env.sample(ctx, engine.SampleRequest{
		ID: fmt.Sprintf("%s/cut", t.TraceID(c.r.sample)), Prompt: t.Prompt, Prefix: c.prefix, N: n,
		First: (c.r.sample*len(s.o.Budgets) + c.budgets[0]) * s.o.Answers, Params: p,
	})
	if err != nil {
		return err
	}
	graded, right := 0, 0
	for i, seq := range d.seqs {
		if d.errs[i] != nil {
			continue // no answer is not a wrong one
		}
		switch env.Grader.Grade(t.Problem.Answer, env.Tokens.Decode(slices.Concat(c.prefix, seq.Tokens))).Outcome {
		case grade.Right:
			right++
			graded++
		case grade.Wrong:
			graded++
		}
	}
	if graded > 0 {
		c.score = float64(right) / float64(graded)
	}
	return nil
}

// What a derived seed is for.
const (
	seedAnswers = 0x616e7377657273 // "answers"
	seedBudget  = 0x627564676574   // "budget"
)

// deriveSeed keys random streams apart from those of the responses: the finaliser of splitmix64
// (Steele, Lea, Flood 2014) over the seed and a constant of ours.
func deriveSeed(seed, purpose uint64) uint64 {
	z := seed + purpose
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
