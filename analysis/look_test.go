package analysis

import (
	"os"
	"testing"
)

// TestReportsForLookingAt writes reports where PITH_REPORT_DIR says, for a person to judge.
func TestReportsForLookingAt(t *testing.T) {
	dir := os.Getenv("PITH_REPORT_DIR")
	if dir == "" {
		t.Skip("set PITH_REPORT_DIR to a folder to write reports there")
	}
	var many []string
	for seed := range uint64(3) {
		for _, method := range []string{"grpo", "kimi_length", "dler"} {
			f := fixture{name: method, method: method, seed: seed, lost: method == "dler"}
			many = append(many, f.write(t, t.TempDir()))
		}
	}
	r, err := Summarize(many)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir+"/many", r); err != nil {
		t.Fatal(err)
	}
	c, err := r.Compare()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c.Markdown())
	for name, f := range map[string]fixture{
		"plain": {}, "tools": {name: "tools", method: "otc_grpo", tools: true, prices: true}, "anytime": {name: "anytime", method: "brpo", budgets: []int32{4, 8, 16, 32, 64}},
		"lost": {name: "lost", lost: true, levels: 8, problems: 400, steps: 40},
	} {
		run := f.write(t, t.TempDir())
		r, err := Summarize([]string{run})
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(dir+"/"+name, r); err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Sentences() {
			t.Log(s)
		}
	}
}
