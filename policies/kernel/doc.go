// Package kernel is the arithmetic under the local engine and learner: one SGEMM and the vector
// kernels of a transformer, in Go assembly (AVX-512, AVX2) with a portable fallback, chosen when
// the program starts. It knows matrices and vectors, not models; it imports nothing of pith, and
// [pith/policies/model] and the learner stand on it.
//
// # Same bits everywhere
//
// Every implementation, on any machine and with any number of threads, returns the same bits:
//
//   - a matrix product is, for each element of C, one chain of float32 fused multiply-adds in the
//     order of k, starting from C (beta 1) or from +0 (beta 0);
//   - a reduction runs in 16 virtual lanes: element i goes to lane i mod 16, in order, starting
//     from +0, and the lanes are folded by halves (8, 4, 2, 1); absent elements of the last
//     lap leave their lane untouched;
//   - transcendental functions are the same polynomials, evaluated by the same fused operations;
//   - work is split among threads only where the split cannot show in the result.
//
// Denormals are kept, never flushed. Infinities and NaNs arise and spread as IEEE 754 says;
// that a value is NaN is guaranteed to be the same everywhere, its sign and payload are not.
// Max ignores NaNs.
//
// # Concurrency
//
// All functions may be called from any number of goroutines on disjoint outputs. [Parallel] and
// the matrix products share one process-wide pool of worker goroutines; they start with the first
// call that needs them and live as long as the process (tests with goleak ignore
// "pith/policies/kernel.(*pool).worker"). A call made while the pool is busy, and so every
// nested call, runs on its own goroutine.
//
// Slices that are too short for the stated shape are programmer errors and panic.
package kernel

//go:generate go run ./gen
