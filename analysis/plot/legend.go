package plot

// key is an entry of a legend: a piece of line with a marker, or a filled box.
type key struct {
	name   string
	colour Colour
	dash   Dash
	marker Marker
	line   bool
	filled bool
	edge   Colour
}

const keyWidth = 26.0

func (c Chart) keys() []key {
	var keys []key
	for _, s := range c.Series {
		if s.Name != "" {
			keys = append(keys, key{name: s.Name, colour: s.Colour, dash: s.Dash, marker: s.Marker, line: !s.NoLine})
		}
	}
	return keys
}

// place lays entries out in lines and calls put for each with its left edge and its line.
func place(l *letters, keys []key, width float64, put func(k key, x float64, line int)) (lines int) {
	x, line := 0.0, 0
	for _, k := range keys {
		w := keyWidth + 6 + l.width(k.name, tickLabel) + 18
		if x > 0 && x+w-18 > width {
			x, line = 0, line+1
		}
		put(k, x, line)
		x += w
	}
	return line + 1
}

func legendHeight(l *letters, keys []key, width float64) float64 {
	if len(keys) == 0 {
		return 0
	}
	// Margins are not known yet when heights are; assume a generous one.
	return 17*float64(place(l, keys, width-60, func(key, float64, int) {})) + 5
}

func drawLegend(s surface, l *letters, keys []key, area rect) {
	place(l, keys, area.width(), func(k key, x float64, line int) {
		at := point{area.x0 + x, area.y0 + 9 + 17*float64(line)}
		if k.filled {
			box(s, rect{at.x, at.y - 5, at.x + 16, at.y + 5}, k.colour, 1, stroke{colour: k.edge, width: 1})
		} else {
			if k.line {
				s.polyline([]point{at, {at.x + keyWidth, at.y}}, stroke{colour: k.colour, width: 2, dash: k.dash.pattern()})
			}
			mark(s, k.marker, point{at.x + keyWidth/2, at.y}, 3.8, k.colour)
		}
		text := at.x + keyWidth + 6
		if k.filled {
			text = at.x + 22
		}
		s.text(point{text, at.y + 4}, k.name, tickLabel.in(Ink))
	})
}
