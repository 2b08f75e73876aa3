package learner_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"pith/trainer/learner"
)

func TestSchedulesRiseAndFallAsTheySay(t *testing.T) {
	cosine := learner.Schedule{Shape: learner.Cosine, Peak: 2, Warmup: 4, Total: 104, Final: 0.1}
	linear := cosine
	linear.Shape = learner.Linear
	constant := learner.Schedule{Shape: learner.Constant, Peak: 2, Warmup: 4}
	for name, c := range map[string]struct {
		s    learner.Schedule
		step int64
		want float64
	}{
		"warm-up begins above zero":    {cosine, 1, 0.5},
		"warm-up ends at the peak":     {cosine, 4, 2},
		"cosine half way":              {cosine, 54, 1.1},
		"cosine ends at its share":     {cosine, 104, 0.2},
		"and stays there":              {cosine, 1000, 0.2},
		"linear a quarter of the way":  {linear, 29, 2 * (0.1 + 0.9*0.75)},
		"linear ends at its share":     {linear, 104, 0.2},
		"constant stays":               {constant, 5000, 2},
		"no warm-up starts at the top": {learner.Schedule{Shape: learner.Constant, Peak: 3}, 1, 3},
		"step 0 counts as the first":   {cosine, 0, 0.5},
	} {
		if got := c.s.At(c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestScheduleStaysBetweenItsEndsAndNeverRisesAfterWarmUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := learner.Schedule{
			Shape:  rapid.SampledFrom([]learner.Shape{learner.Constant, learner.Cosine, learner.Linear}).Draw(t, "shape"),
			Peak:   rapid.Float64Range(1e-6, 1).Draw(t, "peak"),
			Warmup: rapid.Int64Range(0, 50).Draw(t, "warmup"),
			Final:  rapid.Float64Range(0, 1).Draw(t, "final"),
		}
		s.Total = s.Warmup + rapid.Int64Range(1, 200).Draw(t, "length")
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		last := math.Inf(1)
		for step := int64(1); step < s.Total+5; step++ {
			lr := s.At(step)
			if !(lr > 0 || s.Final == 0) || lr > s.Peak*(1+1e-12) {
				t.Fatalf("rate %v at step %d is outside (0, %v]", lr, step, s.Peak)
			}
			if step > s.Warmup {
				if lr > last*(1+1e-12) {
					t.Fatalf("rate rises to %v at step %d", lr, step)
				}
				last = lr
			}
		}
	})
}

func TestSchedulesThatCannotWorkAreRefused(t *testing.T) {
	for name, s := range map[string]learner.Schedule{
		"no shape":            {Peak: 1},
		"no peak":             {Shape: learner.Constant},
		"negative warm-up":    {Shape: learner.Constant, Peak: 1, Warmup: -1},
		"total before warmup": {Shape: learner.Cosine, Peak: 1, Warmup: 10, Total: 10},
		"final above one":     {Shape: learner.Linear, Peak: 1, Total: 10, Final: 2},
	} {
		if s.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
