package plot

import "math"

// Marker is the shape at a data point. Shapes tell series apart without colour.
type Marker int

const (
	NoMarker Marker = iota
	Disc
	Square
	Triangle
	Diamond
	Ring
	Cross
)

// CycleMarker returns the i-th marker for series that have no meaning of their own.
func CycleMarker(i int) Marker {
	return [...]Marker{Disc, Square, Triangle, Diamond, Ring, Cross}[i%6]
}

// Dash is the pattern of a line.
type Dash int

const (
	Solid Dash = iota
	Dashed
	Dotted
	DashDot
	LongDash
)

// CycleDash returns the i-th pattern.
func CycleDash(i int) Dash { return Dash(i % 5) }

func (d Dash) pattern() []float64 {
	switch d {
	case Dashed:
		return []float64{6, 4}
	case Dotted:
		return []float64{1.6, 3}
	case DashDot:
		return []float64{8, 3, 1.6, 3}
	case LongDash:
		return []float64{12, 4}
	}
	return nil
}

// mark draws a marker of a radius with a white rim that lifts it off the lines.
func mark(s surface, m Marker, at point, radius float64, c Colour) {
	rim := stroke{colour: White, width: 1.2}
	around := func(n int, start, r float64) []point {
		pts := make([]point, n)
		for i := range pts {
			sin, cos := math.Sincos(start + 2*math.Pi*float64(i)/float64(n))
			pts[i] = point{at.x + r*cos, at.y + r*sin}
		}
		return pts
	}
	switch m {
	case Disc:
		s.circle(at, radius+0.6, c, rim)
	case Ring:
		s.circle(at, radius, White, stroke{colour: c, width: 1.8})
	case Square:
		s.polygon(around(4, math.Pi/4, radius*1.25), c, 1, rim)
	case Diamond:
		s.polygon(around(4, 0, radius*1.4), c, 1, rim)
	case Triangle:
		s.polygon(around(3, -math.Pi/2, radius*1.45), c, 1, rim)
	case Cross:
		r := radius * 0.95
		for _, st := range []stroke{{colour: White, width: 4}, {colour: c, width: 2}} {
			s.polyline([]point{{at.x - r, at.y - r}, {at.x + r, at.y + r}}, st)
			s.polyline([]point{{at.x - r, at.y + r}, {at.x + r, at.y - r}}, st)
		}
	}
}

// arrowhead draws the end of an arrow from a to b, its tip gap pixels before b.
func arrowhead(s surface, a, b point, gap float64, c Colour) {
	length := math.Hypot(b.x-a.x, b.y-a.y)
	if length < gap+8 {
		return
	}
	ux, uy := (b.x-a.x)/length, (b.y-a.y)/length
	tip := point{b.x - ux*gap, b.y - uy*gap}
	back := point{tip.x - ux*8, tip.y - uy*8}
	s.polygon([]point{tip, {back.x - uy*3.6, back.y + ux*3.6}, {back.x + uy*3.6, back.y - ux*3.6}}, c, 1, stroke{})
}
