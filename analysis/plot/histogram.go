package plot

import "fmt"

// Stack is one layer of a stacked histogram, from the bottom up.
type Stack struct {
	Name   string
	Values []float64 // one a bin
	Colour Colour
}

// Histogram is a panel of stacked bars over bins.
type Histogram struct {
	Title  string
	X, Y   Axis
	Edges  []float64 // bins + 1
	Stacks []Stack
	Rules  []Rule
	Height float64
	Legend bool
	Top    float64 // of the vertical axis, so that panels compare; 0 = fits
}

func (h Histogram) height() float64 {
	if h.Height > 0 {
		return h.Height
	}
	return 120
}

// Tallest returns the height of the highest bar.
func (h Histogram) Tallest() float64 {
	top := 0.0
	for i := range len(h.Edges) - 1 {
		sum := 0.0
		for _, s := range h.Stacks {
			sum += s.Values[i]
		}
		top = max(top, sum)
	}
	return top
}

func (h Histogram) yScale() scale {
	a := h.Y
	a.Zero = true
	return a.fit([]float64{0, max(h.Top, h.Tallest())}, h.height()/30, 0)
}

func (h Histogram) keys() []key {
	var keys []key
	for _, s := range h.Stacks {
		keys = append(keys, key{name: s.Name, colour: s.Colour, filled: true, edge: Ink})
	}
	return keys
}

func (h Histogram) measure(l *letters, width float64) insets {
	y := h.yScale()
	m := insets{left: 8, right: 10, top: 6, bottom: 20}
	for _, t := range y.ticks {
		m.left = max(m.left, l.width(y.label(t), tickLabel)+8)
	}
	if h.Title != "" {
		m.top += 16
	}
	if h.X.Label != "" {
		m.bottom += 16
	}
	if h.Legend {
		m.top += legendHeight(l, h.keys(), width)
	}
	return m
}

func (h Histogram) draw(s surface, l *letters, outer, inner rect) {
	y := h.yScale()
	y.from, y.to = inner.y1, inner.y0
	axis := h.X
	if axis.Range[0] == axis.Range[1] && len(h.Edges) > 1 {
		axis.Range = [2]float64{h.Edges[0], h.Edges[len(h.Edges)-1]}
	}
	x := axis.fit(h.Edges, inner.width()/70, 0)
	x.from, x.to = inner.x0, inner.x1
	if h.Title != "" {
		s.text(point{outer.x0, outer.y0 + 11}, h.Title, panelTitle)
	}
	if h.Legend {
		top := outer.y0
		if h.Title != "" {
			top += 18
		}
		drawLegend(s, l, h.keys(), rect{inner.x0, top, outer.x1, inner.y0})
	}
	drawAxes(s, l, x, y, inner)
	for i := range len(h.Edges) - 1 {
		left, right := x.at(h.Edges[i])+0.5, x.at(h.Edges[i+1])-0.5
		sum := 0.0
		for _, st := range h.Stacks {
			v := st.Values[i]
			if v <= 0 {
				continue
			}
			s.begin(fmt.Sprintf("%s, %s to %s: %s", st.Name, axis.Format.write(h.Edges[i], 0), axis.Format.write(h.Edges[i+1], 0), h.Y.Format.write(v, y.decimals+1)))
			box(s, rect{left, y.at(sum + v), right, y.at(sum)}, st.Colour, 1, stroke{colour: Ink, width: 0.7})
			s.end()
			sum += v
		}
	}
	s.polyline([]point{{inner.x0, inner.y1}, {inner.x1, inner.y1}}, stroke{colour: Slate, width: 1})
	for _, r := range h.Rules {
		r.draw(s, x, y, inner)
		r.label(s, l, x, y, inner)
	}
}
