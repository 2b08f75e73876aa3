package loss

import "fmt"

// check validates a batch against what the loss reads: presence, lengths, and finite values at
// every trained token.
func (c *composite) check(b *Batch) error {
	n := len(b.LogProbs)
	if err := checkOffsets(b.Offsets, n); err != nil {
		return err
	}
	for _, column := range [...]struct {
		name   string
		values []float32
		needed bool
		why    string
	}{
		{"Weight", b.Weight, true, ""},
		{"Advantage", b.Advantage, c.needsAdvantage(), ""},
		{"Behavior", b.Behavior, c.needsBehavior(), "log-probabilities of the policy that sampled"},
		{"Proximal", b.Proximal, c.needsProximal(), "log-probabilities of the learner's policy at the start of the step"},
		{"Reference", b.Reference, c.needsReference(), "log-probabilities of the reference policy"},
		{"Entropy", b.Entropy, c.HasEntropy(), "entropies of the current policy"},
	} {
		if column.values == nil && (!column.needed || n == 0) {
			continue
		}
		if len(column.values) != n {
			if column.values == nil {
				return fmt.Errorf("batch has no %s, which these settings need (%s)", column.name, column.why)
			}
			return fmt.Errorf("batch has %d entries of %s for %d tokens", len(column.values), column.name, n)
		}
	}
	if c.scope == ScopeGroup && len(b.Group) != len(b.Offsets)-1 {
		return fmt.Errorf("batch has %d group indices for %d sequences", len(b.Group), len(b.Offsets)-1)
	}
	for t, w := range b.Weight {
		if w == 0 {
			continue
		}
		sum := w - w + (b.LogProbs[t] - b.LogProbs[t])
		if b.Behavior != nil {
			sum += b.Behavior[t] - b.Behavior[t]
		}
		if b.Proximal != nil {
			sum += b.Proximal[t] - b.Proximal[t]
		}
		if b.Reference != nil {
			sum += b.Reference[t] - b.Reference[t]
		}
		if b.Advantage != nil {
			sum += b.Advantage[t] - b.Advantage[t]
		}
		if b.Entropy != nil {
			sum += b.Entropy[t] - b.Entropy[t]
		}
		if sum != 0 { // x - x is NaN for every x that is not finite
			return notFinite(b, t)
		}
	}
	return nil
}

// notFinite names the first column that is not finite at token t.
func notFinite(b *Batch, t int) error {
	sequence := 0
	for sequence+1 < len(b.Offsets) && int(b.Offsets[sequence+1]) <= t {
		sequence++
	}
	for _, column := range [...]struct {
		name   string
		values []float32
	}{
		{"Weight", b.Weight}, {"LogProbs", b.LogProbs}, {"Behavior", b.Behavior}, {"Proximal", b.Proximal},
		{"Reference", b.Reference}, {"Advantage", b.Advantage}, {"Entropy", b.Entropy},
	} {
		if column.values != nil && !finite(column.values[t]) {
			return fmt.Errorf("%s of sequence %d, token %d is %v; it must be finite", column.name, sequence, t-int(b.Offsets[sequence]), column.values[t])
		}
	}
	return fmt.Errorf("token %d is not finite", t)
}

func (c *composite) needsAdvantage() bool {
	return c.policy || c.scope == ScopeGroup || c.set.SFTCoef != 0 || c.set.PositiveOnly
}

func (c *composite) needsBehavior() bool {
	return (c.policy && !c.onPolicy && c.set.Denominator != denominatorProximal) || c.set.correcting() ||
		(c.set.KLCoef != 0 && c.set.KLAgainst == againstBehavior)
}

func (c *composite) needsProximal() bool {
	return (c.policy && !c.onPolicy && c.set.Denominator == denominatorProximal) || c.set.correcting() ||
		(c.set.KLCoef != 0 && c.set.KLAgainst == againstProximal)
}

func (c *composite) needsReference() bool {
	return c.scope == ScopeGroup || (c.set.KLCoef != 0 && c.set.KLAgainst == againstReference)
}
