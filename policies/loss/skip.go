package loss

// IgnoresZeroAdvantage reports whether a sequence whose trained tokens all have advantage 0 adds
// exactly nothing to the value and the gradient, so that a learner may leave it out and save the
// work. The metrics then speak of the remaining tokens. A Fn says so with a method
// IgnoresZeroAdvantage() bool; one without it is taken not to.
func IgnoresZeroAdvantage(fn Fn) bool {
	s, ok := fn.(interface{ IgnoresZeroAdvantage() bool })
	return ok && s.IgnoresZeroAdvantage()
}

// IgnoresZeroAdvantage is true for policy gradients that are linear in the advantage and have
// neither a KL nor an entropy term nor statistics over more than a sequence.
func (c *composite) IgnoresZeroAdvantage() bool {
	if _, quadratic := c.objective.(dro); quadratic {
		return false
	}
	return c.policy && c.Separable() && c.set.KLCoef == 0 && c.set.EntropyCoef == 0
}
