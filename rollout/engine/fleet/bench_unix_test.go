//go:build unix

package fleet_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/fleet"
	"pith/rollout/engine/sim"
)

// instant answers at once, so that what is left is the fleet.
type instant struct{ answer engine.SampleResult }

func (instant) Caps(context.Context) (engine.SamplerCaps, error) {
	return engine.SamplerCaps{Seeded: true}, nil
}
func (i instant) Sample(context.Context, engine.SampleRequest) (engine.SampleResult, error) {
	return i.answer, nil
}
func (instant) Score(context.Context, engine.PolicyRef, [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, 0, nil
}
func (instant) Close() error { return nil }

// processor is the processor time of this process.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFleet is what the fleet adds to a request with a prompt of 512 tokens: 8 replicas that
// answer at once.
func BenchmarkFleet(b *testing.B) {
	answer := engine.SampleResult{Seqs: []engine.Sequence{{Tokens: make([]int32, 512), Logprobs: make([]float32, 512)}}}
	var rs []fleet.Replica
	for i := range 8 {
		rs = append(rs, fleet.Replica{Name: fmt.Sprint(i), Sampler: instant{answer}})
	}
	f, err := fleet.New(rs, fleet.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Caps(b.Context()); err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.ReportAllocs()
	before := processor()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		prompt := make([]int32, 512)
		for p.Next() {
			prompt[0] = int32(n.Add(1) % 64)
			if _, err := f.Sample(b.Context(), engine.SampleRequest{ID: "r", Prompt: prompt, N: 1}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((processor()-before).Microseconds())/float64(b.N), "cpu-µs/request")
}

// BenchmarkTwoThousandInFlight keeps 2,000 requests in flight over four simulated replicas that wait
// for nothing, responses of about 500 tokens: the processor time of a request, synthetic tokens
// included, and the memory that all of them take.
func BenchmarkTwoThousandInFlight(b *testing.B) {
	var rs []fleet.Replica
	for i := range 4 {
		e, err := sim.New(sim.Options{Name: fmt.Sprint(i), Vocab: 1000, Lengths: sim.LogNormal{Median: 400, Sigma: 0.7}, Limits: sim.Limits{Slots: 1024}})
		if err != nil {
			b.Fatal(err)
		}
		rs = append(rs, fleet.Replica{Name: fmt.Sprint(i), Sampler: e, Publisher: e, Observer: e})
	}
	f, err := fleet.New(rs, fleet.Options{Controller: fleet.ControllerOptions{Start: 512}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Caps(b.Context()); err != nil {
		b.Fatal(err)
	}
	p := engine.PolicyRef{ID: "p"}
	if _, err := f.Publish(b.Context(), engine.Artifact{Policy: p}); err != nil {
		b.Fatal(err)
	}
	var most, running, next atomic.Int64
	var peak atomic.Uint64
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse+m.StackInuse))
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	before := processor()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 2000 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				for n, m := running.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				r := engine.SampleRequest{ID: fmt.Sprint(i), Policy: p, Prompt: []int32{1, int32(i % 500)}, N: 1,
					Params: engine.Params{MaxTokens: 2048, Temperature: 1, TopP: 1, Seed: uint64(i), StopTokens: []int32{0}}}
				if _, err := f.Sample(b.Context(), r); err != nil {
					b.Error(err)
				}
				running.Add(-1)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	close(stop)
	watch.Wait()
	b.ReportMetric(float64((processor()-before).Microseconds())/float64(b.N), "cpu-µs/request")
	b.ReportMetric(float64(most.Load()), "in-flight")
	b.ReportMetric(float64(peak.Load())/(1<<20), "MiB")
}
