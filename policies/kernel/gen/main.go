// Command gen writes the assembly of package kernel: one file per instruction set, from the same
// descriptions. Run it with `go generate` in the parent directory; the output is committed.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", ".", "directory that receives the .s files")
	flag.Parse()
	for _, set := range []isa{avx512, avx2} {
		out := newWriter(set)
		gemmKernels(out)
		name := filepath.Join(*dir, "gemm_"+set.name+"_amd64.s")
		if err := os.WriteFile(name, out.bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
