package sim

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Staleness bought what AReaL measured, row for row, within 15 %.
func TestThePublishedTablesAreReproduced(t *testing.T) {
	const allowed = 0.15
	for _, table := range Published() {
		rows, err := table.Compare()
		if err != nil {
			t.Fatal(err)
		}
		predicted := 0
		for _, r := range rows {
			t.Logf("%s, staleness %d: published %.3f, simulated %.3f (%+.1f %%)", table.Name, r.Staleness, r.PublishedRelative, r.SimulatedRelative, 100*r.Deviation)
			if math.Abs(r.Deviation) > allowed {
				t.Errorf("%s, staleness %d: %.3f of the last row, published are %.3f", table.Name, r.Staleness, r.SimulatedRelative, r.PublishedRelative)
			}
			if !r.Fitted {
				predicted++
			}
		}
		if predicted < 3 {
			t.Errorf("%s: only %d rows are predictions", table.Name, predicted)
		}
	}
}

func options() PlanOptions {
	return PlanOptions{Replicas: 2, Speed: Speed{Step: 0.01, PerSequence: 1e-4}, Limits: Limits{Slots: 64}, Lengths: Fixed(100), Prompt: 10, MaxTokens: 200,
		Groups: 8, Samples: 4, TrainPerToken: 1e-4, TrainFixed: 0.5, Steps: 10, WarmUp: 2, Seed: 1}
}

// Without chance the arithmetic can be done by hand.
func TestASynchronousRunTakesBothTimes(t *testing.T) {
	o := options()
	e, err := Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	sampling := 100 * (0.01 + 16*1e-4) // 16 sequences on each of two replicas
	training := 0.5 + 32*110*1e-4
	if want := sampling + training; math.Abs(e.StepSeconds-want) > 1e-6 {
		t.Errorf("a step takes %v s, want %v", e.StepSeconds, want)
	}
	if want := sampling / (sampling + training); math.Abs(e.TrainerWait-want) > 1e-6 || math.Abs(e.EngineIdle-(1-want)) > 1e-6 {
		t.Errorf("trainer waits %v, want %v; engines are idle %v, want %v", e.TrainerWait, want, e.EngineIdle, 1-want)
	}
	if e.StalenessMean != 0 || e.StalenessMost != 0 || e.LengthMean != 100 || e.Truncated != 0 {
		t.Errorf("%+v", e)
	}
	o.Staleness = 1
	one, err := Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	// Training and sampling overlap, and two steps' samples share the batch.
	if one.StepSeconds > 0.8*e.StepSeconds || one.StepSeconds < training {
		t.Errorf("with staleness 1 a step takes %v s, training alone takes %v", one.StepSeconds, training)
	}
	o.Lengths = Fixed(300)
	cut, err := Plan(o)
	if err != nil || cut.Truncated != 1 || cut.LengthMean != 200 {
		t.Errorf("longer than the limit: %+v, %v", cut, err)
	}
}

// Whatever the run: in order, no trained sample is staler than the bound; a plan repeats; more
// staleness never costs more than a little.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := options()
		o.Replicas = rapid.IntRange(1, 4).Draw(t, "replicas")
		o.Lengths = LogNormal{rapid.Float64Range(10, 150).Draw(t, "median"), 0.7}
		o.TrainFixed = rapid.Float64Range(0, 3).Draw(t, "training")
		o.Delay = rapid.SampledFrom([]float64{0, 0.7}).Draw(t, "delay")
		o.Publish = rapid.SampledFrom([]float64{0, 0.2}).Draw(t, "publish")
		o.Recompute = rapid.Bool().Draw(t, "recompute")
		o.Faults = rapid.SampledFrom([]Faults{{}, {FailEvery: 3, DownFor: 2, StallEvery: 4, StallFor: 0.5}}).Draw(t, "faults")
		o.Staleness = rapid.IntRange(0, 4).Draw(t, "staleness")
		o.Seed = rapid.Uint64().Draw(t, "seed")
		a, err := Plan(o)
		if err != nil {
			t.Fatal(err)
		}
		if a.StalenessMost > o.Staleness {
			t.Fatalf("a sample is %d steps stale, the bound is %d", a.StalenessMost, o.Staleness)
		}
		if b, _ := Plan(o); a != b {
			t.Fatalf("%+v, then %+v", a, b)
		}
		if a.TrainerWait < -1e-9 || a.TrainerWait > 1 || a.EngineIdle < 0 || a.EngineIdle > 1 {
			t.Fatalf("shares are out of range: %+v", a)
		}
		if o.Faults == (Faults{}) {
			o.Staleness++
			if b, _ := Plan(o); b.StepSeconds > a.StepSeconds*1.1 {
				t.Fatalf("staleness %d takes %v s, %d %v s", o.Staleness-1, a.StepSeconds, o.Staleness, b.StepSeconds)
			}
		}
	})
}

// A sample that was lost with its replica is released again exactly once: one that is on two
// replicas at a time corrupts both, and a step that waits for one that is on none never comes.
func TestWorkLostWithAReplicaIsOnOneReplicaAgain(t *testing.T) {
	o := options()
	o.Replicas, o.Staleness, o.TrainFixed, o.Publish = 4, 4, 0.125, 0.2
	o.Lengths, o.Faults = LogNormal{43.5, 0.7}, Faults{FailEvery: 20, DownFor: 3, StallEvery: 10, StallFor: 0.5}
	failures := int64(0)
	for seed := range uint64(64) {
		o.Seed = seed
		e, err := Plan(o)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		failures += e.Failures
	}
	if failures < 16 {
		t.Errorf("only %d failures in 64 plans: nothing was tested", failures)
	}
}

func TestWrongPlansAreRefusedAtOnce(t *testing.T) {
	_, err := Plan(PlanOptions{Staleness: -2, Order: "best"})
	if err == nil {
		t.Fatal("an empty plan was made")
	}
	for _, want := range []string{"replicas", "decode step", "lengths", "tokens of a response", "staleness", "order", "steps to measure"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not speak of %s: %v", want, err)
		}
	}
}
