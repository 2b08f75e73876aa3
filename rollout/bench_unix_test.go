//go:build unix

package rollout

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pith/datasets"
	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/rollout/strategy"
	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

// instant is an engine that answers at once, so that what is left is ours.
type instant struct{ answer engine.Sequence }

func (e instant) Caps(context.Context) (engine.SamplerCaps, error) { return engine.SamplerCaps{}, nil }
func (e instant) Close() error                                     { return nil }

func (e instant) Sample(_ context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	res := engine.SampleResult{Seqs: make([]engine.Sequence, r.N)}
	for i := range res.Seqs {
		s := e.answer
		s.Spans = []engine.Span{{Policy: r.Policy, End: len(s.Tokens)}}
		res.Seqs[i] = s
	}
	return res, nil
}

func (e instant) Score(context.Context, engine.PolicyRef, [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, 0, &engine.Error{Class: engine.Unsupported}
}

// cpu is the processor time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOrchestration is the cost of everything between an engine's answer and a durable
// Parquet row: trace, grading, wire form, JetStream in both directions, acknowledgement, segment.
// A step is 16 tasks of 12 samples, as in the quickstart.
func BenchmarkOrchestration(b *testing.B) {
	for _, size := range []struct {
		name   string
		tokens int
		sync   stream.Sync
	}{
		{"70 tokens", 70, stream.SyncInterval},
		{"1000 tokens", 1000, stream.SyncInterval},
		{"4000 tokens", 4000, stream.SyncInterval},
		{"70 tokens, fsync always", 70, stream.SyncAlways},
	} {
		b.Run(size.name, func(b *testing.B) { benchmarkSteps(b, size.tokens, size.sync) })
	}
}

func benchmarkSteps(b *testing.B, tokens int, sync stream.Sync) {
	const groups, samples = 16, 12
	text := strings.Fields(strings.Repeat("b 4 +3 = 7 ; c ", tokens/7+1))[:tokens-3]
	text = append(text, "</think>", "7", "<eos>")
	r := newClockRun(b, "clock")
	var answer engine.Sequence
	for i, word := range text {
		answer.Tokens = append(answer.Tokens, r.id(word))
		answer.Logprobs = append(answer.Logprobs, -1/float32(i+1)) // distinct: real ones do not compress either
		answer.Entropies = append(answer.Entropies, 0.5)
	}
	exact, err := grade.NewExact(grade.DefaultExactOptions())
	if err != nil {
		b.Fatal(err)
	}
	bn := newBench(b, func(c *stream.Config) { c.Sync = sync })
	ref := bn.announce(0, nil)
	bn.startAs(&Worker{Sampler: instant{answer}, Markers: strategy.Markers(r.family.Markers), Concurrency: 4}, r.tokens)
	dir := filepath.Join(b.TempDir(), traces.TracesDir)
	step := 0
	run := func() {
		step++
		tasks := make([]*task.Task, groups)
		for i := range tasks {
			tasks[i] = newTask(fmt.Sprintf("s%06d/g%02d", step, i), samples, ref)
			tasks[i].Split, tasks[i].Params.MaxTokens = datasets.Train, tokens
			tasks[i].Problem = datasets.Problem{ID: "3 +4", Dataset: "clock", Level: 1, Prompt: "<bos> a 3 b +4 <think>", Answer: "7"}
		}
		bn.release(tasks...)
		var ds []*stream.Delivery
		var rows []traces.Trace
		for range groups * samples {
			d, err := bn.stream.Collect(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			v := exact.Grade(d.Trace.Gold, d.Trace.Text)
			d.Trace.Verdict, d.Trace.Extracted, d.Trace.Formatted = traces.Verdict(v.Outcome), v.Extracted, v.Formatted
			ds, rows = append(ds, d), append(rows, *d.Trace)
		}
		traces.Sort(rows)
		if err := traces.WriteSegment(dir, traces.SegmentName(int64(step), ""), rows, nil); err != nil {
			b.Fatal(err)
		}
		if err := bn.stream.Commit(b.Context(), ds); err != nil {
			b.Fatal(err)
		}
	}
	run() // opens connections, pools and encoders
	n := 0
	used, began := cpu(b), time.Now()
	for b.Loop() {
		run()
		n += groups * samples
	}
	b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(n), "cpu-µs/rollout")
	b.ReportMetric(float64(time.Since(began).Microseconds())/float64(n), "wall-µs/rollout")
	b.ReportMetric(0, "ns/op") // of a whole step: misleading beside the others
}
