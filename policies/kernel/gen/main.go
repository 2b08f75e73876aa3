// Command gen writes the assembly of package kernel, one description for both instruction sets
// where they do the same. Run it with `go generate` in the parent directory; the output is
// committed.
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
	if err := generate(*dir); err != nil {
		log.Fatal(err)
	}
}

// generate writes all files into dir.
func generate(dir string) error {
	files := []struct {
		name  string
		set   isa
		write func(*writer)
	}{
		{"gemm_avx512", avx512, func(w *writer) { gemmKernels(w); peakKernel(w) }},
		{"gemm_avx2", avx2, func(w *writer) { gemmKernels(w); peakKernel(w) }},
		{"vector_avx512", avx512, vectorKernels},
		{"vector_avx2", avx2, vectorKernels},
		{"pack", avx2, packKernels},
	}
	for _, f := range files {
		out := newWriter(f.set)
		f.write(out)
		if err := os.WriteFile(filepath.Join(dir, f.name+"_amd64.s"), out.bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
