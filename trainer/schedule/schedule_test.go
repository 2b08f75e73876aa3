package schedule

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

type spec = map[string]any

func mustNew(t testing.TB, v any) Schedule {
	t.Helper()
	s, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchedulesFollowTheirSources(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec any
		want map[int64]float64
	}{
		{"a number is a constant", 0.5, map[int64]float64{0: .5, 1e9: .5}},
		{"a whole number too", 3, map[int64]float64{-1: 3, 7: 3}},
		{"constant", spec{"kind": "constant", "value": 2}, map[int64]float64{5: 2}},
		{"linear", spec{"kind": "linear", "from": 1, "to": 0, "steps": 4}, map[int64]float64{-3: 1, 0: 1, 1: .75, 3: .25, 4: 0, 99: 0}},
		{"linear from step 10 on", spec{"kind": "linear", "from": 0, "to": 8, "steps": 8, "start": 10}, map[int64]float64{0: 0, 10: 0, 13: 3, 18: 8, 19: 8}},
		{"cosine", spec{"kind": "cosine", "from": 1, "to": 0, "steps": 6}, map[int64]float64{0: 1, 2: .75, 3: .5, 4: .25, 6: 0, 7: 0}},
		{"exponential", spec{"kind": "exponential", "from": 1, "to": 0.0001, "steps": 4}, map[int64]float64{0: 1, 1: .1, 2: .01, 4: .0001, 5: .0001}},
		{"warm-up of a constant", spec{"kind": "warmup", "steps": 4, "then": 8}, map[int64]float64{0: 0, 1: 2, 3: 6, 4: 8, 5: 8}},
		{"warm-up of a decay", spec{"kind": "warmup", "steps": 2, "then": spec{"kind": "linear", "from": 1, "to": 0, "steps": 4}}, map[int64]float64{1: .375, 2: .5, 3: .25}},
		{"stages", spec{"kind": "stages", "stages": []any{spec{"step": 1, "value": 4}, spec{"step": 10, "value": 3.5}, spec{"step": 20, "value": 2}}},
			map[int64]float64{-5: 4, 1: 4, 9: 4, 10: 3.5, 19: 3.5, 20: 2, 1e6: 2}},
		{"ThinkPrune", spec{"kind": "thinkprune"}, map[int64]float64{0: 4000, 179: 4000, 180: 3000, 359: 3000, 360: 2000, 9999: 2000}},
		{"ThinkPrune at another scale", spec{"kind": "thinkprune", "limits": []any{64, 48}, "stage_steps": 10, "start": 1}, map[int64]float64{1: 64, 10: 64, 11: 48, 50: 48}},
		{"SIRI cosine", spec{"kind": "siri"}, map[int64]float64{
			0: 16384, 80: 15184, 160: 12288, 320: 8192, 480: 12288, 640: 16384, 1600: 8192, 1920: 16384, // 12288 + 4096·cos(π/4) = 15184.3
		}},
		{"SIRI unrounded", spec{"kind": "siri", "floor": false}, map[int64]float64{80: 12288 + 4096/math.Sqrt2}},
		{"SIRI stair-cosine", spec{"kind": "siri", "form": "stair_cosine"}, map[int64]float64{
			0: 16384, 79: 16384, 80: 16384, 160: 12288, 120: 15184, 239: 8192, 240: 8192, 320: 8192, 399: 8192, 400: 8192, 480: 12288, 560: 16384, 639: 16384,
		}},
		{"SIRI stair", spec{"kind": "siri", "form": "stair"}, map[int64]float64{0: 16384, 159: 16384, 160: 8192, 479: 8192, 480: 16384, 640: 16384}},
		{"CANON variant 1 before its complement", spec{"kind": "canon"}, map[int64]float64{0: .02, 29: .6, 30: .6, 50: .3, 69: .000925, 70: .6}},
		{"CANON variant 1", spec{"kind": "canon", "complement": true}, map[int64]float64{0: .98, 50: .7}},
		{"CANON variant 2", spec{"kind": "canon", "max": 1, "min": .4}, map[int64]float64{29: 1, 50: .7}},
		{"CANON without warm-up", spec{"kind": "canon", "warmup": 0, "start": 1}, map[int64]float64{1: .6, 21: .3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustNew(t, tc.spec)
			got := map[int64]float64{}
			for step := range tc.want {
				got[step] = s.At(step)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewExplainsWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec any
		want []string
	}{
		{"a text", "cosine", []string{"got cosine (string); want a number, or a map with the key kind"}},
		{"not finite", math.Inf(1), []string{"+Inf is not a finite number"}},
		{"no kind", spec{"value": 1}, []string{"the key kind is missing or not a text; valid kinds are canon, constant"}},
		{"unknown kind", spec{"kind": "sine"}, []string{`unknown kind "sine"; valid ones are canon, constant, cosine, exponential, linear, siri, stages, thinkprune, warmup`}},
		{"unknown key", spec{"kind": "constant", "value": 1, "step": 2}, []string{`schedule constant: unknown key "step"; valid ones are value`}},
		{"missing", spec{"kind": "linear", "from": 1, "steps": 3}, []string{"schedule linear: to: missing; want a number (last value"}},
		{"fraction for steps", spec{"kind": "linear", "from": 1, "to": 2, "steps": 1.5}, []string{"steps: got 1.5 (float64); want a whole number >= 1"}},
		{"no steps", spec{"kind": "cosine", "from": 1, "to": 2, "steps": 0}, []string{"steps: got 0 (int); want a whole number >= 1"}},
		{"a text for a number", spec{"kind": "siri", "limit_max": "16k"}, []string{"limit_max: got 16k (string); want a number > 0"}},
		{"several at once", spec{"kind": "siri", "form": "saw", "floor": 1, "x": 2}, []string{"form: got saw (string); want cosine, stair_cosine, stair", "floor: got 1 (int); want true, false", `unknown key "x"`}},
		{"limits the wrong way round", spec{"kind": "siri", "limit_min": 20000}, []string{"limit_min: 20000 is above limit_max 16384"}},
		{"μ above 1", spec{"kind": "canon", "max": 1.2}, []string{"max: got 1.2 (float64); want a number >= 0 and <= 1"}},
		{"no stages", spec{"kind": "stages", "stages": []any{}}, []string{"want a list of {step, value} in rising order of step"}},
		{"stages out of order", spec{"kind": "stages", "stages": []any{spec{"step": 5, "value": 1}, spec{"step": 5, "value": 2}}}, []string{"stages[1]: step 5 does not come after 5"}},
		{"a stage with a typo", spec{"kind": "stages", "stages": []any{spec{"step": 5, "limit": 1}}}, []string{"stages[0]: got map[limit:1 step:5]; want {step: a whole number, value: a number}"}},
		{"no limits", spec{"kind": "thinkprune", "limits": []any{}}, []string{"limits: got [] ([]interface {}); want a list of numbers > 0"}},
		{"a negative limit", spec{"kind": "thinkprune", "limits": []any{10, -1}}, []string{"limits[1]: got -1 (int); want a number > 0"}},
		{"inside a warm-up", spec{"kind": "warmup", "steps": 2, "then": spec{"kind": "linear"}}, []string{"schedule warmup: then: schedule linear: from: missing"}},
		{"an exponential through 0", spec{"kind": "exponential", "from": 1, "to": 0, "steps": 2}, []string{"to: got 0 (int); want a number >= 1e-100"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(tc.spec)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
		})
	}
}

func TestEveryKindIsDescribed(t *testing.T) {
	var kinds []string
	for _, d := range Describe() {
		kinds = append(kinds, d.Kind)
		if d.Title == "" || len(d.Params) == 0 {
			t.Errorf("%s: %+v", d.Kind, d)
		}
		for _, p := range d.Params {
			if p.Doc == "" || p.Allowed == "" {
				t.Errorf("%s: parameter %+v", d.Kind, p)
			}
		}
	}
	if diff := cmp.Diff(Kinds(), kinds); diff != "" {
		t.Error(diff)
	}
}

// drawSpec draws a valid spec of any kind.
func drawSpec(t *rapid.T) (any, float64, float64) {
	low := rapid.Float64Range(.001, 1).Draw(t, "low")
	high := low + rapid.Float64Range(0, 1-low).Draw(t, "width")
	from, to := low, high
	if rapid.Bool().Draw(t, "falling") {
		from, to = high, low
	}
	steps := rapid.IntRange(1, 1000).Draw(t, "steps")
	start := rapid.IntRange(-10, 10).Draw(t, "start")
	switch kind := rapid.SampledFrom(Kinds()).Draw(t, "kind"); kind {
	case "constant":
		return spec{"kind": kind, "value": low}, low, high
	case "warmup":
		return spec{"kind": kind, "steps": steps, "start": start, "then": high}, 0, high
	case "stages":
		return spec{"kind": kind, "stages": []any{spec{"step": start, "value": from}, spec{"step": start + steps, "value": to}}}, low, high
	case "thinkprune":
		return spec{"kind": kind, "limits": []any{from, to}, "stage_steps": steps, "start": start}, low, high
	case "siri":
		form := rapid.SampledFrom([]string{"cosine", "stair", "stair_cosine"}).Draw(t, "form")
		return spec{"kind": kind, "form": form, "limit_min": low, "limit_max": high, "period": steps, "start": start, "floor": false}, low, high
	case "canon":
		return spec{"kind": kind, "min": low, "max": high, "period": steps, "start": start}, 0, high
	default:
		return spec{"kind": kind, "from": from, "to": to, "steps": steps, "start": start}, low, high
	}
}

func TestASchedulesValueStaysWithinItsRangeAtEveryStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, low, high := drawSpec(t)
		s, err := New(v)
		if err != nil {
			t.Fatal(err)
		}
		step := rapid.OneOf(rapid.Int64Range(-20, 3000), rapid.Int64Range(-1<<50, 1<<50)).Draw(t, "step")
		got := s.At(step)
		if !(got >= low-1e-12 && got <= high+1e-12) {
			t.Fatalf("%v at step %d is %v, outside [%v, %v]", v, step, got, low, high)
		}
		if again := s.At(step); again != got {
			t.Fatalf("%v at step %d: %v, then %v", v, step, got, again)
		}
	})
}

func TestRampsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"linear", "cosine", "exponential"}).Draw(t, "kind")
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		s, err := New(spec{"kind": kind, "from": .1, "to": 7, "steps": steps})
		if err != nil {
			t.Fatal(err)
		}
		var values []float64
		for step := range int64(steps + 2) {
			values = append(values, s.At(step))
		}
		if !slices.IsSorted(values) || values[0] != .1 || values[steps] != 7 {
			t.Fatal(values)
		}
	})
}

func TestSIRIRepeatsItselfAndIsSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		period := rapid.Int64Range(1, 1000).Draw(t, "period")
		form := rapid.SampledFrom([]string{"cosine", "stair_cosine"}).Draw(t, "form")
		s, err := New(spec{"kind": "siri", "form": form, "period": period, "floor": false})
		if err != nil {
			t.Fatal(err)
		}
		step := rapid.Int64Range(0, period).Draw(t, "step")
		for _, other := range []int64{step + 3*period, period - step} {
			if math.Abs(s.At(step)-s.At(other)) > 1e-6 {
				t.Fatalf("%v at %d, %v at %d", s.At(step), step, s.At(other), other)
			}
		}
	})
}

func TestFloorForgivesRounding(t *testing.T) {
	for value, want := range map[float64]int{3: 3, 2.9999999999: 3, 2.99: 2, -.5: -1} {
		if got := Floor(value); got != want {
			t.Errorf("Floor(%v) = %d, want %d", value, got, want)
		}
	}
}

func TestControllersAnswerToWhatTheyObserve(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec spec
		seen []Observation
		want []float64
	}{
		{"adaptive KL above its target", spec{"kind": "adaptive_kl", "initial": 1}, []Observation{{KL: .12, Traces: 512}}, []float64{1, 1.010240}},
		{"adaptive KL below its target", spec{"kind": "adaptive_kl", "initial": 1}, []Observation{{KL: .01, Traces: 512}}, []float64{1, .989760}},
		{"A-DLP", spec{"kind": "multiplier"}, []Observation{{Accuracy: .72}, {Accuracy: .12}, {Accuracy: 0}}, []float64{.001, .0011, .0006, 0}},
		{"CANON's annealed μ", spec{"kind": "accuracy"}, []Observation{{Accuracy: .3}, {Accuracy: .5}}, []float64{0, .3, .5}},
		{"CANON's reverse", spec{"kind": "accuracy", "complement": true, "initial": 1}, []Observation{{Accuracy: .3}}, []float64{1, .7}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := NewController(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			got := []float64{c.Value()}
			for _, o := range tc.seen {
				c.Observe(o)
				got = append(got, c.Value())
				// A controller restored from a checkpoint goes on as the old one would have.
				state, err := c.State()
				if err != nil {
					t.Fatal(err)
				}
				if c, err = NewController(tc.spec); err != nil {
					t.Fatal(err)
				}
				if err := c.Restore(state); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestControllersRefuseWhatTheyCannotUse(t *testing.T) {
	if _, err := NewController(spec{"kind": "pid"}); err == nil || err.Error() != `controller: unknown kind "pid"; valid ones are accuracy, adaptive_kl, multiplier` {
		t.Error(err)
	}
	if _, err := NewController(spec{"kind": "multiplier", "eta": -1, "x": 1}); err == nil || !strings.Contains(err.Error(), "eta: got -1 (int); want a number >= 0") || !strings.Contains(err.Error(), `unknown key "x"`) {
		t.Error(err)
	}
	c, err := NewController(spec{"kind": "multiplier"})
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"", "{}", "[1]"} {
		if err := c.Restore([]byte(state)); err == nil {
			t.Errorf("restored from %q", state)
		}
	}
}
