package sim_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func artifact(id string, step int64) engine.Artifact {
	return engine.Artifact{Policy: engine.PolicyRef{ID: id, Step: step}, Kind: engine.ArtifactModelDir, Path: "weights/" + id}
}

func TestConformance(t *testing.T) {
	for name, pace := range map[string]float64{"paced": 200, "jumping": 0} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Target {
				e, err := sim.New(sim.Options{Lengths: sim.Geometric{Mean: 30}, Vocab: 40, Pace: pace, MaxContext: 96, Partial: true,
					Speed: sim.Speed{Step: 0.02, PerSequence: 1e-4, PerCachedToken: 1e-6, PerPromptToken: 1e-4}, Limits: sim.Limits{Slots: 64, CacheTokens: 4000}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = e.Close() })
				return enginetest.Target{Sampler: e, Publisher: e, First: artifact("p1", 1), Second: artifact("p2", 2),
					Prompt: []int32{1, 7, 9, 30, 12}, Vocab: 40, Stop: 2, Tokens: 40}
			})
		})
	}
}

// start makes an engine with a policy.
func start(t *testing.T, o sim.Options) (*sim.Engine, engine.PolicyRef) {
	t.Helper()
	if o.Lengths == nil {
		o.Lengths = sim.LogNormal{Median: 100, Sigma: 0.7}
	}
	o.Vocab = 50
	e, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Publish(t.Context(), artifact("p", 0))
	if err != nil {
		t.Fatal(err)
	}
	return e, p
}

func request(p engine.PolicyRef, seed uint64, n int) engine.SampleRequest {
	return engine.SampleRequest{ID: fmt.Sprint("r", seed), Policy: p, Prompt: []int32{1, 2, 3}, N: n,
		Params: engine.Params{MaxTokens: 4096, Temperature: 1, TopP: 1, Seed: seed, StopTokens: []int32{0}}}
}

// Within a bubble the clock of a paced engine is the bubble's: what takes minutes passes at once.
func TestTimePassesAsTheSpeedSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t, sim.Options{Pace: 1, Lengths: sim.Fixed(1000), Speed: sim.Speed{Step: 0.02, PerSequence: 0.001, PerPromptToken: 0.5}})
		defer func() { _ = e.Close() }()
		began := time.Now()
		res, err := e.Sample(t.Context(), request(p, 1, 4))
		if err != nil {
			t.Fatal(err)
		}
		// Four prompts of three tokens, then a thousand steps of four sequences.
		want := 4*3*0.5 + 1000*(0.02+4*0.001)
		if got := time.Since(began).Seconds(); got < want-0.01 || got > want+0.01 {
			t.Errorf("it took %v s, want %v", got, want)
		}
		if got := res.Run.Seconds(); got < want-2 || got > want+0.01 {
			t.Errorf("the result says %v s, want about %v", got, want)
		}
		stats, err := e.Stats(t.Context())
		if err != nil || stats[0].Idle > time.Millisecond || stats[0].OutputTokens != 4000 {
			t.Errorf("stats %+v, %v", stats, err)
		}
		time.Sleep(time.Hour)
		if stats, _ := e.Stats(t.Context()); stats[0].Idle < time.Hour || stats[0].Idle > time.Hour+time.Second {
			t.Errorf("idle for %v after an idle hour", stats[0].Idle)
		}
	})
}

func TestAFailureBreaksCallsOffAndTheReplicaComesBack(t *testing.T) {
	for _, partial := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e, p := start(t, sim.Options{Pace: 1, Partial: partial, Lengths: sim.Fixed(100_000), Faults: sim.Faults{FailEvery: 100, DownFor: 30}, Seed: 3})
			defer func() { _ = e.Close() }()
			r := request(p, 1, 2)
			r.Params.MaxTokens = 200_000
			res, err := e.Sample(t.Context(), r)
			if class, _ := engine.ClassOf(err); class != engine.Transient {
				t.Fatalf("error %v, want one of class transient", err)
			}
			if drew := len(res.Seqs) == 2 && len(res.Seqs[0].Tokens) > 0; drew != partial {
				t.Errorf("partial %v: %d sequences came back", partial, len(res.Seqs))
			}
			if _, err := e.Stats(t.Context()); err == nil {
				t.Error("a dead replica has metrics")
			}
			if _, err := e.Sample(t.Context(), r); err == nil {
				t.Error("a dead replica samples")
			}
			time.Sleep(10 * time.Minute)
			r.Params.MaxTokens = 10
			if _, err := e.Sample(t.Context(), r); err != nil {
				t.Errorf("after it came back: %v", err)
			}
		})
	}
}

func TestFreezingStopsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t, sim.Options{Pace: 1, Lengths: sim.Fixed(1000)})
		defer func() { _ = e.Close() }()
		began := time.Now()
		done := make(chan error, 1)
		go func() {
			_, err := e.Sample(context.Background(), request(p, 1, 1))
			done <- err
		}()
		time.Sleep(5 * time.Second)
		if err := e.Pause(t.Context(), engine.FenceFreeze); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := e.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := time.Since(began).Seconds(); got < 69.9 || got > 70.1 {
			t.Errorf("ten seconds of work and a minute of pause took %v s", got)
		}
	})
}
