// Package synthetic writes run directories of any size, for tests and benchmarks of everything that
// reads a log. The traces look like those of a length-rewarded run (they get shorter and more often
// right over the steps, difficulty matters, texts have the entropy of prose), but nothing was
// sampled from a model and no report of such a run means anything.
//
// The rows of a step follow from the seed and the step alone, so that segments are written in
// parallel and two logs of the same options are equal to the byte.
package synthetic

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"pith/traces"
)

// Options describe a log. The zero value of a field is its default.
type Options struct {
	Traces    int    // training traces; 0 = 1024
	PerStep   int    // of them in a step; 0 = 1024
	Group     int    // samples a problem; 0 = 16
	Tokens    int    // mean response tokens in the middle of the run; 0 = 200
	TextBytes int    // mean bytes of a response's text; 0 = 1000
	Levels    int    // of difficulty; 0 = 5
	EvalEvery int    // steps between evaluations; 0 = a tenth of the run, < 0 = none
	Problems  int    // held out; 0 = 500
	Seed      uint64 // of everything
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Traces, 1024}, {&o.PerStep, 1024}, {&o.Group, 16}, {&o.Tokens, 200}, {&o.TextBytes, 1000}, {&o.Levels, 5}, {&o.Problems, 500}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.EvalEvery == 0 {
		o.EvalEvery = max(o.steps()/10, 1)
	}
	return o
}

func (o Options) steps() int { return (o.Traces + o.PerStep - 1) / o.PerStep }

// Write makes a run directory at dir, which must not hold one.
func Write(dir string, o Options) error {
	o = o.withDefaults()
	if _, err := os.Stat(filepath.Join(dir, traces.ManifestFile)); err == nil {
		return fmt.Errorf("synthetic log: %s holds a run already", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("synthetic log: %w", err)
	}
	manifest := map[string]any{
		"run": "synthetic", "hash": "synthetic", "seed": o.Seed, "version": "devel", "dataset": "synthetic",
		"config": map[string]any{
			"run":     map[string]any{"name": "synthetic", "seed": o.Seed, "steps": o.steps()},
			"rewards": map[string]any{"method": "kimi_length"},
			"rollout": map[string]any{"samples_per_prompt": o.Group, "prompts_per_step": o.PerStep / o.Group},
		},
	}
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("synthetic log: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, traces.ManifestFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("synthetic log: %w", err)
	}
	steps := make([]traces.Step, o.steps())
	timings := make([][]traces.Timing, o.steps())
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i := range steps {
		work.Go(func() error {
			rows := o.rows(i + 1)
			steps[i], timings[i] = summary(i+1, rows)
			return traces.WriteSegment(filepath.Join(dir, traces.TracesDir), traces.SegmentName(int64(i+1), ""), rows, nil)
		})
	}
	var evals []traces.Eval
	if o.EvalEvery > 0 {
		for step := 0; step <= o.steps(); step += o.EvalEvery {
			for _, decoding := range []string{"sampled", "greedy"} {
				rows := o.heldOut(step, decoding)
				evals = append(evals, evaluation(step, decoding, rows))
				work.Go(func() error {
					return traces.WriteSegment(filepath.Join(dir, traces.EvalsDir), traces.SegmentName(int64(step), decoding), rows, nil)
				})
			}
		}
	}
	if err := work.Wait(); err != nil {
		return fmt.Errorf("synthetic log: %w", err)
	}
	var clock []traces.Timing
	for _, t := range timings {
		clock = append(clock, t...)
	}
	if err := traces.WriteTable(dir, traces.TimingsFile, clock, nil); err != nil {
		return err
	}
	if err := traces.WriteTable(dir, traces.EvalsFile, evals, nil); err != nil {
		return err
	}
	return traces.WriteTable(dir, traces.StepsFile, steps, nil)
}

// rows are the training traces of a step, in the order of a segment.
func (o Options) rows(step int) []traces.Trace {
	n := min(o.PerStep, o.Traces-(step-1)*o.PerStep)
	random := rand.New(rand.NewPCG(o.Seed, uint64(step)))
	rows := make([]traces.Trace, n)
	for i := range rows {
		g := ((step-1)*o.PerStep + i) / o.Group
		t := &rows[i]
		o.response(random, t, float64(step)/float64(o.steps()), 1)
		t.Step, t.Split, t.Group, t.Sample = int64(step), "train", fmt.Sprintf("g%09d", g), int32(i%o.Group)
		t.ID = fmt.Sprintf("%s/%d", t.Group, t.Sample)
		t.Problem, t.Level = fmt.Sprintf("p%06d", g%7919), int32(g%o.Levels)+1
		t.Status = traces.Trained
		if g%10 == 9 {
			t.Status, t.StatusReason = traces.Filtered, "all equal"
		}
	}
	return rows
}

func (o Options) heldOut(step int, decoding string) []traces.Trace {
	random := rand.New(rand.NewPCG(o.Seed+1, uint64(step)<<1|uint64(len(decoding)&1)))
	rows := make([]traces.Trace, o.Problems)
	temperature := 1.0
	if decoding == "greedy" {
		temperature = 0
	}
	for i := range rows {
		t := &rows[i]
		t.Level = int32(i%o.Levels) + 1
		o.response(random, t, float64(step)/float64(o.steps()), temperature)
		t.Step, t.Split, t.Group = int64(step), "heldout", fmt.Sprintf("e%06d-%s-%06d", step, decoding, i)
		t.ID, t.Problem, t.Status = t.Group+"/0", fmt.Sprintf("h%06d", i), traces.Evaluated
	}
	return rows
}

var words = []string{
	"wait ", "so ", "the ", "sum ", "of ", "12 ", "and ", "7 ", "is ", "19. ", "Let ", "x ", "be ", "number ", "then ", "2x ", "+ ", "3 ", "= ", "11, ",
	"which ", "gives ", "4.\n", "Check: ", "each ", "day ", "she ", "sells ", "eggs ", "for ", "$2 ", "left ", "after ", "first ", "half ", "remaining ",
}

// response draws everything but the identity, at a point of the run between 0 and 1.
func (o Options) response(random *rand.Rand, t *traces.Trace, progress, temperature float64) {
	learnt := 1 - math.Exp(-3*progress)
	*t = traces.Trace{
		Run: "synthetic", Dataset: "synthetic", Level: t.Level, Gold: "19", PromptText: "How much is 12 + 7? Think step by step.",
		PromptTokens: []int32{11, 12, 13, 14, 15, 16, 17, 18}, Finish: traces.FinishStop, Temperature: temperature, Mode: "think", Turns: 1,
		Seed: random.Uint64(), Verdict: traces.Wrong, Formatted: true,
	}
	length := float64(o.Tokens) * (1.6 - 1.2*learnt) * math.Exp(0.4*random.NormFloat64())
	n := max(int(length), 4)
	if limit := 4 * o.Tokens; n > limit {
		n, t.Finish, t.VerdictReason = limit, traces.FinishLength, "no answer"
	} else if random.Float64() < 0.45+0.4*learnt {
		t.Verdict = traces.Right
	}
	t.Extracted = "19"
	if t.Verdict != traces.Right {
		t.Extracted = fmt.Sprint(random.IntN(1000) + 20)
	}
	t.Tokens, t.LogProbs = make([]int32, n), make([]float32, n)
	for i := range n {
		t.Tokens[i], t.LogProbs[i] = random.Int32N(50000), -random.Float32()
	}
	think := int32(n - n/4)
	t.Segments = []traces.Segment{{Kind: traces.Think, End: think, Train: true}, {Kind: traces.Answer, Start: think, End: int32(n), Train: true}}
	t.Spans = []traces.Span{{Policy: "base", End: int32(n)}}
	t.LengthTokens = int32(n)
	size := int(float64(o.TextBytes) * float64(n) / float64(o.Tokens))
	text := make([]byte, 0, size+16)
	for len(text) < size {
		text = append(text, words[random.IntN(len(words))]...)
	}
	t.Text = string(text) + "</think> " + t.Extracted
	if random.IntN(4) == 0 {
		t.ToolCalls = []traces.ToolCall{{Name: "calc", Arguments: "12+7", Result: "19", Start: think, End: think + 1, Tokens: 2}}
	}
	right := 0.0
	if t.Verdict == traces.Right {
		right = 1
	}
	short := 0.5 - float64(n)/float64(4*o.Tokens)
	t.Terms = []traces.Term{{Name: "correctness", Value: right}, {Name: "length", Value: short}}
	t.Reward, t.Advantage = right+short, right+short-0.9
	entropy := 0.6 * (1 - learnt/2)
	t.Entropy = &entropy
	t.CompletionPrice = float64(n) * 2e-6
}

// mean counts and sums.
type mean struct{ n, sum float64 }

func (m *mean) add(x float64) { m.n++; m.sum += x }
func (m mean) value() float64 { return m.sum / max(m.n, 1) }

// tally is what a step and an evaluation say of their traces.
type tally struct {
	accuracy, all, right, wrong, cut, calls, trained mean
	generated                                        int64
}

func tallied(rows []traces.Trace) tally {
	var s tally
	for i := range rows {
		t := &rows[i]
		length := float64(t.LengthTokens)
		s.all.add(length)
		s.calls.add(float64(len(t.ToolCalls)))
		s.generated += int64(t.LengthTokens)
		if t.Verdict == traces.Right {
			s.accuracy.add(1)
			s.right.add(length)
		} else {
			s.accuracy.add(0)
			s.wrong.add(length)
		}
		if t.Finish == traces.FinishLength {
			s.cut.add(length)
		}
		if t.Status == traces.Trained {
			s.trained.add(length)
		}
	}
	return s
}

func summary(step int, rows []traces.Trace) (traces.Step, []traces.Timing) {
	s := tallied(rows)
	n := int64(len(rows))
	row := traces.Step{
		Step: int64(step), Policy: fmt.Sprintf("p%d", step), Digest: "synthetic", Traces: n, Trained: int64(s.trained.n), Filtered: n - int64(s.trained.n),
		Accuracy: s.accuracy.value(), Truncated: s.cut.n / s.all.n, Lengths: traces.Lengths{All: s.all.value(), Right: s.right.value(), Wrong: s.wrong.value(), Truncated: s.cut.value()},
		LengthTrained: s.trained.value(), ToolCalls: s.calls.value(), Entropy: 0.5, KL: 0.002, GradNorm: 0.7, LearningRate: 1e-6, Updates: 4,
		GeneratedTokens: s.generated, PromptTokens: 8 * n, TrainedTokens: s.generated, Price: float64(s.generated) * 2e-6,
		Terms: []traces.Term{{Name: "correctness", Value: s.accuracy.value()}, {Name: "length", Value: 0.1}},
	}
	clock := []traces.Timing{{Step: int64(step), Total: 20, TrainerWait: 8, Learn: 9, Grade: 0.5, Publish: 0.5, Commit: 0.5, EngineIdle: 6}}
	for i := range rows {
		clock = append(clock, traces.Timing{Step: int64(step), ID: rows[i].ID, Worker: "w0", Queue: 0.5, FirstToken: 0.05, Total: float64(rows[i].LengthTokens) / 50})
	}
	return row, clock
}

func evaluation(step int, decoding string, rows []traces.Trace) traces.Eval {
	s := tallied(rows)
	n := int64(len(rows))
	return traces.Eval{
		Step: int64(step), Policy: fmt.Sprintf("p%d", step), Decoding: decoding, Temperature: rows[0].Temperature, Problems: n, Samples: n,
		Accuracy: s.accuracy.value(), TokensMean: s.all.value(), TokensRight: s.right.value(), TokensWrong: s.wrong.value(),
		Truncated: s.cut.n / s.all.n, ToolCalls: s.calls.value(),
	}
}
