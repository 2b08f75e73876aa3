package plot

import (
	"math"
	"strconv"
	"strings"
)

// Format is how the numbers of an axis are written.
type Format int

const (
	Plain   Format = iota // 0.5, 12, 1,200
	Percent               // a share: 0.5 is written 50 %
	Power                 // 1e-6, for quantities over many orders of magnitude
)

func (f Format) write(x float64, decimals int) string {
	switch f {
	case Percent:
		return group(strconv.FormatFloat(x*100, 'f', max(decimals-2, 0), 64)) + " %"
	case Power:
		s := strconv.FormatFloat(x, 'e', -1, 64)
		return strings.NewReplacer("e-0", "e-", "e+0", "e").Replace(s)
	}
	return group(strconv.FormatFloat(x, 'f', decimals, 64))
}

// group puts a thin separator between thousands and a real minus before negative numbers.
func group(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "\u2212", s[1:]
	}
	whole, fraction, dotted := strings.Cut(s, ".")
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if dotted {
		b.WriteString("." + fraction)
	}
	return sign + b.String()
}

// Axis is one direction of a chart. The zero value fits the data.
type Axis struct {
	Label  string
	Format Format
	Zero   bool       // begin at 0 (or end there)
	Range  [2]float64 // fixed ends, where they differ
	Log    bool       // logarithmic; values at or below 0 are left out
	Whole  bool       // ticks at whole numbers only
	// Categories names the positions 0, 1, 2 …; ticks stand there.
	Categories []string
}

// scale maps values to pixels.
type scale struct {
	axis     Axis
	low, hi  float64 // in values, or their logarithms
	from, to float64 // pixels of low and hi
	ticks    []float64
	decimals int
}

// fit chooses the ends of an axis and its ticks. pad leaves that share of the width free at both
// ends where ends are not fixed.
func (a Axis) fit(values []float64, room, pad float64) scale {
	s := scale{axis: a, low: math.Inf(1), hi: math.Inf(-1)}
	for _, v := range values {
		if a.Log {
			if v <= 0 {
				continue
			}
			v = math.Log10(v)
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			s.low, s.hi = min(s.low, v), max(s.hi, v)
		}
	}
	fixed := a.Range[0] != a.Range[1]
	switch {
	case fixed:
		s.low, s.hi = a.Range[0], a.Range[1]
		if a.Log {
			s.low, s.hi = math.Log10(s.low), math.Log10(s.hi)
		}
	case s.low > s.hi: // no data
		s.low, s.hi = 0, 1
	case a.Zero && !a.Log:
		s.low, s.hi = min(s.low, 0), max(s.hi, 0)
	}
	if s.low == s.hi {
		spread := max(math.Abs(s.low)*0.1, 0.5)
		s.low, s.hi = s.low-spread, s.hi+spread
		if a.Zero || s.low < 0 && s.hi-spread >= 0 {
			s.low = 0
		}
	}
	switch {
	case a.Categories != nil:
		s.low, s.hi = -0.3, float64(len(a.Categories))-0.7
		for i := range a.Categories {
			s.ticks = append(s.ticks, float64(i))
		}
		return s
	case a.Log && a.Format != Power && (fixed || pad > 0):
		if !fixed {
			margin := (s.hi - s.low) * pad
			s.low, s.hi = s.low-margin, s.hi+margin
		}
		s.ticks = logTicks(s.low, s.hi, room)
		return s
	case a.Log:
		s.low, s.hi = math.Floor(s.low+1e-9), math.Ceil(s.hi-1e-9)
		if s.low == s.hi {
			s.hi++
		}
		every := math.Ceil((s.hi - s.low) / max(room, 1))
		for e := s.low; e <= s.hi; e += every {
			s.ticks = append(s.ticks, e)
		}
		return s
	}
	step := niceStep((s.hi-s.low)/max(room, 1), a.Whole)
	s.decimals = max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	if two := step * math.Pow(10, float64(s.decimals)); math.Abs(two-math.Round(two)) > 1e-6 {
		s.decimals++ // 2.5
	}
	if !fixed && pad == 0 { // ends at ticks
		s.low, s.hi = math.Floor(s.low/step)*step, math.Ceil(s.hi/step)*step
	} else if !fixed {
		margin := (s.hi - s.low) * pad
		low, hi := s.low-margin, s.hi+margin
		if s.low >= 0 && low < 0 {
			low = 0
		}
		s.low, s.hi = low, hi
	}
	for i := math.Ceil(s.low/step - 1e-9); i*step <= s.hi+step*1e-9; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	return s
}

// logTicks are exponents between two: of 1, 2 and 5 times the powers of ten where there is room, else
// of fewer.
func logTicks(low, hi, room float64) []float64 {
	var ticks []float64
	for _, factors := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		ticks = ticks[:0]
		for e := math.Floor(low); e <= hi; e++ {
			for _, f := range factors {
				if at := e + math.Log10(f); at >= low-1e-9 && at <= hi+1e-9 {
					ticks = append(ticks, at)
				}
			}
		}
		if float64(len(ticks)) <= max(room, 2) {
			break
		}
	}
	return ticks
}

// niceStep rounds a step up to 1, 2, 2.5 or 5 times a power of ten.
func niceStep(least float64, whole bool) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range [...]float64{1, 2, 2.5, 5, 10} {
		step := m * power
		if step >= least*(1-1e-9) && (!whole || step >= 1 && step == math.Trunc(step)) {
			return step
		}
	}
	return max(10*power, 1)
}

func (s scale) at(v float64) float64 {
	if s.axis.Log {
		if v <= 0 {
			return math.NaN()
		}
		v = math.Log10(v)
	}
	return s.pixel(v)
}

// pixel maps a tick, which for a logarithmic axis is an exponent.
func (s scale) pixel(v float64) float64 {
	return s.from + (v-s.low)/(s.hi-s.low)*(s.to-s.from)
}

func (s scale) label(tick float64) string {
	switch {
	case s.axis.Categories != nil:
		return s.axis.Categories[int(tick)]
	case s.axis.Log:
		v := math.Pow(10, tick)
		if s.axis.Format == Power {
			return "1e" + strconv.Itoa(int(math.Round(tick)))
		}
		return s.axis.Format.write(v, max(0, -int(math.Floor(tick+1e-9))))
	}
	if math.Abs(tick) < 1e-12 {
		tick = 0
	}
	return s.axis.Format.write(tick, s.decimals)
}
