package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/fleet"
	"pith/rollout/engine/sim"
)

// The drill: many requests through a fleet whose replicas stall, fail and come back, while policies
// are published. Everything is accounted for, and what is kept is as long as what was asked for.

// asked is the distribution of lengths that the model behind the drill has. Answers take 25 s on
// average, and a replica fails every 60 s: most of the long ones are hit.
var asked = sim.LogNormal{Median: 900, Sigma: 0.8}

const (
	drillLimit = 4096 // tokens; about 3 % are cut
	drillStop  = 1
)

// drill is one kind of engine under one way of repeating.
type drill struct {
	requests, callers int
	unseeded, partial bool
	naive             bool // draw anew until something comes, as a plain retry loop does
}

// drilled is what came of it.
type drilled struct {
	lengths     []int // of what was kept, by request; 0 = not kept
	account     fleet.Account
	lost, other int64
	failures    int64
	simulated   time.Duration
}

func (d drill) run(t *testing.T) (out drilled) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var rs []fleet.Replica
		var engines []*sim.Engine
		for i := range 12 {
			e, err := sim.New(sim.Options{
				Name: fmt.Sprint("sim", i), Seed: uint64(i + 1), Pace: 1, Vocab: 1000, Lengths: asked, Unseeded: d.unseeded, Partial: d.partial,
				Speed:  sim.Speed{Step: 0.015, PerSequence: 5e-5, PerCachedToken: 2e-8, PerPromptToken: 1e-5},
				Limits: sim.Limits{Slots: 128, CacheTokens: 200_000},
				Faults: sim.Faults{FailEvery: 60, DownFor: 10, StallEvery: 40, StallFor: 2},
			})
			if err != nil {
				t.Fatal(err)
			}
			engines = append(engines, e)
			rs = append(rs, fleet.Replica{Name: fmt.Sprint("r", i), Sampler: e, Publisher: e, Observer: e})
		}
		f, err := fleet.New(rs, fleet.Options{Controller: fleet.ControllerOptions{Start: 64, Most: 256}, Attempts: 200, Patience: time.Hour,
			Breaker: fleet.BreakerOptions{Failures: 2}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if _, err := f.Caps(t.Context()); err != nil {
			t.Fatal(err)
		}
		var current atomic.Pointer[engine.PolicyRef]
		publish := func(step int64) {
			p := engine.PolicyRef{ID: fmt.Sprint("p", step), Step: step}
			if _, err := f.Publish(t.Context(), engine.Artifact{Policy: p, Kind: engine.ArtifactModelDir, Path: p.ID}); err != nil {
				t.Errorf("publish %s: %v", p.ID, err)
				return
			}
			current.Store(&p)
			if step >= 3 {
				if err := f.Retire(t.Context(), engine.PolicyRef{ID: fmt.Sprint("p", step-3), Step: step - 3}); err != nil {
					t.Errorf("retire: %v", err)
				}
			}
		}
		publish(0)
		out.lengths = make([]int, d.requests)
		var next, lost, other atomic.Int64
		var wg sync.WaitGroup
		done := make(chan struct{})
		for range d.callers {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < d.requests; i = int(next.Add(1)) - 1 {
					n, err := d.ask(t.Context(), f, i, &current)
					switch {
					case err == nil:
						out.lengths[i] = n
					case errors.Is(err, fleet.ErrLost):
						lost.Add(1)
					default:
						if other.Add(1) < 4 {
							t.Errorf("request %d: %v", i, err)
						}
					}
				}
			})
		}
		var publisher sync.WaitGroup
		publisher.Go(func() {
			for step := int64(1); ; step++ {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Minute):
					publish(step)
				}
			}
		})
		wg.Wait()
		close(done)
		publisher.Wait()
		out.simulated = time.Since(began)
		out.account, out.lost, out.other = f.Account(), lost.Load(), other.Load()
		time.Sleep(5 * time.Minute) // until all are up, to be counted
		for _, e := range engines {
			for {
				if s, err := e.Stats(t.Context()); err == nil {
					out.failures += int64(s[0].Raw["failures"])
					break
				}
				time.Sleep(time.Second)
			}
		}
	})
	return out
}

// ask makes one request and returns the length of its answer. A policy that was retired under it is
// no failure of the drill: the worker's queue gives such a task out again, as the same request.
func (d drill) ask(ctx context.Context, f *fleet.Fleet, i int, current *atomic.Pointer[engine.PolicyRef]) (int, error) {
	for try := 0; ; try++ {
		r := engine.SampleRequest{ID: fmt.Sprint("d", i), Policy: *current.Load(), Prompt: []int32{5, int32(i % 997), 7}, N: 1,
			Params: engine.Params{MaxTokens: drillLimit, Temperature: 1, TopP: 1, Seed: uint64(i), StopTokens: []int32{drillStop}}}
		res, err := f.Sample(ctx, r)
		if err == nil {
			s := res.Seqs[0]
			if len(s.Tokens) != len(s.Logprobs) || (s.Finish == engine.FinishStop) != (s.Tokens[len(s.Tokens)-1] == drillStop) {
				return 0, fmt.Errorf("%d tokens, %d log-probabilities, finish %d", len(s.Tokens), len(s.Logprobs), s.Finish)
			}
			return len(s.Tokens), nil
		}
		class, _ := engine.ClassOf(err)
		if class == engine.PolicyGone && !d.unseeded || d.naive && try < 1000 {
			continue
		}
		return 0, err
	}
}

// kept are the lengths that came back.
func (d drilled) kept() []int {
	return slices.DeleteFunc(slices.Clone(d.lengths), func(n int) bool { return n == 0 })
}

// reference draws lengths as the model does, independent of any engine.
func reference(n int) []int {
	out := make([]int, n)
	for i := range out {
		// Points of the unit interval that are equally spaced: the distribution itself.
		out[i] = min(asked.At((float64(i)+0.5)/float64(n)), drillLimit)
	}
	return out
}

// distance is the Kolmogorov-Smirnov statistic of two samples: the largest difference of their
// distribution functions. Ties make the test cautious, never bold.
func distance(a, b []int) float64 {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	worst, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		worst = max(worst, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return worst
}

// critical is the distance beyond which a sample of n is not from the reference distribution, at a
// level of 0.001 (Kolmogorov's limit: P(√n·D > 1.95) = 0.001).
func critical(n int) float64 { return 1.95 / math.Sqrt(float64(n)) }

func mean(x []int) float64 {
	s := 0
	for _, n := range x {
		s += n
	}
	return float64(s) / float64(len(x))
}

func drillSize(t *testing.T, full int) int {
	if testing.Short() {
		return max(full/10, 5000)
	}
	return full
}

// account checks that every request has exactly one end, on both sides.
func (d drill) accounted(t *testing.T, out drilled) {
	t.Helper()
	a := out.account
	kept := int64(len(out.kept()))
	if a.Open() != 0 || out.other != 0 || kept+out.lost != int64(d.requests) || a.Answered != kept || a.Lost != out.lost || a.SequencesAnswered != kept {
		t.Errorf("of %d requests %d were kept, %d lost, %d ended otherwise; the fleet's account: %+v", d.requests, kept, out.lost, out.other, a)
	}
	if out.failures < 20 {
		t.Errorf("only %d failures: the drill is too gentle", out.failures)
	}
	var tokens int64
	for _, n := range out.lengths {
		tokens += int64(n)
	}
	if a.OutputTokens != tokens {
		t.Errorf("%d tokens kept, %d in the account", tokens, a.OutputTokens)
	}
}

func TestDrillWithSeedsEveryRequestKeepsItsOwnAnswer(t *testing.T) {
	d := drill{requests: drillSize(t, 100_000), callers: 2000}
	out := d.run(t)
	d.accounted(t, out)
	if out.lost != 0 {
		t.Errorf("%d requests lost", out.lost)
	}
	// The same engine without faults, one request after the other: what each seed gives.
	calm, err := sim.New(sim.Options{Vocab: 1000, Lengths: asked})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = calm.Close() }()
	p := engine.PolicyRef{ID: "p"}
	if _, err := calm.Publish(t.Context(), engine.Artifact{Policy: p}); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < d.requests; i += 97 {
		res, err := calm.Sample(t.Context(), engine.SampleRequest{Policy: p, Prompt: []int32{1}, N: 1,
			Params: engine.Params{MaxTokens: drillLimit, Temperature: 1, TopP: 1, Seed: uint64(i), StopTokens: []int32{drillStop}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(res.Seqs[0].Tokens); got != out.lengths[i] {
			t.Fatalf("request %d has %d tokens, its seed gives %d", i, out.lengths[i], got)
		}
	}
	gap := distance(out.kept(), reference(d.requests))
	if gap > critical(d.requests) {
		t.Errorf("lengths differ by %.4f from what was asked for, allowed are %.4f", gap, critical(d.requests))
	}
	t.Logf("%d requests in %v simulated; %d failures, %d repetitions; distance %.4f of %.4f allowed; mean %.1f tokens, asked %.1f",
		d.requests, out.simulated.Round(time.Second), out.failures, out.account.Repeated, gap, critical(d.requests), mean(out.kept()), mean(reference(d.requests)))
}

func TestDrillWithoutSeedsAnswersGoOnFromTheirTokens(t *testing.T) {
	d := drill{requests: drillSize(t, 30_000), callers: 1000, unseeded: true, partial: true}
	out := d.run(t)
	d.accounted(t, out)
	gap := distance(out.kept(), reference(d.requests))
	if gap > critical(len(out.kept())) || out.lost != 0 {
		t.Errorf("lengths differ by %.4f from what was asked for, allowed are %.4f; %d lost", gap, critical(d.requests), out.lost)
	}
	if out.account.Continued < int64(d.requests)/20 {
		t.Errorf("only %d answers were continued", out.account.Continued)
	}
	t.Logf("%d failures, %d continuations; distance %.4f of %.4f allowed", out.failures, out.account.Continued, gap, critical(d.requests))
}

// Without seeds and without partial answers something has to give: the fleet loses answers and
// says so, and what is kept is short. It is never made up for.
func TestDrillWithoutSeedsOrTokensLossesAreCounted(t *testing.T) {
	d := drill{requests: drillSize(t, 10_000), callers: 1000, unseeded: true}
	out := d.run(t)
	d.accounted(t, out)
	if out.lost < int64(d.requests)/50 {
		t.Errorf("only %d of %d requests lost", out.lost, d.requests)
	}
	t.Logf("%d of %d lost; mean of the rest %.1f, asked %.1f", out.lost, d.requests, mean(out.kept()), mean(reference(d.requests)))
}

// The power of the test: a policy that draws anew until something comes loses no request and looks
// perfect in the account, but its answers are short, and the same test sees it.
func TestDrillSeesARetryThatDrawsAnew(t *testing.T) {
	d := drill{requests: drillSize(t, 10_000), callers: 1000, unseeded: true, naive: true}
	out := d.run(t)
	if n := len(out.kept()); n != d.requests {
		t.Fatalf("%d of %d kept", n, d.requests)
	}
	gap := distance(out.kept(), reference(d.requests))
	if gap <= 2*critical(d.requests) {
		t.Errorf("distance %.4f, %.4f is allowed: the test cannot tell a biased policy from an honest one", gap, critical(d.requests))
	}
	t.Logf("distance %.4f of %.4f allowed; mean %.1f tokens, asked %.1f", gap, critical(d.requests), mean(out.kept()), mean(reference(d.requests)))
}
