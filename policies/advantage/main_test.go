package advantage

import (
	"flag"
	"os"
	"testing"
)

// TestMain keeps rapid from leaving counterexamples in the tree; it prints how to reproduce one.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
