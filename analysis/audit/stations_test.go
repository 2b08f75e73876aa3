package audit

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestDistributionsAtEachStation(t *testing.T) {
	var a Audit
	for _, x := range []struct {
		length int
		last   Station
	}{{10, Trained}, {20, Trained}, {30, Kept}, {40, Graded}, {100, Generated}} {
		a.Add(x.length, x.last)
	}
	want := []Distribution{
		{Station: "generated", Count: 5, Mean: 40, Median: 30, P90: 100},
		{Station: "graded", Count: 4, Mean: 25, Median: 20, P90: 40, Moved: -.375},
		{Station: "kept", Count: 3, Mean: 20, Median: 20, P90: 30, Moved: -.2},
		{Station: "trained", Count: 2, Mean: 15, Median: 10, P90: 20, Moved: -.25},
	}
	if diff := cmp.Diff(want, a.Distributions(), cmpopts.EquateApprox(0, 1e-12), cmpopts.IgnoreFields(Distribution{}, "Chance")); diff != "" {
		t.Error(diff)
	}
	// Four of {10, 20, 30, 40, 100}: σ² = 1000, 2.5758 · √(1000/4 · 1/4) / 40.
	if got, want := a.Distributions()[1].Chance, 2.5758293035489004*7.905694150420948/40; !cmp.Equal(got, want, cmpopts.EquateApprox(0, 1e-9)) {
		t.Errorf("chance: got %g, want %g", got, want)
	}
	if got := (&Audit{}).Distributions(); got != nil {
		t.Errorf("an empty audit: got %v", got)
	}
}

func TestAStationThatDropsTheLongIsNamed(t *testing.T) {
	var a Audit
	random := rand.New(rand.NewPCG(3, 4))
	for range 4000 {
		length := 20 + random.IntN(200)
		last := Trained
		if length > 180 {
			last = Graded
		}
		a.Add(length, last)
	}
	warnings := a.Warnings(nil)
	if len(warnings) != 1 || warnings[0].Station != "kept" || warnings[0].Explained != "" || !strings.Contains(warnings[0].Sentence, "no reward explains") {
		t.Errorf("got %+v, want one unexplained warning at kept", warnings)
	}
	explained := a.Warnings(func(s Station) string {
		if s == Kept {
			return "the method drops long responses"
		}
		return ""
	})
	if len(explained) != 1 || !strings.Contains(explained[0].Sentence, "as is meant: the method drops long responses") {
		t.Errorf("got %+v, want the explanation", explained)
	}
}

// A fair pipeline is accused about as often as the test says: 1 % at each of three stations.
func TestDroppingAtRandomIsRarelyNamed(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	accused := 0
	const runs = 200
	for range runs {
		var a Audit
		for range 300 {
			a.Add(int(50*random.ExpFloat64()), Station(random.IntN(int(stations))))
		}
		accused += len(a.Warnings(nil))
	}
	if accused > runs*3*3/100 {
		t.Errorf("%d warnings in %d fair pipelines", accused, runs)
	}
}

func TestMergedAuditsAreOneAudit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole Audit
		parts := make([]Audit, 3)
		for range rapid.IntRange(1, 50).Draw(t, "responses") {
			length, last := rapid.IntRange(0, 300).Draw(t, "length"), Station(rapid.IntRange(0, int(stations)-1).Draw(t, "last"))
			whole.Add(length, last)
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Add(length, last)
		}
		var merged Audit
		for i := range parts {
			merged.Merge(&parts[i])
		}
		if diff := cmp.Diff(whole.Distributions(), merged.Distributions()); diff != "" {
			t.Fatal(diff)
		}
	})
}
