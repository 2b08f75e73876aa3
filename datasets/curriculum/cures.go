package curriculum

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// The formulas of CurES (arXiv 2510.01037; ZexuSun/CurES@eccf298 epic/epic_sampler.py,
// stage_0_init_difficulty_sample_size.py, epic_ray_trainer.py): the best one-step improvement on a
// prompt with solve rate p is bounded by a term that grows with √(p(1−p)), so prompts of middling
// solve rate are drawn more often and get more rollouts.
//
// The released sampler differs from the paper: its temperature is at least 100, which makes it
// almost uniform. What is implemented here is the paper's distribution.

// Spread is √(p(1−p)), the standard deviation of a response's correctness.
func Spread(p float64) float64 { return math.Sqrt(max(p*(1-p), 0)) }

// Tau is the temperature α/√(2δ) of the sampling distribution, δ being the KL trust radius.
func Tau(alpha, delta float64) float64 { return alpha / math.Sqrt(2*delta) }

// Distribution is CurES's ρ*(x) ∝ exp(√(p(1−p))/τ) over prompts with the given solve rates. It is
// finite for every τ > 0.
func Distribution(p []float64, tau float64) ([]float64, error) {
	if !(tau > 0) {
		return nil, fmt.Errorf("curES: tau is %v: it must be positive", tau)
	}
	logits, top := make([]float64, len(p)), math.Inf(-1)
	for i, rate := range p {
		if !(rate >= 0 && rate <= 1) {
			return nil, fmt.Errorf("curES: solve rate %d is %v: it must be 0 to 1", i, rate)
		}
		logits[i] = Spread(rate) / tau
		top = max(top, logits[i])
	}
	sum := 0.0
	for i, l := range logits {
		logits[i] = math.Exp(l - top)
		sum += logits[i]
	}
	for i := range logits {
		logits[i] /= sum
	}
	return logits, nil
}

// Sigma is the spread of a prompt's policy gradient, from probe rollouts: with a the share of right
// ones, b = 1−a, and g the norms of ∇(−log p(sequence)) with respect to the input embeddings,
//
//	σ² = a·b²·mean(g²|right) + a²·b·mean(g²|wrong) − a²b²·(mean(g|right) − mean(g|wrong))².
//
// It is 0 where all probes agree. Without gradients, use [Spread] of the solve rate.
func Sigma(right, wrong []float64) float64 {
	if len(right) == 0 || len(wrong) == 0 {
		return 0
	}
	a := float64(len(right)) / float64(len(right)+len(wrong))
	b := 1 - a
	meanRight, squareRight := moments(right)
	meanWrong, squareWrong := moments(wrong)
	d := meanRight - meanWrong
	return math.Sqrt(max(a*b*b*squareRight+a*a*b*squareWrong-a*a*b*b*d*d, 0))
}

func moments(g []float64) (mean, square float64) {
	for _, x := range g {
		mean += x
		square += x * x
	}
	n := float64(len(g))
	return mean / n, square / n
}

// Allocate shares a total of rollouts among prompts in proportion to their sigmas: n = round(N·σ/Σσ),
// halves to even, as NumPy rounds. Prompts that get 0 are to be skipped. The sum may differ from the
// total by the rounding. Where multiple > 1, the sum is raised to the next multiple of it by giving
// the rest to the prompt with the most, the first of them in a tie. If every sigma is 0 nobody gets
// any.
func Allocate(total int, sigmas []float64, multiple int) ([]int, error) {
	if total < 0 || multiple < 0 {
		return nil, fmt.Errorf("allocation: total %d and multiple %d must not be negative", total, multiple)
	}
	sum, errs := 0.0, []error(nil)
	for i, s := range sigmas {
		if !(s >= 0) || math.IsInf(s, 0) {
			errs = append(errs, fmt.Errorf("allocation: sigma %d is %v: it must be finite and not negative", i, s))
		}
		sum += s
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	out := make([]int, len(sigmas))
	if sum == 0 {
		return out, nil
	}
	given := 0
	for i, s := range sigmas {
		out[i] = int(math.RoundToEven(float64(total) * (s / sum)))
		given += out[i]
	}
	if multiple > 1 && given%multiple != 0 {
		most := slices.Index(out, slices.Max(out))
		out[most] += multiple - given%multiple
	}
	return out, nil
}
