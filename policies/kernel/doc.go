// Package kernel is the arithmetic under the local engine and learner: one SGEMM and a few vector
// kernels in Go assembly (AVX-512, AVX2) with a portable fallback, chosen at run time.
//
// The order of every summation is fixed: matrix products run sequentially along K with fused
// multiply-add from the initial value of C; reductions use 16 virtual lanes folded in a fixed
// tree; transcendental functions use the same polynomials everywhere. All implementations and any
// number of threads therefore give the same bits.
package kernel
