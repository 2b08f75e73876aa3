package metrics

import (
	"fmt"
	"math"
)

// PassAtK is the unbiased estimate of the chance that at least one of k samples is right, from n
// samples of which c were right: 1 - C(n-c, k)/C(n, k) (Chen et al. 2021, arXiv 2107.03374, eq. 1), as
// a product, so that no factorial overflows. It fails unless 0 ≤ c ≤ n and 1 ≤ k ≤ n: more samples
// than were drawn cannot be spoken of.
func PassAtK(n, c, k int) (float64, error) {
	if err := draws(n, c, k); err != nil {
		return math.NaN(), err
	}
	if n-c < k {
		return 1, nil
	}
	miss := 1.0
	for i := n - c + 1; i <= n; i++ {
		miss *= 1 - float64(k)/float64(i)
	}
	return 1 - miss, nil
}

// PassAllK (pass^k) is the chance that all k samples are right: C(c, k)/C(n, k). Conditions are those
// of [PassAtK].
func PassAllK(n, c, k int) (float64, error) {
	if err := draws(n, c, k); err != nil {
		return math.NaN(), err
	}
	p := 1.0
	for i := range k {
		p *= float64(max(c-i, 0)) / float64(n-i)
	}
	return p, nil
}

// GPassAtK is the chance that at least max(1, ⌈tau·k⌉) of k samples are right, the draw being without
// replacement (G-Pass@k, arXiv 2412.13147). tau lies in [0, 1]; other conditions are those of
// [PassAtK].
func GPassAtK(n, c, k int, tau float64) (float64, error) {
	if err := draws(n, c, k); err != nil {
		return math.NaN(), err
	}
	if !(tau >= 0 && tau <= 1) {
		return math.NaN(), fmt.Errorf("G-Pass@k: threshold %g is not in [0, 1]", tau)
	}
	// A product such as 0.7 · 10 may come out a hair above the whole number that it means.
	return atLeast(n, c, k, max(1, int(math.Ceil(tau*float64(k)-1e-9)))), nil
}

// MeanGPassAtK is mG-Pass@k: 2/k times the sum of P(at least i right) for i from ⌈k/2⌉+1 to k, the
// area under G-Pass@k over thresholds above one half (arXiv 2412.13147).
func MeanGPassAtK(n, c, k int) (float64, error) {
	if err := draws(n, c, k); err != nil {
		return math.NaN(), err
	}
	sum := 0.0
	for i := (k+1)/2 + 1; i <= k; i++ {
		sum += atLeast(n, c, k, i)
	}
	return 2 * sum / float64(k), nil
}

// atLeast is the hypergeometric chance of at least m right among k of n samples with c right.
func atLeast(n, c, k, m int) float64 {
	if m > min(c, k) {
		return 0
	}
	total, sum := logChoose(n, k), 0.0
	for i := m; i <= min(c, k); i++ {
		if k-i > n-c {
			continue
		}
		sum += math.Exp(logChoose(c, i) + logChoose(n-c, k-i) - total)
	}
	return min(sum, 1)
}

// logChoose is ln C(n, k).
func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

func draws(n, c, k int) error {
	switch {
	case n < 1 || c < 0 || c > n:
		return fmt.Errorf("%d right of %d samples: need 0 ≤ right ≤ samples and at least one sample", c, n)
	case k < 1 || k > n:
		return fmt.Errorf("k = %d with %d samples: k must be from 1 to the number of samples", k, n)
	}
	return nil
}
