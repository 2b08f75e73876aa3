package live

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"pith/configs"
	"pith/traces"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// growing is a run directory that a test lets grow a step at a time.
type growing struct {
	t       testing.TB
	dir     string
	steps   []traces.Step
	evals   []traces.Eval
	timings []traces.Timing
}

// newRun is a run of the given length before its first step.
func newRun(t testing.TB, steps int) *growing {
	g := &growing{t: t, dir: t.TempDir()}
	c := configs.Default()
	c.Run = configs.Run{Name: "demo <i>", Seed: 3, Steps: steps}
	c.Rewards.Method = "kimi_length"
	text, err := json.Marshal(map[string]any{"run": c.Run.Name, "seed": c.Run.Seed, "config": c})
	g.must(err)
	g.must(os.WriteFile(filepath.Join(g.dir, traces.ManifestFile), text, 0o644))
	g.must(os.MkdirAll(filepath.Join(g.dir, traces.TracesDir), 0o755))
	return g
}

func (g *growing) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// step commits the next step: two groups of two traces.
func (g *growing) step() {
	g.t.Helper()
	n := int64(len(g.steps) + 1)
	var rows []traces.Trace
	for i := range 4 {
		group := fmt.Sprintf("g%d-%d", n, i/2)
		rows = append(rows, traces.Trace{
			Run: "demo", Step: n, Split: "train", Group: group, ID: fmt.Sprintf("%s/%d", group, i%2), Problem: group, Sample: int32(i % 2),
			PromptText: "what is " + group + "? <script>alert(1)</script>", PromptTokens: []int32{1}, Text: "it is 7", Tokens: []int32{2, 3}, LogProbs: []float32{-1, -1},
			Segments: []traces.Segment{{Kind: traces.Answer, End: 2, Train: true}}, Spans: []traces.Span{{Policy: "p", End: 2}},
			Finish: traces.FinishStop, LengthTokens: 2, Verdict: traces.Right, Status: traces.Trained, Reward: 1.25,
		})
		g.timings = append(g.timings, traces.Timing{Step: n, ID: rows[i].ID, Worker: fmt.Sprint("w", i%2), Queue: 0.5, Total: 2})
	}
	g.must(traces.WriteSegment(filepath.Join(g.dir, traces.TracesDir), traces.SegmentName(n, ""), rows, nil))
	g.steps = append(g.steps, traces.Step{Step: n, Accuracy: 0.5 + 0.01*float64(n), Lengths: traces.Lengths{All: 100 - float64(n)}, Reward: 1, Entropy: 0.4, Failed: 1})
	g.timings = append(g.timings, traces.Timing{Step: n, Total: 4, TrainerWait: 1, EngineIdle: 2, Learn: 2})
	g.must(traces.WriteTable(g.dir, traces.TimingsFile, g.timings, nil))
	g.must(traces.WriteTable(g.dir, traces.StepsFile, g.steps, nil))
}

// evaluate commits an evaluation after the last step.
func (g *growing) evaluate() {
	g.t.Helper()
	for _, decoding := range []string{"sampled", "greedy"} {
		g.evals = append(g.evals, traces.Eval{Step: int64(len(g.steps)), Decoding: decoding, Problems: 100, Accuracy: 0.75, TokensMean: 42})
	}
	g.must(traces.WriteTable(g.dir, traces.EvalsFile, g.evals, nil))
}

func (g *growing) source() *Source {
	g.t.Helper()
	s, err := Open(g.dir)
	g.must(err)
	return s
}
