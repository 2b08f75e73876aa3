package loss

import "math"

// correct multiplies importance weights w = π_proximal / π_behavior onto the token weights, and
// zeroes what a rejection rule drops. All of it is detached: constants to the gradient. Tokens that
// lose their weight stay in the aggregation's normaliser, as in TRL; they contribute 0.
//
// Order: sequence rejections (rejection statistic, veto, off-policy mask), then w, then the
// normalisation of w over what is left.
func (c *composite) correct(p *pass) error {
	s := &c.set
	if !s.correcting() && s.OffPolicyMask == 0 {
		return nil
	}
	logw := p.spare // log w per trained token
	if s.correcting() {
		for t, w := range p.weight {
			if w != 0 {
				logw[t] = clampLog(float64(p.b.Proximal[t]) - float64(p.b.Behavior[t]))
			}
		}
	}
	for i := range len(p.b.Offsets) - 1 {
		from, to := int(p.b.Offsets[i]), int(p.b.Offsets[i+1])
		c.rejectIn(p, logw, from, to)
	}
	if s.Correction != correctionNone {
		c.reweigh(p, logw)
	}
	for t, w := range p.b.Weight {
		if w != 0 && p.weight[t] == 0 {
			p.metrics.Rejected++
		}
	}
	return nil
}

// clampLog bounds a log-ratio (or a sum of them) before it is exponentiated, as verl does.
func clampLog(x float64) float64 { return min(max(x, -20), 20) }

// rejectIn applies the rejection rules to the sequence [from, to).
func (c *composite) rejectIn(p *pass, logw []float64, from, to int) {
	s := &c.set
	drop := false
	var n, sum, gap, adv float64
	low, high := math.Inf(1), math.Inf(-1)
	for t := from; t < to; t++ {
		if p.weight[t] == 0 {
			continue
		}
		n++
		if s.OffPolicyMask > 0 {
			gap -= p.diff[t]
			adv += float64(p.b.Advantage[t])
		}
		if s.CorrectionVeto != 0 && logw[t] < s.CorrectionVeto {
			drop = true
		}
		if s.Reject != rejectNone {
			stat := rejectStat(KL(s.RejectStat), logw[t])
			sum += stat
			low, high = min(low, stat), max(high, stat)
			if s.Reject == rejectToken && !s.accepts(stat, stat) {
				p.weight[t] = 0
			}
		}
	}
	if n == 0 {
		return
	}
	switch s.Reject {
	case rejectSeqSum:
		drop = drop || !s.accepts(sum, sum)
	case rejectSeqMean:
		drop = drop || !s.accepts(sum/n, sum/n)
	case rejectSeqMax:
		// Both ends are looked at, so that a lower bound means something.
		drop = drop || !s.accepts(low, high)
	}
	if s.OffPolicyMask > 0 && adv < 0 && gap/n > s.OffPolicyMask {
		drop = true
	}
	if drop {
		clear(p.weight[from:to])
	}
}

// rejectStat is the statistic of verl's rejection modes, an estimate of KL(behavior ‖ proximal)
// from a token of the behavior policy.
func rejectStat(kind KL, logw float64) float64 {
	// With d = -log w the estimators are those of KL.At up to the sign of d in K3.
	switch kind {
	case K1:
		return -logw
	case K2:
		return logw * logw / 2
	}
	return max(math.Expm1(logw)-logw, 0)
}

// accepts reports whether statistics from low to high lie within the bounds. The bounds of k1 are
// ratios: its statistic is -log w, so they hold the inverse ratio 1/w.
func (s *settings) accepts(low, high float64) bool {
	if s.RejectStat != string(K1) {
		return high <= s.RejectHigh
	}
	return math.Exp(min(high, 700)) <= s.RejectHigh && math.Exp(min(low, 700)) >= s.RejectLow
}

// reweigh multiplies the corrected importance weights onto p.weight.
func (c *composite) reweigh(p *pass, logw []float64) {
	s := &c.set
	// Importance weights replace their logs in place; units are tokens or whole sequences.
	var total, units float64
	for i := range len(p.b.Offsets) - 1 {
		from, to := int(p.b.Offsets[i]), int(p.b.Offsets[i+1])
		var n, sum float64
		for t := from; t < to; t++ {
			if p.weight[t] != 0 {
				n++
				sum += logw[t]
			}
		}
		if n == 0 {
			continue
		}
		whole := 0.0
		switch s.CorrectionLevel {
		case levelSequence:
			whole = s.importance(math.Exp(clampLog(sum)))
		case levelGeometric:
			whole = s.importance(math.Exp(sum / n))
		}
		for t := from; t < to; t++ {
			if p.weight[t] == 0 {
				continue
			}
			if s.CorrectionLevel == levelToken {
				logw[t] = s.importance(math.Exp(logw[t]))
				total += logw[t]
				units++
			} else {
				logw[t] = whole
			}
		}
		if s.CorrectionLevel != levelToken {
			total += whole
			units++
		}
	}
	scale := 1.0
	if s.CorrectionNormalize && total > 0 {
		scale = units / total
	}
	for t := range p.weight {
		if p.weight[t] != 0 {
			p.weight[t] *= logw[t] * scale
		}
	}
}

// importance applies the kind of correction to one weight.
func (s *settings) importance(w float64) float64 {
	switch s.Correction {
	case correctionTIS:
		return min(w, s.CorrectionCap)
	case correctionClip:
		return min(max(w, s.CorrectionFloor), s.CorrectionCap)
	case correctionMIS, correctionIcePop:
		if w < s.CorrectionFloor || w > s.CorrectionCap {
			return 0
		}
	}
	return w
}
