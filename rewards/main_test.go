package rewards_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain keeps the properties affordable: a hundred methods and profiles share the time, so each
// gets fewer cases than rapid's default. -rapid.checks=N on the command line wins.
func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": "15", "rapid.nofailfile": "true", "rapid.shrinktime": "2s"} {
		if !given[name] {
			if err := flag.Set(name, value); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}
