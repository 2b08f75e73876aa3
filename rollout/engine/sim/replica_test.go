package sim

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestStepsWithinATimeAreTheInverseOfTheirTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Speed{Step: rapid.Float64Range(1e-4, 1).Draw(t, "step"), PerSequence: rapid.Float64Range(0, 1e-2).Draw(t, "per sequence"), PerCachedToken: rapid.Float64Range(0, 1e-5).Draw(t, "per cached token")}
		b, c := float64(rapid.IntRange(1, 500).Draw(t, "batch")), float64(rapid.IntRange(0, 1_000_000).Draw(t, "cached"))
		at := rapid.Float64Range(0, 1e4).Draw(t, "time")
		k := s.within(at, b, c)
		if s.take(k, b, c) > at || s.take(k+1, b, c) <= at {
			t.Fatalf("%v steps take %v, one more %v, of %v", k, s.take(k, b, c), s.take(k+1, b, c), at)
		}
	})
}

// Whatever happens to a replica: every job ends exactly once, whole unless the replica failed or it
// was taken off; times are in order; in the end nothing is left behind.
func TestEveryJobEndsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewReplica(Speed{Step: 0.01, PerSequence: 0.001, PerCachedToken: 1e-6, PerPromptToken: 1e-4},
			Limits{Slots: rapid.IntRange(1, 8).Draw(t, "slots"), CacheTokens: rapid.SampledFrom([]int{0, 150, 1000}).Draw(t, "cache")},
			Faults{FailEvery: rapid.SampledFrom([]float64{0, 3}).Draw(t, "fail"), DownFor: 1, StallEvery: rapid.SampledFrom([]float64{0, 2}).Draw(t, "stall"), StallFor: 0.5},
			rapid.Uint64().Draw(t, "seed"))
		ended, off, open := map[*Job]int{}, map[*Job]bool{}, []*Job{}
		note := func(jobs []*Job) {
			last := 0.0
			for _, j := range jobs {
				ended[j]++
				if !j.Failed && j.Drawn != j.Length || j.Failed && j.Drawn > j.Length {
					t.Fatalf("%d of %d tokens, failed %v", j.Drawn, j.Length, j.Failed)
				}
				if j.Ended < last-1e-9 || j.Ended < j.Submitted || !j.Failed && !(j.Submitted <= j.Started && j.Started <= j.First && j.First <= j.Ended) {
					t.Fatalf("times out of order: %+v", j)
				}
				last = j.Ended
			}
		}
		now := 0.0
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += rapid.Float64Range(0, 1).Draw(t, "wait")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				j := &Job{Prompt: rapid.IntRange(1, 40).Draw(t, "prompt"), Length: rapid.IntRange(1, 100).Draw(t, "length")}
				before, ok := r.Submit(now, j)
				note(before)
				if ok {
					open = append(open, j)
				} else if !r.Down(now) {
					t.Fatal("refused by a replica that is up")
				}
			case 3:
				if len(open) > 0 {
					j := rapid.SampledFrom(open).Draw(t, "abort")
					note(r.Abort(now, j))
					off[j] = ended[j] == 0
				}
			case 4:
				note(r.Hold(now, 0.2, true))
			default:
				note(r.Advance(now))
			}
		}
		for range 10_000 {
			next := r.Next()
			if math.IsInf(next, 1) {
				break
			}
			if next < now {
				next = now
			}
			now = next
			note(r.Advance(now))
		}
		if r.Running() != 0 || r.Waiting() != 0 || r.cached != 0 {
			t.Fatalf("%d running, %d waiting, %d tokens in the cache of an idle replica", r.Running(), r.Waiting(), r.cached)
		}
		for _, j := range open {
			if want := 1; off[j] && ended[j] != 0 || !off[j] && ended[j] != want {
				t.Fatalf("ended %d times, taken off %v: %+v", ended[j], off[j], j)
			}
		}
	})
}

func TestAFullCachePreemptsAndReadsAnew(t *testing.T) {
	r := NewReplica(Speed{Step: 0.01}, Limits{CacheTokens: 100}, Faults{}, 1)
	a, b := &Job{Prompt: 10, Length: 80}, &Job{Prompt: 10, Length: 80}
	for _, j := range []*Job{a, b} {
		if _, ok := r.Submit(0, j); !ok {
			t.Fatal("refused")
		}
	}
	ended := r.Advance(1000)
	if len(ended) != 2 || ended[0] != a || r.Preemptions != 1 {
		t.Fatalf("%d ended, %d preemptions; want the older first and one preemption", len(ended), r.Preemptions)
	}
	// Together until 20 + 2k = 100 is full, then one after the other.
	if want := 0.8 + 0.4; math.Abs(b.Ended-want) > 0.011 {
		t.Errorf("the preempted one ended at %v, want about %v", b.Ended, want)
	}
	if r.PromptTokens != 10+10+10+40 {
		t.Errorf("%d tokens read, want both prompts and what was thrown away", r.PromptTokens)
	}
}

func TestAJobThatLeftIsNotWrittenToAnyMore(t *testing.T) {
	r := NewReplica(Speed{Step: 1}, Limits{}, Faults{}, 1)
	gone, stays := &Job{Prompt: 1, Length: 9}, &Job{Prompt: 1, Length: 9}
	for _, j := range []*Job{gone, stays} {
		if _, ok := r.Submit(0, j); !ok {
			t.Fatal("refused")
		}
	}
	r.Abort(0.5, gone)
	left := *gone
	r.Advance(100)
	if *gone != left || stays.First == 0 {
		t.Errorf("got %+v, was %+v when it left; the other one %+v", *gone, left, *stays)
	}
}

func TestLengthsHaveTheirQuantiles(t *testing.T) {
	for _, l := range []Lengths{Fixed(7), LogNormal{500, 0.8}, Geometric{40}, Empirical{"x", []int{1, 5, 5, 9}}} {
		last, sum := 0, 0.0
		const n = 20_000
		for i := range n {
			v := l.At((float64(i) + 0.5) / n)
			if v < last || v < 1 {
				t.Fatalf("%s: quantile %d is %d after %d", l, i, v, last)
			}
			last, sum = v, sum+float64(v)
		}
		want := map[string]float64{"fixed at 7": 7, LogNormal{500, 0.8}.String(): 500 * math.Exp(0.32), Geometric{40}.String(): 40, "4 lengths of x": 5}[l.String()]
		if got := sum / n; math.Abs(got/want-1) > 0.02 {
			t.Errorf("%s: mean %v, want %v", l, got, want)
		}
	}
	if got := share(LogNormal{500, 0.8}, 500); math.Abs(got-0.5) > 0.01 {
		t.Errorf("share below the median is %v", got)
	}
}
