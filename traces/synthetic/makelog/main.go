// Command makelog writes a synthetic run directory, for measuring what reads logs:
//
//	go run ./traces/synthetic/makelog -traces 1000000 DIR
package main

import (
	"flag"
	"fmt"
	"os"

	"pith/traces/synthetic"
)

func main() {
	var o synthetic.Options
	flag.IntVar(&o.Traces, "traces", 1_000_000, "training traces")
	flag.IntVar(&o.PerStep, "per-step", 1024, "traces a step")
	flag.IntVar(&o.Tokens, "tokens", 200, "mean response tokens")
	flag.IntVar(&o.TextBytes, "bytes", 1000, "mean bytes of a response's text")
	flag.Uint64Var(&o.Seed, "seed", 1, "of everything")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "makelog: name one directory to write")
		os.Exit(2)
	}
	if err := synthetic.Write(flag.Arg(0), o); err != nil {
		fmt.Fprintln(os.Stderr, "makelog:", err)
		os.Exit(1)
	}
}
