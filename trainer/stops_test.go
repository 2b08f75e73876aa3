package trainer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/datasets/families"
	"pith/policies/builtin"
)

// A file of problems names no token that ends an answer; the model does. Without one every answer
// would go on to the limit.
func TestAnswersEndAtTheFamilysTokenOrElseAtTheModels(t *testing.T) {
	w, text, err := builtin.Open("builtin:clock")
	if err != nil {
		t.Fatal(err)
	}
	w.Config.EOS = 3
	own, ok := text.ID("<eos>")
	for name, tc := range map[string]struct {
		markers families.Markers
		want    []int32
	}{
		"a generated family": {families.Markers{EOS: "<eos>"}, []int32{own}},
		"a file":             {families.Markers{}, []int32{3}},
	} {
		p := &parts{family: &families.Family{Markers: tc.markers}, tokenizer: text, weights: w}
		if diff := cmp.Diff(tc.want, p.stops()); diff != "" || !ok {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
