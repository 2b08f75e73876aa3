package plot

// Part is a piece of a whole.
type Part struct {
	Name   string
	Value  float64
	Colour Colour
	Text   string // written into the piece where it fits, else below with the name
}

// Row is a whole that is divided into parts.
type Row struct {
	Name  string
	Parts []Part
}

// Shares is a panel of horizontal bars, each a whole divided into parts. The bars share one scale.
type Shares struct {
	Title string
	Rows  []Row
}

const (
	barHeight = 26.0
	rowHeight = barHeight + 34
)

func (p Shares) height() float64 { return rowHeight*float64(len(p.Rows)) - 6 }

func (p Shares) measure(l *letters, _ float64) insets {
	m := insets{right: 4, top: 4}
	for _, r := range p.Rows {
		m.left = max(m.left, l.width(r.Name, seriesLabel)+12)
	}
	if p.Title != "" {
		m.top += 18
	}
	return m
}

func (p Shares) draw(s surface, l *letters, outer, inner rect) {
	if p.Title != "" {
		s.text(point{outer.x0, outer.y0 + 11}, p.Title, panelTitle)
	}
	longest := 0.0
	for _, r := range p.Rows {
		longest = max(longest, r.total())
	}
	if longest == 0 {
		return
	}
	for i, r := range p.Rows {
		top := inner.y0 + rowHeight*float64(i)
		s.text(point{outer.x0, top + barHeight/2 + 4}, r.Name, seriesLabel)
		x := inner.x0
		var keys []key
		for _, part := range r.Parts {
			if part.Value <= 0 {
				continue
			}
			w := part.Value / longest * inner.width()
			s.begin(part.Name + ": " + part.Text)
			box(s, rect{x, top, x + w, top + barHeight}, part.Colour, 1, stroke{colour: White, width: 1.5})
			style := tickLabel.in(readable(part.Colour)).anchored(atMiddle)
			style.bold = true
			if l.width(part.Text, style)+8 <= w {
				s.text(point{x + w/2, top + barHeight/2 + 4}, part.Text, style)
				keys = append(keys, key{name: part.Name, colour: part.Colour, filled: true, edge: part.Colour})
			} else {
				keys = append(keys, key{name: part.Name + " " + part.Text, colour: part.Colour, filled: true, edge: part.Colour})
			}
			s.end()
			x += w
		}
		drawLegend(s, l, keys, rect{inner.x0, top + barHeight + 3, inner.x1, top + rowHeight})
	}
}

func (r Row) total() float64 {
	sum := 0.0
	for _, p := range r.Parts {
		sum += max(p.Value, 0)
	}
	return sum
}

// readable returns the ink for text on a background.
func readable(c Colour) Colour {
	if 0.299*float64(c.R)+0.587*float64(c.G)+0.114*float64(c.B) > 150 {
		return Ink
	}
	return White
}
