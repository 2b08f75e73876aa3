package plot

import "math"

func known(v []float64, i int) bool { return i < len(v) && !math.IsNaN(v[i]) }

// position returns where point i lies, kept inside the plotting area; ok is false where it is none.
func (s Series) position(i int, x, y scale, inner rect) (p point, ok bool) {
	p = point{x.at(s.X[i]), y.at(s.Y[i])}
	if math.IsNaN(p.x) || math.IsNaN(p.y) || math.IsInf(p.x, 0) || math.IsInf(p.y, 0) {
		return p, false
	}
	p.x = min(max(p.x, inner.x0), inner.x1)
	p.y = min(max(p.y, inner.y0), inner.y1)
	return p, true
}

// runs returns the unbroken parts of a line.
func (s Series) runs(x, y scale, inner rect) [][]point {
	var all [][]point
	var current []point
	for i := range s.Y {
		if p, ok := s.position(i, x, y, inner); ok {
			current = append(current, p)
			continue
		}
		if current != nil {
			all = append(all, current)
			current = nil
		}
	}
	if current != nil {
		all = append(all, current)
	}
	return all
}

func (s Series) drawArea(to surface, x, y scale, inner rect) {
	if !s.Band {
		return
	}
	var upper, lower []point
	flush := func() {
		if len(upper) > 1 {
			outline := upper
			for i := len(lower) - 1; i >= 0; i-- {
				outline = append(outline, lower[i])
			}
			to.polygon(outline, s.Colour, 0.16, stroke{})
		}
		upper, lower = nil, nil
	}
	for i := range s.Y {
		if !known(s.YLow, i) || !known(s.YHigh, i) || math.IsNaN(s.Y[i]) {
			flush()
			continue
		}
		clampY := func(v float64) float64 { return min(max(y.at(v), inner.y0), inner.y1) }
		px := min(max(x.at(s.X[i]), inner.x0), inner.x1)
		upper = append(upper, point{px, clampY(s.YHigh[i])})
		lower = append(lower, point{px, clampY(s.YLow[i])})
	}
	flush()
}

func (s Series) width() float64 {
	if s.Thin {
		return 1.2
	}
	return 2
}

func (s Series) drawLine(to surface, x, y scale, inner rect) {
	if s.NoLine {
		return
	}
	for _, run := range s.runs(x, y, inner) {
		to.polyline(run, stroke{colour: s.Colour, width: s.width(), dash: s.Dash.pattern()})
		if n := len(run); s.Arrow && n > 1 {
			arrowhead(to, run[n-2], run[n-1], s.radius()+3, s.Colour)
		}
	}
}

func (s Series) radius() float64 {
	if s.Thin {
		return 2.6
	}
	return 3.8
}

func (s Series) drawMarks(to surface, x, y scale, inner rect) {
	// Long series carry a marker here and there, which is enough to tell them apart.
	every := 1
	if n := len(s.Y); n > 30 && !s.NoLine {
		every = (n + 11) / 12
	}
	for i := range s.Y {
		p, ok := s.position(i, x, y, inner)
		if !ok {
			continue
		}
		hint := ""
		if i < len(s.Hints) {
			hint = s.Hints[i]
		}
		to.begin(hint)
		whisker := stroke{colour: s.Colour, width: 1.2}
		if known(s.YLow, i) && known(s.YHigh, i) && !s.Band {
			to.polyline([]point{{p.x, y.at(s.YLow[i])}, {p.x, y.at(s.YHigh[i])}}, whisker)
		}
		if known(s.XLow, i) && known(s.XHigh, i) {
			to.polyline([]point{{x.at(s.XLow[i]), p.y}, {x.at(s.XHigh[i]), p.y}}, whisker)
		}
		switch {
		case s.Marker != NoMarker && (i%every == 0 || i == len(s.Y)-1):
			mark(to, s.Marker, p, s.radius(), s.Colour)
		case s.Marker == NoMarker && len(s.Y) == 1:
			mark(to, Disc, p, s.radius(), s.Colour)
		}
		to.end()
	}
}
