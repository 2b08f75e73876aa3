package rewards_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/policies/advantage"
	"pith/policies/loss"
	"pith/rewards"
)

// contract is the list of methods that other programs rely on.
var contract = []string{
	"grpo", "dr_grpo", "rloo", "reinforce_pp", "dapo", "dler", "da_dler", "laser", "laser_d", "laser_de", "siri", "ser", "dr_saf",
	"canon_length", "canon_entropy", "l1_exact", "l1_max", "kimi_length", "arora", "o1_pruner", "thinkprune", "shorter_better",
	"gfpo_shortest", "gfpo_efficient", "gfpo_adaptive", "dot", "acoer", "ddca", "gr3", "qglas", "ceeh", "a_dlp", "grpo_lead", "alp",
	"grpo_lambda", "drpo", "cosine_length", "prime_linear", "brpo", "adaptthink", "otc_ppo", "otc_grpo", "apo", "mind", "aspo",
	"optima", "gtalign", "webleaper",
}

func TestTheTableHoldsTheContract(t *testing.T) {
	names := rewards.Names()
	for _, name := range contract {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", name)
		}
	}
	slices.Sort(names)
	if doubled := len(names) - len(slices.Compact(names)); doubled > 0 {
		t.Errorf("%d names are registered twice", doubled)
	}
}

func TestEveryMethodIsDescribed(t *testing.T) {
	families := []string{"baseline", "length", "budget", "difficulty", "mode", "tool", "objective"}
	for _, d := range rewards.Methods() {
		for field, text := range map[string]string{"title": d.Title, "formula": d.Formula, "source": d.Source, "advantage": d.Advantage, "scope": d.Scope, "recommended strategy": d.Recommended.Strategy, "recommended loss": d.Recommended.Loss} {
			if text == "" {
				t.Errorf("%s has no %s", d.Name, field)
			}
		}
		if !slices.Contains(families, d.Family) {
			t.Errorf("%s belongs to the unknown family %q", d.Name, d.Family)
		}
		if len(d.Terms) == 0 {
			t.Errorf("%s has no terms", d.Name)
		}
		if _, err := loss.ParseAggregation(d.Recommended.Aggregation); err != nil {
			t.Errorf("%s recommends an aggregation that there is not: %v", d.Name, err)
		}
		if !slices.Contains(loss.Names(), d.Recommended.Loss) {
			t.Errorf("%s recommends the loss %q, which there is not", d.Name, d.Recommended.Loss)
		}
		for _, p := range d.Params {
			if p.Doc == "" || p.Default == "" {
				t.Errorf("%s.%s lacks documentation or default", d.Name, p.Key)
			}
		}
		text := rewards.Describe(d.Name)
		if !d.Verified.Firm() != strings.Contains(text, "FORMULA") {
			t.Errorf("%s is tagged %s, but its description says otherwise", d.Name, d.Verified)
		}
		for i, line := range strings.Split(text, "\n") {
			if len([]rune(line)) > 101 {
				t.Errorf("%s, line %d is too long: %s", d.Name, i+1, line)
			}
		}
	}
	for _, name := range []string{"ser", "grpo_lambda", "drpo", "mind", "naive_length"} {
		if d, _ := rewards.Lookup(name); d.Verified != rewards.Ours {
			t.Errorf("%s has no complete published formula, but is tagged %s", name, d.Verified)
		}
	}
	if rewards.Describe("nothing") != "" {
		t.Error("an unknown method is described")
	}
}

// UPDATE_GOLDEN=1 rewrites the files.
func TestDescriptionsForTheTerminal(t *testing.T) {
	for _, name := range []string{"dler", "laser_de", "ser"} {
		path := filepath.Join("testdata", "describe", name+".txt")
		got := rewards.Describe(name)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestNewRefusesWithEveryViolationAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		o      rewards.Options
		want   []string
	}{
		{"unknown method", "dlre", rewards.Options{}, []string{`method "dlre" is unknown; known: grpo, dr_grpo`}},
		{"unknown profile", "dler", rewards.Options{Profile: "code"}, []string{`profile "code" is unknown; want paper or released_code`}},
		{"several", "dler", rewards.Options{Params: map[string]any{"limit": 0, "limits": 1, "filter": "yes"}, Advantage: map[string]any{"std": "both", "x": 1}},
			[]string{"method.limits: unknown; valid here: limit, filter", "method.limit: want at least 1", `method.filter: want true or false, got "yes"`, "advantage.std: want one of none, sample, population", "advantage.x: unknown"}},
		{"parameters where there are none", "grpo", rewards.Options{Params: map[string]any{"alpha": 1}}, []string{"method.alpha: unknown; valid here: no parameter at all"}},
		{"unknown estimator", "grpo", rewards.Options{Advantage: map[string]any{"kind": "gpro"}}, []string{"advantage.kind: gpro is unknown; known: grpo, dr_grpo"}},
		{"an option of another estimator", "grpo", rewards.Options{Advantage: map[string]any{"kind": "rloo", "std": "sample"}}, []string{"advantage.std: unknown; valid here: singleton"}},
		{"an estimator without its scores", "grpo", rewards.Options{Advantage: map[string]any{"kind": "brpo"}}, []string{"advantage.kind: brpo needs scores at budgets"}},
		{"weights for other terms", "laser", rewards.Options{Advantage: map[string]any{"kind": "gdpo", "weights": []any{1}}}, []string{"advantage.weights: want one for each of the terms correctness, length, got 1"}},
		{"limits that do not match thresholds", "da_dler", rewards.Options{Params: map[string]any{"limits": []any{1000}}}, []string{"method.limits: want one more than thresholds, got 1 for 1"}},
		{"limits the wrong way round", "siri", rewards.Options{Params: map[string]any{"limit_min": 20000}}, []string{"method.limit_min: want at most limit_max (16384), got 20000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := rewards.New(c.method, c.o)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message %q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("message has several lines: %q", err)
			}
		})
	}
}

// Every estimator runs under every method that can feed it, and gives finite values.
func TestEstimatorsCanBeSwapped(t *testing.T) {
	batch := typicalBatch(2, 6)
	for i := range batch {
		for j := range batch[i].Samples {
			s := &batch[i].Samples[j]
			s.Tokens = 3 + j
			s.Values = make([]float64, s.Tokens)
		}
	}
	for _, name := range rewards.Names() {
		for _, kind := range advantage.Kinds() {
			m, err := rewards.New(name, rewards.Options{Advantage: map[string]any{"kind": kind.Name}})
			if err != nil {
				alongByItself := slices.Contains([]string{"brpo", "dot", "aspo", "ddca", "grpo_lead", "qglas"}, name)
				if kind.Name != "brpo" && (kind.Name != "turn" || !alongByItself) {
					t.Errorf("%s with %s: %v", name, kind.Name, err)
				}
				continue
			}
			if _, err := m.Score(batch); err != nil {
				t.Errorf("%s with %s: %v", name, kind.Name, err)
			}
			if kind.Scope == advantage.ScopeBatch && !m.Batched() {
				t.Errorf("%s with %s does not say that it needs whole batches", name, kind.Name)
			}
		}
	}
}

func TestAnExcludedGroupIsRewardedAndLeftOut(t *testing.T) {
	m, err := rewards.New("dler", rewards.Options{})
	if err != nil {
		t.Fatal(err)
	}
	batch := typicalBatch(3, 6)
	alone := mustScore(t, m, batch[:1])
	batch[1].Excluded, batch[2].Excluded = rewards.ReasonSampling+"enough", rewards.ReasonSampling+"enough"
	got := mustScore(t, m, batch)
	if diff := cmp.Diff(alone[0], got[0]); diff != "" {
		t.Errorf("an excluded group took part in the batch's statistics (-alone +got):\n%s", diff)
	}
	for _, r := range got[1] {
		if !r.Dropped || r.Reason != "dynamic sampling: enough" || r.Advantage != 0 || len(r.Terms) != 2 {
			t.Errorf("excluded, but %+v", r)
		}
	}
}
