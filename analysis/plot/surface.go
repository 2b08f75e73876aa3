package plot

import "fmt"

// point is a position in CSS pixels from the top left corner.
type point struct{ x, y float64 }

// rect is an area; x1 and y1 are its right and bottom edges.
type rect struct{ x0, y0, x1, y1 float64 }

func (r rect) width() float64 { return r.x1 - r.x0 }

func (r rect) overlaps(o rect) bool {
	return r.x0 < o.x1 && o.x0 < r.x1 && r.y0 < o.y1 && o.y0 < r.y1
}

// insets are the margins that a panel needs around its plotting area.
type insets struct{ left, right, top, bottom float64 }

func (i insets) union(o insets) insets {
	return insets{max(i.left, o.left), max(i.right, o.right), max(i.top, o.top), max(i.bottom, o.bottom)}
}

// Colour is an sRGB colour.
type Colour struct{ R, G, B uint8 }

func (c Colour) hex() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// mix goes from c towards o by a share.
func (c Colour) mix(o Colour, share float64) Colour {
	blend := func(a, b uint8) uint8 { return uint8(float64(a)*(1-share) + float64(b)*share + 0.5) }
	return Colour{blend(c.R, o.R), blend(c.G, o.G), blend(c.B, o.B)}
}

// Tint returns the colour mixed with white by a share, for areas.
func (c Colour) Tint(share float64) Colour { return c.mix(White, share) }

// The palette. All but White and Mist have a contrast of at least 4.5 to white.
var (
	Ink    = Colour{0x1f, 0x29, 0x37} // text, axes
	Slate  = Colour{0x5b, 0x66, 0x75} // secondary text, context
	Mist   = Colour{0xe4, 0xe7, 0xeb} // gridlines
	White  = Colour{0xff, 0xff, 0xff}
	Blue   = Colour{0x0b, 0x5c, 0xad}
	Rust   = Colour{0xb9, 0x3a, 0x0e}
	Teal   = Colour{0x0a, 0x7d, 0x6c}
	Purple = Colour{0x7a, 0x2f, 0x9b}
	Gold   = Colour{0x94, 0x65, 0x00}
	Pink   = Colour{0xb8, 0x2a, 0x72}
)

// Cycle returns the i-th colour for series that have no meaning of their own.
func Cycle(i int) Colour {
	return [...]Colour{Blue, Rust, Teal, Purple, Gold, Pink, Ink, Slate}[i%8]
}

// Ramp returns the i-th of n colours from light to dark, for series that have an order.
func Ramp(i, n int) Colour {
	light, dark := Colour{0x4a, 0x8c, 0xca}, Colour{0x07, 0x2a, 0x5c}
	if n < 2 {
		return Blue
	}
	return light.mix(dark, float64(i)/float64(n-1))
}

// stroke is how a line is drawn; width 0 draws none.
type stroke struct {
	colour Colour
	width  float64
	dash   []float64 // on, off, …; nil = solid
}

// anchor is the part of a text that its position names.
type anchor int

const (
	atStart anchor = iota
	atMiddle
	atEnd
)

// lettering is how a text is drawn. Its position is on the baseline.
type lettering struct {
	size   float64
	bold   bool
	colour Colour
	anchor anchor
	halo   bool // a white outline, where the text may cross lines
}

// surface is a back-end. Coordinates are CSS pixels.
type surface interface {
	polyline(pts []point, s stroke)
	polygon(pts []point, fill Colour, opacity float64, outline stroke)
	circle(centre point, radius float64, fill Colour, outline stroke)
	text(at point, s string, l lettering)
	// begin and end enclose what a hint describes; nesting is not needed.
	begin(hint string)
	end()
}

// box draws a rectangle.
func box(s surface, r rect, fill Colour, opacity float64, outline stroke) {
	s.polygon([]point{{r.x0, r.y0}, {r.x1, r.y0}, {r.x1, r.y1}, {r.x0, r.y1}}, fill, opacity, outline)
}
