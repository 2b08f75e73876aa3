package score

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/rewards"
)

func TestOptionsReadsCommandLineSettings(t *testing.T) {
	got, err := Options("released_code", []string{"method.limit=4000", " method.limits = [4000, 2000]", "method.filter=false", "advantage.kind=rloo", "advantage.eps=1e-4", "method.form=hybrid", "method.limit=3000"})
	if err != nil {
		t.Fatal(err)
	}
	want := rewards.Options{
		Profile:   "released_code",
		Params:    map[string]any{"limit": 3000, "limits": []any{4000, 2000}, "filter": false, "form": "hybrid"},
		Advantage: map[string]any{"kind": "rloo", "eps": 1e-4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"limit=3", "method.limit", "method.=3", "loss.kind=ppo", "method.limits=[1", ""} {
		if _, err := Options("", []string{bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
