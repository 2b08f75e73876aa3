package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/configs"
	"pith/traces"
)

// fixture describes a run directory that looks like a small real one: a policy that thinks long and
// errs becomes one that thinks short and is right. Everything follows from the seed.
type fixture struct {
	name, method string
	seed         uint64
	steps        int
	levels       int
	problems     int // held out
	tools        bool
	budgets      []int32
	prices       bool
	spoil        func(rows []traces.Trace) []traces.Trace // damage to the training traces
	lost         bool                                     // the hardest level loses its accuracy
	config       func(c *configs.Config)
}

func (f fixture) withDefaults() fixture {
	if f.name == "" {
		f.name = "demo"
	}
	if f.method == "" {
		f.method = "kimi_length"
	}
	if f.steps == 0 {
		f.steps = 8
	}
	if f.levels == 0 {
		f.levels = 4
	}
	if f.problems == 0 {
		f.problems = 120
	}
	return f
}

const groupSize, groupsPerStep = 4, 3

func (f fixture) write(t testing.TB, dir string) string {
	t.Helper()
	f = f.withDefaults()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{traces.TracesDir, traces.EvalsDir} {
		must(os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	c := configs.Default()
	c.Run = configs.Run{Name: f.name, Seed: f.seed, Steps: f.steps}
	c.Rewards = configs.Rewards{Method: f.method, Params: map[string]any{"weight": 0.5}}
	c.Rollout.SamplesPerPrompt, c.Rollout.PromptsPerStep, c.Rollout.MaxTokens = groupSize, groupsPerStep, 200
	if f.prices {
		c.Prices = configs.Prices{CompletionPerMillion: 2, PerHour: 1.5}
	}
	if f.config != nil {
		f.config(&c)
	}
	text, err := json.Marshal(map[string]any{
		"run": f.name, "hash": "4f09494a736a", "seed": f.seed, "version": "devel", "dataset": "clock", "parameters": 500608, "config": c,
	})
	must(err)
	must(os.WriteFile(filepath.Join(dir, traces.ManifestFile), text, 0o644))

	random := rand.New(rand.NewPCG(f.seed, 7))
	var steps []traces.Step
	var clock []traces.Timing
	for step := 1; step <= f.steps; step++ {
		progress := float64(step) / float64(f.steps)
		var rows []traces.Trace
		for g := range groupsPerStep {
			group := fmt.Sprintf("g%09d", (step-1)*groupsPerStep+g)
			for i := range groupSize {
				r := f.response(random, progress, random.IntN(f.levels)+1, 1)
				r.Step, r.Split, r.Group, r.ID, r.Sample = int64(step), "train", group, fmt.Sprintf("%s/%d", group, i), int32(i)
				r.Problem = fmt.Sprintf("clock-t%d", (step-1)*groupsPerStep+g)
				r.Status = traces.Trained
				switch {
				case g == 2 && step%3 == 0:
					r.Status, r.StatusReason = traces.Filtered, "all right"
				case step == 2 && g == 0 && i == 3:
					r.Status, r.StatusReason = traces.Failed, "engine"
				}
				rows = append(rows, r)
			}
		}
		row := f.step(step, progress, rows)
		if f.spoil != nil {
			rows = f.spoil(rows)
		}
		must(traces.WriteSegment(filepath.Join(dir, traces.TracesDir), traces.SegmentName(int64(step), ""), rows, nil))
		steps = append(steps, row)
		clock = append(clock, traces.Timing{Step: int64(step), Total: 2 - progress, TrainerWait: 0.9 - 0.6*progress, Learn: 0.8 - 0.3*progress,
			Grade: 0.02, Publish: 0.05, Commit: 0.08, EngineIdle: 0.7 - 0.3*progress, Eval: 0.5})
	}
	must(traces.WriteTable(dir, traces.StepsFile, steps, nil))
	must(traces.WriteTable(dir, traces.TimingsFile, clock, nil))

	var evals []traces.Eval
	for step := 0; step <= f.steps; step += max(f.steps/4, 1) {
		for _, decoding := range []string{sampled, greedy} {
			temperature := 1.0
			if decoding == greedy {
				temperature = 0
			}
			var rows []traces.Trace
			for i := range f.problems {
				r := f.response(random, float64(step)/float64(f.steps), i%f.levels+1, temperature)
				r.Step, r.Split, r.Problem, r.Gold = int64(step), "heldout", fmt.Sprintf("clock-h%03d", i), "7"
				r.Group = fmt.Sprintf("e%06d-%s-%06d", step, decoding, i)
				r.ID = r.Group + "/0"
				r.Status, r.StatusReason = traces.Filtered, "held out"
				rows = append(rows, r)
			}
			must(traces.WriteSegment(filepath.Join(dir, traces.EvalsDir), traces.SegmentName(int64(step), decoding), rows, nil))
			evals = append(evals, f.eval(int64(step), decoding, temperature, rows))
		}
	}
	must(traces.WriteTable(dir, traces.EvalsFile, evals, nil))
	return dir
}

// response draws one trace at a point between the base (0) and the trained policy (1).
func (f fixture) response(random *rand.Rand, progress float64, level int, temperature float64) traces.Trace {
	learnt := 1 - math.Exp(-4*progress)
	needs := 3 + 4*float64(level)
	mean := needs*2.4*(1-learnt) + needs*learnt
	chance := 0.55 + 0.4*learnt - 0.02*float64(level)
	if temperature == 0 {
		chance = 0.96 + 0.02*learnt
	}
	if f.lost && level == f.levels {
		chance *= 1 - 0.8*learnt
	}
	n := max(int(mean*(0.6+0.8*random.Float64())), 3)
	r := traces.Trace{
		Run: f.name, Dataset: "clock", Level: int32(level), PromptText: "a 3 b +4 c *7 <think>", PromptTokens: []int32{1, 2, 3, 4, 5, 6, 7},
		Verdict: traces.Wrong, Extracted: "4", Gold: "7", Finish: traces.FinishStop, Temperature: temperature, Mode: "think", Turns: 1, Formatted: true,
	}
	if random.Float64() < chance {
		r.Verdict, r.Extracted = traces.Right, "7"
	}
	if f.budgets == nil && temperature > 0 && random.Float64() < 0.05*(1-learnt) {
		n, r.Finish, r.Verdict, r.Extracted, r.VerdictReason = 200, traces.FinishLength, traces.Wrong, "", "no answer"
	}
	var words []string
	for i := range n {
		r.Tokens = append(r.Tokens, int32(10+i%20))
		r.LogProbs = append(r.LogProbs, -0.25)
		words = append(words, []string{"b", "3", "+4", "=", "7", ";", "check"}[i%7])
	}
	r.Text = strings.Join(words, " ") + " </think> " + r.Extracted
	r.LengthTokens = int32(n)
	r.Segments = []traces.Segment{{Kind: traces.Think, Start: 0, End: int32(n), Train: true}}
	r.Spans = []traces.Span{{Policy: "p", Start: 0, End: int32(n)}}
	r.Terms = []traces.Term{{Name: "correctness", Value: 1}, {Name: "length", Value: 0.1}}
	r.Reward = 1.1
	if f.tools {
		for range 1 + random.IntN(2+int(3*(1-learnt))) {
			r.ToolCalls = append(r.ToolCalls, traces.ToolCall{Name: "calc", Arguments: "3+4", Result: "7", Start: 0, End: 1})
		}
	}
	for i, b := range f.budgets {
		r.Budgets = append(r.Budgets, b)
		r.BudgetScores = append(r.BudgetScores, min(0.15+0.12*float64(i)+0.4*learnt, 1))
	}
	return r
}

func (f fixture) step(step int, progress float64, rows []traces.Trace) traces.Step {
	s := traces.Step{
		Step: int64(step), Policy: "p", Digest: "d", Traces: int64(len(rows)), Updates: 2, Loss: -0.01,
		Entropy: 0.4 * (1 - progress), KL: 0.002 + 0.001*progress, ClipLow: 0.01, ClipHigh: 0.02 + 0.01*progress, GradNorm: 0.8 - 0.4*progress, LearningRate: 3e-4,
		MismatchMean: 3e-7, MismatchMax: 2e-5 * (1 + progress), StalenessMean: 0, PromptTokens: int64(7 * len(rows)),
		Reward: 0.6 + 0.5*progress, Terms: []traces.Term{{Name: "correctness", Value: 0.6 + 0.35*progress}, {Name: "length", Value: 0.15 * progress}},
	}
	e := f.eval(0, sampled, 1, rows)
	s.Accuracy, s.Truncated, s.ToolCalls, s.Anytime = e.Accuracy, e.Truncated, e.ToolCalls, e.Anytime
	s.Lengths = traces.Lengths{All: e.TokensMean, Right: e.TokensRight, Wrong: e.TokensWrong}
	n := 0.0
	for _, r := range rows {
		s.GeneratedTokens += int64(r.LengthTokens)
		switch r.Status {
		case traces.Trained:
			s.Trained++
			s.LengthTrained += float64(r.LengthTokens)
			n++
		case traces.Filtered:
			s.Filtered++
		case traces.Failed:
			s.Failed++
		}
		if r.Finish == traces.FinishLength {
			s.Lengths.Truncated = 200
		}
	}
	s.LengthTrained /= max(n, 1)
	if f.prices {
		s.Price = float64(s.GeneratedTokens) * 2e-6
	}
	return s
}

func (f fixture) eval(step int64, decoding string, temperature float64, rows []traces.Trace) traces.Eval {
	e := traces.Eval{Step: step, Policy: "p", Decoding: decoding, Temperature: temperature, Problems: int64(len(rows)), Samples: int64(len(rows))}
	type sums struct{ n, right, tokens float64 }
	var all, right, wrong sums
	levels := make([]sums, f.levels)
	calls, cut := 0, 0
	for _, r := range rows {
		tokens := float64(r.LengthTokens)
		l := &levels[r.Level-1]
		l.n, l.tokens = l.n+1, l.tokens+tokens
		all.n, all.tokens = all.n+1, all.tokens+tokens
		if r.Verdict == traces.Right {
			l.right++
			right.n, right.tokens = right.n+1, right.tokens+tokens
		} else {
			wrong.n, wrong.tokens = wrong.n+1, wrong.tokens+tokens
		}
		calls += len(r.ToolCalls)
		if r.Finish == traces.FinishLength {
			cut++
		}
	}
	e.Accuracy, e.TokensMean = right.n/all.n, all.tokens/all.n
	e.TokensRight, e.TokensWrong = right.tokens/max(right.n, 1), wrong.tokens/max(wrong.n, 1)
	e.Truncated, e.ToolCalls = float64(cut)/all.n, float64(calls)/all.n
	for i, l := range levels {
		if l.n > 0 {
			e.Levels = append(e.Levels, traces.LevelEval{Level: int32(i + 1), Problems: int64(l.n), Accuracy: l.right / l.n, Tokens: l.tokens / l.n})
		}
	}
	if f.budgets != nil {
		e.Budgets = f.budgets
		mean := 0.0
		for i := range f.budgets {
			e.BudgetScores = append(e.BudgetScores, rows[0].BudgetScores[i])
			mean += rows[0].BudgetScores[i] / float64(len(f.budgets))
		}
		e.Anytime = &mean
	}
	return e
}
