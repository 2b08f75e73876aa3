package plot

import (
	"fmt"
	"image/png"
	"io"
	"math"
)

// Panel is one plotting area of a figure: a [Chart], a [Histogram] or [Shares].
type Panel interface {
	// measure returns the margins around the plotting area, given the width of the whole panel.
	measure(l *letters, width float64) insets
	// height returns the height of the plotting area that the panel asks for.
	height() float64
	draw(s surface, l *letters, outer, inner rect)
}

// Figure is a picture of one or more panels. Panels of a row have equal plotting heights and those
// of a column equal margins, so that axes line up.
type Figure struct {
	Name     string  // file stem, such as trajectory
	Title    string  // what the picture shows, as a sentence where possible
	Subtitle string  // how to read it
	Alt      string  // what is to be seen, for those who do not see it
	Width    float64 // CSS pixels; 0 = 860
	Columns  int     // 0 = 1
	Panels   []Panel
}

const (
	outerMargin = 14.0
	rowGap      = 18.0
	columnGap   = 22.0
)

// arranged is a figure with every panel in its place.
type arranged struct {
	width, height float64
	outer, inner  []rect
}

func (f Figure) arrange(l *letters) arranged {
	a := arranged{width: f.Width}
	if a.width == 0 {
		a.width = 860
	}
	columns := max(f.Columns, 1)
	cell := (a.width - 2*outerMargin - float64(columns-1)*columnGap) / float64(columns)
	margins := make([]insets, columns)
	for i, p := range f.Panels {
		c := i % columns
		margins[c] = margins[c].union(p.measure(l, cell))
	}
	y := outerMargin
	if f.Title != "" {
		y += 16
	}
	if f.Subtitle != "" {
		y += 18
	}
	if f.Title != "" || f.Subtitle != "" {
		y += 14
	}
	for i := 0; i < len(f.Panels); i += columns {
		row := f.Panels[i:min(i+columns, len(f.Panels))]
		var around insets
		height := 0.0
		for _, p := range row {
			around = around.union(p.measure(l, cell))
			height = max(height, p.height())
		}
		for c := range row {
			x := outerMargin + float64(c)*(cell+columnGap)
			a.outer = append(a.outer, rect{x, y, x + cell, y + around.top + height + around.bottom})
			a.inner = append(a.inner, rect{x + margins[c].left, y + around.top, x + cell - margins[c].right, y + around.top + height})
		}
		y += around.top + height + around.bottom + rowGap
	}
	a.height = math.Ceil(y - rowGap + outerMargin)
	return a
}

func (f Figure) draw(s surface, l *letters, a arranged) {
	y := outerMargin
	if f.Title != "" {
		y += 14
		s.text(point{outerMargin, y}, f.Title, figureTitle)
		y += 2
	}
	if f.Subtitle != "" {
		y += 17
		s.text(point{outerMargin, y}, f.Subtitle, subtitle)
	}
	for i, p := range f.Panels {
		p.draw(s, l, a.outer[i], a.inner[i])
	}
}

// SVG returns the figure as a standalone SVG document that may also stand inside HTML.
func (f Figure) SVG() string {
	l := newLetters()
	a := f.arrange(l)
	s := &svg{}
	s.open(a.width, a.height, f.Title, f.Alt)
	f.draw(s, l, a)
	s.close()
	return s.b.String()
}

// PNG writes the figure at scale device pixels a CSS pixel; 2 is right for print and for screens of
// high density.
func (f Figure) PNG(w io.Writer, scale float64) error {
	if !(scale > 0 && scale <= 16) {
		return fmt.Errorf("figure %s: scale %v; want more than 0 and at most 16", f.Name, scale)
	}
	l := newLetters()
	a := f.arrange(l)
	r := newRaster(a.width, a.height, scale)
	f.draw(r, l, a)
	if err := png.Encode(w, r.img); err != nil {
		return fmt.Errorf("figure %s: %w", f.Name, err)
	}
	return nil
}
