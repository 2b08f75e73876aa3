package grade

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDifferentialAgainstMathVerify lists every case of testdata/cases.txt on which Math-Verify
// decides otherwise. It needs PITH_MATH_VERIFY_PYTHON, a Python that has the package math-verify
// (docs/grader.md says how), and fails only when agreement falls below what the argued
// disagreements explain.
func TestDifferentialAgainstMathVerify(t *testing.T) {
	python := os.Getenv("PITH_MATH_VERIFY_PYTHON")
	if python == "" {
		t.Skip("set PITH_MATH_VERIFY_PYTHON to a Python with the package math-verify to run this comparison")
	}
	var cases []gradedCase
	var in bytes.Buffer
	for _, c := range readCases(t) {
		answer, boxed := strings.CutPrefix(c.response, "\\boxed{")
		if !boxed || c.want == NoScore {
			continue
		}
		cases = append(cases, c)
		if err := json.NewEncoder(&in).Encode(map[string]string{"gold": "$" + c.gold + "$", "prediction": "$" + strings.TrimSuffix(answer, "}") + "$"}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/mathverify.py")
	cmd.Stdin = &in
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run Math-Verify: %v", err)
	}
	verdicts := strings.Fields(string(out))
	if len(verdicts) != len(cases) {
		t.Fatalf("got %d verdicts for %d pairs", len(verdicts), len(cases))
	}
	agree := 0
	for i, c := range cases {
		if (verdicts[i] == "true") == (c.want == Right) {
			agree++
			continue
		}
		t.Logf("%s: gold %q, answer %q: Math-Verify %s, ours %s", c.group, c.gold, c.response, verdicts[i], c.want)
	}
	t.Logf("agreement %d of %d", agree, len(cases))
	if float64(agree) < 0.88*float64(len(cases)) {
		t.Errorf("agreement %d of %d, want at least 88 %%", agree, len(cases))
	}
}
