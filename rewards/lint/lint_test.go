package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/rewards"
	"pith/rewards/params"
)

func check(t *testing.T, name string, o rewards.Options) *Report {
	t.Helper()
	m, err := rewards.New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Check(m, GridFor(rewards.Setting{GroupSize: 12, MaxTokens: 200}))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The findings of every method with its default parameters, as data for review. UPDATE_GOLDEN=1
// rewrites the file.
func TestFindingsOfEveryMethod(t *testing.T) {
	var b strings.Builder
	for _, d := range rewards.Methods() {
		for _, profile := range []string{params.Paper, params.ReleasedCode} {
			r := check(t, d.Name, rewards.Options{Profile: profile})
			fmt.Fprintf(&b, "%s, %s: %d groups, %d inversions, %d warnings\n", d.Name, profile, r.Groups, len(r.Inversions()), len(r.Warnings()))
			for i := range r.Findings {
				fmt.Fprintf(&b, "\t%s\n", &r.Findings[i])
			}
		}
	}
	path := filepath.Join("testdata", "findings.txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFindingsAgreeWithWhatMethodsPromise(t *testing.T) {
	for _, d := range rewards.Methods() {
		for _, f := range check(t, d.Name, rewards.Options{}).Findings {
			switch {
			case f.In != "reward":
			case f.Kind.Inversion() && d.Promises.Ordered:
				t.Errorf("%s promises order, but %s", d.Name, &f)
			case !f.Kind.Inversion() && !d.Promises.PressesWrong && d.Name != "gtalign": // words and reasoning vary with the length
				t.Errorf("%s says that a wrong answer's length does not count, but %s", d.Name, &f)
			}
		}
	}
}

func TestTheNaivePenaltyIsRefusedUnlessAllowedByName(t *testing.T) {
	r := check(t, "naive_length", rewards.Options{})
	if len(r.Inversions()) != 2 || len(r.Warnings()) != 2 {
		t.Fatalf("got %+v", r.Findings)
	}
	worst := r.Inversions()[0]
	if worst.In != "reward" || worst.Low.Tokens != 200 || worst.High.Tokens != 1 || !worst.Low.Right || worst.High.Right {
		t.Errorf("worst case %+v", worst)
	}
	err := r.Err([]string{"kimi_length"})
	if err == nil || !strings.Contains(err.Error(), "right at 200 tokens gets -19, wrong at 1 tokens gets -0.1") || !strings.Contains(err.Error(), "rewards.allow_inversions") {
		t.Errorf("got %v", err)
	}
	if err := r.Err([]string{"naive_length"}); err != nil {
		t.Errorf("allowed, but %v", err)
	}
}

func TestWhetherAMethodInvertsDependsOnItsParameters(t *testing.T) {
	for _, c := range []struct {
		name     string
		method   string
		o        rewards.Options
		inverted bool
	}{
		{"kimi, weight 1", "kimi_length", rewards.Options{}, false},
		{"kimi, weight 3", "kimi_length", rewards.Options{Params: map[string]any{"weight": 3.0}}, true},
		{"laser, penalty", "laser", rewards.Options{Params: map[string]any{"form": "penalty", "target": 50}}, false},
		{"laser, large penalty", "laser", rewards.Options{Params: map[string]any{"form": "penalty", "target": 50, "alpha": 2.0}}, true},
		{"naive, price below the longest response", "naive_length", rewards.Options{Params: map[string]any{"tokens_per_point": 1000.0}}, false},
		{"dapo, near its limit", "dapo", rewards.Options{Params: map[string]any{"limit": 150, "buffer": 100}}, false},
		{"dapo, wrong answers cost nothing", "dapo", rewards.Options{Params: map[string]any{"limit": 150, "buffer": 100, "wrong_score": 0.5}}, true},
		{"an estimator with a critic", "grpo", rewards.Options{Advantage: map[string]any{"kind": "gae"}}, false},
		{"CANON, success of the long half discounted", "canon_length", rewards.Options{Params: map[string]any{"mu": 1.0, "alpha": 0.1}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := check(t, c.method, c.o)
			if got := len(r.Inversions()) > 0; got != c.inverted {
				t.Errorf("inverted %v, want %v: %v", got, c.inverted, r.Findings)
			}
		})
	}
}

func TestCheckChangesNoState(t *testing.T) {
	m, err := rewards.New("otc_grpo", rewards.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := m.State()
	if _, err := Check(m, GridFor(rewards.Setting{GroupSize: 4, MaxTokens: 50})); err != nil {
		t.Fatal(err)
	}
	after, _ := m.State()
	if string(before) != string(after) {
		t.Errorf("state went from %s to %s", before, after)
	}
}

func TestGridsFollowTheSetting(t *testing.T) {
	g := GridFor(rewards.Setting{GroupSize: 4, MaxTokens: 64})
	if want := []int{1, 2, 4, 8, 16, 32, 64}; !slices.Equal(g.Lengths, want) {
		t.Errorf("lengths %v, want %v", g.Lengths, want)
	}
	if want := []int{16, 32, 48, 64}; !slices.Equal(g.Budgets, want) {
		t.Errorf("budgets %v, want %v", g.Budgets, want)
	}
	tiny := GridFor(rewards.Setting{GroupSize: 2, MaxTokens: 1})
	if err := tiny.Validate(); err != nil || !slices.Equal(tiny.Lengths, []int{1}) {
		t.Errorf("a limit of one token: %+v, %v", tiny, err)
	}
	unknown := GridFor(rewards.Setting{})
	if err := unknown.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Grid{{}, {GroupSize: 4}, {GroupSize: 4, Lengths: []int{3, 1}}, {GroupSize: 4, Lengths: []int{1}}} {
		if bad.Validate() == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
}
