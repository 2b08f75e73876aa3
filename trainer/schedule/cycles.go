package schedule

import "math"

// siri is a generation limit that compresses and expands in cycles of period steps: M is the
// middle of [low, high], H half its width, φ = 2π·t/period.
type siri struct {
	form          string
	high, low     float64
	start, period int64
	whole         bool
}

func (s siri) At(step int64) float64 {
	middle, half := s.low+(s.high-s.low)/2, (s.high-s.low)/2
	t := max(step-s.start, 0) % s.period
	eighth := 8 * t / s.period // 0..7: the eighth of the cycle, in whole numbers so that borders are exact
	phase := 2 * math.Pi * float64(t) / float64(s.period)
	var limit float64
	switch s.form {
	case "stair": // the cosine's sign
		limit = s.low
		if eighth < 2 || eighth >= 6 {
			limit = s.high
		}
	case "stair_cosine":
		switch {
		case eighth < 1 || eighth >= 7:
			limit = s.high
		case eighth < 3:
			limit = middle + half*cos(2*(phase-math.Pi/4))
		case eighth < 5:
			limit = s.low
		default:
			limit = middle + half*cos(2*(phase-3*math.Pi/4))
		}
	default:
		limit = middle + half*cos(phase)
	}
	limit = min(max(limit, s.low), s.high)
	if s.whole {
		return math.Floor(limit + 1e-9)
	}
	return limit
}

func buildSIRI(r *reader) Schedule {
	s := siri{
		form:   r.choice("form", "cosine; stair_cosine, with plateaus of a quarter cycle at both ends; stair, the first and last quarter high, the half between low", "cosine", "cosine", "stair_cosine", "stair"),
		high:   r.number("limit_max", "largest limit, in tokens", 16384, positive),
		low:    r.number("limit_min", "smallest limit, in tokens", 8192, positive),
		period: r.steps("period", "steps of a cycle", 640),
		start:  r.start(),
		whole:  r.flag("floor", "round down to whole tokens", true),
	}
	if s.low > s.high {
		r.bad("limit_min", "%v is above limit_max %v", s.low, s.high)
	}
	return s
}

// canon is CANON's cosine with restarts for the mixing weight μ.
type canon struct {
	high, low             float64
	start, warmup, period int64
	complement            bool
}

func (s canon) At(step int64) float64 {
	t := max(step-s.start, 0)
	var mu float64
	if t < s.warmup {
		mu = s.high * float64(t+1) / float64(s.warmup)
	} else {
		k := (t - s.warmup) % s.period
		mu = s.low + (s.high-s.low)/2*(1+cos(math.Pi*float64(k)/float64(s.period)))
	}
	if s.complement {
		return 1 - mu
	}
	return mu
}

func buildCANON(r *reader) Schedule {
	mixing := limits{low: 0, high: 1}
	s := canon{
		high:       r.number("max", "value at the end of the warm-up and at each restart (variant 1: 0.6, variant 2: 1)", 0.6, mixing),
		low:        r.number("min", "value that a cycle falls to (variant 1: 0, variant 2: 0.4)", 0, mixing),
		warmup:     int64(r.number("warmup", "steps of the warm-up, max·(t+1)/warmup", 30, limits{low: 0, high: 1 << 52, whole: true})),
		period:     r.steps("period", "steps of a cycle", 40),
		start:      r.start(),
		complement: r.flag("complement", "use 1 minus the value (variant 1: true, variant 2: false)", false),
	}
	if s.low > s.high {
		r.bad("min", "%v is above max %v", s.low, s.high)
	}
	return s
}
