// Package htmlcheck holds pages against an independent HTML validator (html-validate, its rules of
// the standard) in tests. The validator is a Node package that .ci/html-validator.sh installs; where
// there is none a test is skipped and says why.
package htmlcheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Variable names the folder that the validator was installed in.
const Variable = "PITH_HTML_VALIDATOR"

// Valid fails the test unless the page is valid HTML.
func Valid(t testing.TB, page []byte) {
	t.Helper()
	if said, ok := validate(t, page); !ok {
		t.Errorf("the page is not valid HTML:\n%s", said)
	}
}

// validate returns what the validator says; it skips the test where there is none.
func validate(t testing.TB, page []byte) (said string, ok bool) {
	t.Helper()
	dir := os.Getenv(Variable)
	if dir == "" {
		t.Skipf("no HTML validator: set %s to what .ci/html-validator.sh prints", Variable)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node on the path")
	}
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, page, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(dir, "node_modules", "html-validate", "bin", "html-validate.mjs"),
		"--config", filepath.Join(dir, ".htmlvalidate.json"), path)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited { //nolint:errorlint // exec returns it bare
		t.Fatal(err)
	}
	return string(out), err == nil
}
