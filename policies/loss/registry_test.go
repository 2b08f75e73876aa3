package loss

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestEveryLossIsDescribedAndBuilds(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Methods() {
		if seen[d.Name] {
			t.Errorf("%s is listed twice", d.Name)
		}
		seen[d.Name] = true
		for what, text := range map[string]string{"title": d.Title, "formula": d.Formula, "source": d.Source, "tag": string(d.Tag), "scope": string(d.Scope)} {
			if text == "" {
				t.Errorf("%s has no %s", d.Name, what)
			}
		}
		for _, p := range d.Params {
			if p.Doc == "" || p.Allowed == "" || p.Default == nil || p.Value != p.Default {
				t.Errorf("%s: parameter %+v is incomplete", d.Name, p)
			}
		}
		// The listed defaults, given back, are accepted.
		given := map[string]any{}
		for _, p := range d.Params {
			given[p.Name] = p.Default
		}
		if _, _, err := New(d.Name, given); err != nil {
			t.Errorf("%s refuses its own defaults: %v", d.Name, err)
		}
	}
}

func TestEverySettingBelongsToALoss(t *testing.T) {
	used := map[string]bool{}
	for i := range methods {
		for _, key := range methods[i].keys() {
			if _, ok := fields[key]; !ok {
				t.Errorf("%s names a setting %s that does not exist", methods[i].name, key)
			}
			used[key] = true
		}
		for key := range methods[i].defaults {
			if !slices.Contains(methods[i].keys(), key) {
				t.Errorf("%s has a default for %s, which it does not take", methods[i].name, key)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !used[key] {
			t.Errorf("no loss takes %s", key)
		}
	}
}

func TestNewExplainsWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name   string
		loss   string
		params map[string]any
		want   []string
	}{
		{"unknown loss", "ppoo", nil, []string{`unknown loss "ppoo"; valid ones are ppo, decoupled_ppo, gspo`}},
		{"unknown parameter", "sft", map[string]any{"clip": .2}, []string{`loss sft: unknown parameter "clip"; valid ones are positive_only, kl_coef`}},
		{"a text for a number", "ppo", map[string]any{"clip_low": "0.2"}, []string{`loss ppo: parameter clip_low: got 0.2 (string); want a number >= 0 and <= 1`}},
		{"out of range", "ppo", map[string]any{"clip_low": 1.5}, []string{`loss ppo: parameter clip_low: got 1.5 (float64); want a number >= 0 and <= 1`}},
		{"not finite", "ppo", map[string]any{"clip_high": math.NaN()}, []string{`parameter clip_high: got NaN`}},
		{"a fraction for a whole number", "clip_cov", map[string]any{"seed": 1.5}, []string{`parameter seed: got 1.5 (float64); want a whole number >= 0`}},
		{"an unknown choice", "ppo", map[string]any{"kl_kind": "k4"}, []string{`parameter kl_kind: got k4 (string); want k1, k2, k3`}},
		{"a number for a switch", "gspo", map[string]any{"length_scale": 1}, []string{`parameter length_scale: got 1 (int); want true, false`}},
		{"all violations at once", "ppo", map[string]any{"kl_kind": "k4", "clip_low": -1, "x": 1}, []string{"kl_kind", "clip_low", `"x"`}},
		{"a correction against the behavior policy", "ppo", map[string]any{"correction": "tis"}, []string{"set denominator to proximal"}},
		{"an empty band", "decoupled_ppo", map[string]any{"correction": "mis", "correction_floor": 3}, []string{"correction_floor 3 is above correction_cap 2"}},
		{"icepop on sequences", "decoupled_ppo", map[string]any{"correction": "icepop", "correction_level": "sequence"}, []string{"icepop works on tokens; use mis"}},
		{"nothing to normalise", "ppo", map[string]any{"correction_normalize": true}, []string{"nothing to normalise"}},
		{"a dual clip that bites at ratio 1", "ppo", map[string]any{"dual_clip": .5}, []string{"dual_clip is 0.5; it must be above 1, or 0"}},
		{"rejection bounds the wrong way round", "ppo", map[string]any{"reject": "token", "reject_low": 3}, []string{"reject_low 3 is above reject_high 2"}},
		{"covariance bounds the wrong way round", "clip_cov", map[string]any{"cov_low": 5}, []string{"cov_low 5 must be below cov_high 5"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := New(tc.loss, tc.params)
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

func TestScopeFollowsTheSettings(t *testing.T) {
	for _, tc := range []struct {
		loss   string
		params map[string]any
		want   Scope
	}{
		{"ppo", nil, ScopeToken},
		{"ppo", map[string]any{"reject": "token"}, ScopeToken},
		{"ppo", map[string]any{"reject": "seq_max"}, ScopeSequence},
		{"ppo", map[string]any{"off_policy_mask": .5}, ScopeSequence},
		{"decoupled_ppo", map[string]any{"correction_level": "geometric"}, ScopeSequence},
		{"decoupled_ppo", map[string]any{"correction_normalize": true}, ScopeBatch},
		{"gspo", nil, ScopeSequence},
		{"dpo", nil, ScopeGroup},
		{"kl_cov", nil, ScopeBatch},
	} {
		fn, d, err := New(tc.loss, tc.params)
		if err != nil {
			t.Fatal(err)
		}
		if d.Scope != tc.want || Separable(fn) != (tc.want == ScopeToken || tc.want == ScopeSequence) {
			t.Errorf("%s %v: scope %s, separable %v; want %s", tc.loss, tc.params, d.Scope, Separable(fn), tc.want)
		}
	}
}

// foreign is a Fn that says nothing about itself.
type foreign struct{}

func (foreign) Eval(*Batch, *Result) error { return nil }

func TestALossThatDoesNotSayIsNotSplit(t *testing.T) {
	if Separable(foreign{}) {
		t.Error("taken to be separable")
	}
}

func TestDescriptionNamesTheColumnsThatTheSettingsNeed(t *testing.T) {
	for _, tc := range []struct {
		loss   string
		params map[string]any
		want   string
	}{
		{"ppo", nil, "advantage behavior"},
		{"ppo", map[string]any{"kl_coef": 1, "entropy_coef": .1}, "advantage behavior reference entropy"},
		{"ppo", map[string]any{"kl_coef": 1, "kl_against": "proximal"}, "advantage behavior proximal"},
		{"ppo", map[string]any{"denominator": "proximal"}, "advantage proximal"},
		{"decoupled_ppo", nil, "advantage behavior proximal"},
		{"reinforce", nil, "advantage"},
		{"sft", nil, ""},
		{"sft", map[string]any{"positive_only": true}, "advantage"},
		{"dpo", nil, "advantage reference group"},
	} {
		_, d, err := New(tc.loss, tc.params)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(d.Needs, " "); got != tc.want {
			t.Errorf("%s %v needs %q, want %q", tc.loss, tc.params, got, tc.want)
		}
	}
}

func TestEvalRefusesABatchItCannotUse(t *testing.T) {
	nan, infinity := float32(math.NaN()), float32(math.Inf(1))
	for _, tc := range []struct {
		name   string
		loss   string
		params map[string]any
		break_ func(b *Batch)
		want   string
	}{
		{"missing reference", "ppo", map[string]any{"kl_coef": 1}, func(b *Batch) { b.Reference = nil },
			"loss ppo: batch has no Reference, which these settings need (log-probabilities of the reference policy)"},
		{"wrong length", "ppo", nil, func(b *Batch) { b.Advantage = b.Advantage[1:] }, "loss ppo: batch has 3 entries of Advantage for 4 tokens"},
		{"NaN", "ppo", nil, func(b *Batch) { b.LogProbs[3] = nan }, "loss ppo: LogProbs of sequence 1, token 1 is NaN; it must be finite"},
		{"infinity", "ppo", nil, func(b *Batch) { b.Behavior[0] = -infinity }, "loss ppo: Behavior of sequence 0, token 0 is -Inf; it must be finite"},
		{"infinite weight", "ppo", nil, func(b *Batch) { b.Weight[2] = infinity }, "loss ppo: Weight of sequence 1, token 0 is +Inf; it must be finite"},
		{"borders", "ppo", nil, func(b *Batch) { b.Offsets[2] = 3 }, "loss ppo: offsets end at 3 but there are 4 tokens"},
		{"no groups", "dpo", nil, func(b *Batch) { b.Group = nil }, "loss dpo: batch has 0 group indices for 2 sequences"},
		{"half a pair", "dpo", nil, func(b *Batch) { b.Group[1] = 9 }, "loss dpo: group 4 has only one trained sequence (0); a pair needs a chosen and a rejected one"},
		{"two winners", "dpo", nil, func(b *Batch) { b.Advantage[2], b.Advantage[3] = 1, 1 }, "loss dpo: group 4: sequences 0 and 1 have advantages of the same sign; one must be chosen (> 0), one rejected (< 0)"},
		{"a mixed sequence", "dpo", nil, func(b *Batch) { b.Advantage[1] = -1 }, "loss dpo: sequence 0: advantages must all be positive (chosen) or all negative (rejected)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := preference(1, -1, 1)
			b.Behavior = slices.Clone(b.Reference)
			tc.break_(b)
			var out Result
			err := mustNew(t, tc.loss, tc.params).Eval(b, &out)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}
