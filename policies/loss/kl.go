package loss

import (
	"fmt"
	"math"
)

// KL is an estimator of the divergence between a policy and a reference from one sampled token,
// with d = log π(token) - log π_ref(token) (Schulman, "Approximating KL divergence", 2020).
type KL string

const (
	// K1 is d: unbiased for tokens of π, of high variance, negative at times. Its gradient as a
	// loss has expectation 0 on tokens of π itself: use it in the reward instead.
	K1 KL = "k1"
	// K2 is d²/2: biased, always positive; its gradient as a loss is the one of the true KL.
	K2 KL = "k2"
	// K3 is exp(-d) - 1 + d: unbiased for tokens of π and never negative.
	K3 KL = "k3"
)

// klClamp bounds d before K3 exponentiates it, as verl does.
const klClamp = 20

// At returns the estimate in nats and its derivative with respect to log π(token).
func (k KL) At(d float64) (value, grad float64) {
	switch k {
	case K1:
		return d, 1
	case K2:
		return d * d / 2, d
	}
	// math.Expm1 keeps the digits that exp(-d) - 1 + d loses near 0, where the KL of a healthy run
	// lies.
	c := min(max(d, -klClamp), klClamp)
	e := math.Expm1(-c)
	value = max(e+c, 0) // rounding must not make it negative
	if c != d {
		return value, 0
	}
	return value, -e
}

// KLReward writes the KL penalty as a reward per token, -coef · k(log π - log π_ref), for methods
// that fold it into the return instead of the loss. policy holds the log-probabilities that the
// tokens were drawn with. dst may be nil; tokens where train is false get 0.
func KLReward(dst []float32, kind KL, coef float64, policy, reference []float32, train []bool) ([]float32, error) {
	n := len(policy)
	if len(reference) != n || len(train) != n {
		return nil, fmt.Errorf("kl reward: %d log-probabilities, %d of the reference and %d mask entries; the three must agree", n, len(reference), len(train))
	}
	switch kind {
	case K1, K2, K3:
	default:
		return nil, fmt.Errorf("kl reward: unknown estimator %q; valid ones are k1, k2, k3", kind)
	}
	dst = resize(dst, n)
	for t := range n {
		dst[t] = 0
		if train[t] {
			value, _ := kind.At(float64(policy[t]) - float64(reference[t]))
			dst[t] = saturate(-coef * value)
		}
	}
	return dst, nil
}
