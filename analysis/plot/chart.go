package plot

import (
	"math"
	"slices"
)

// Series is a sequence of points. NaN in Y breaks the line.
type Series struct {
	Name   string // at the end of the line or in the legend
	X, Y   []float64
	Colour Colour
	Dash   Dash
	Marker Marker
	// Intervals, where known; NaN or absent means none. Band draws those of Y as an area.
	YLow, YHigh, XLow, XHigh []float64
	Band                     bool

	NoLine bool
	Thin   bool     // context, behind the others
	Arrow  bool     // the last part of the line carries an arrowhead
	Labels []string // beside points; "" = none
	Hints  []string // shown by a browser when pointed at
}

// Rule is a reference line across the plotting area.
type Rule struct {
	Vertical bool
	At       float64
	Label    string
	Colour   Colour // zero = Slate
}

// Chart is a panel with a horizontal and a vertical axis.
type Chart struct {
	Title  string // what the vertical axis shows
	X, Y   Axis
	Series []Series
	Rules  []Rule
	Height float64 // of the plotting area; 0 = 190
	Legend bool    // names above the plotting area instead of at the ends of the lines
	Pad    float64 // share of the width left free at both ends of both axes
}

func (c Chart) height() float64 {
	if c.Height > 0 {
		return c.Height
	}
	return 190
}

// values gathers what an axis has to cover.
func (c Chart) values(vertical bool) []float64 {
	var all []float64
	for _, s := range c.Series {
		if vertical {
			all = append(all, s.Y...)
			all = append(all, s.YLow...)
			all = append(all, s.YHigh...)
		} else {
			all = append(all, s.X...)
			all = append(all, s.XLow...)
			all = append(all, s.XHigh...)
		}
	}
	for _, r := range c.Rules {
		if r.Vertical != vertical {
			all = append(all, r.At)
		}
	}
	return all
}

func (c Chart) yScale() scale { return c.Y.fit(c.values(true), c.height()/34, c.Pad) }

func (c Chart) xScale(width float64) scale {
	// Lines over steps fill their plotting area; scatter plots leave room.
	pad := c.Pad
	if pad == 0 {
		pad = 0.015
	}
	return c.X.fit(c.values(false), width/70, pad)
}

func (c Chart) measure(l *letters, width float64) insets {
	y := c.yScale()
	m := insets{left: 8, right: 10, top: 6, bottom: 20}
	for _, t := range y.ticks {
		m.left = max(m.left, l.width(y.label(t), tickLabel)+8)
	}
	if c.Title != "" {
		m.top += 16
	}
	if c.X.Label != "" {
		m.bottom += 16
	}
	if c.Legend {
		m.top += legendHeight(l, c.keys(), width)
		return m
	}
	for _, s := range c.Series {
		if c.labelled(s) {
			m.right = max(m.right, l.width(s.Name, seriesLabel)+20)
		}
	}
	return m
}

// labelled reports whether a series gets a label at its end.
func (c Chart) labelled(s Series) bool {
	return !c.Legend && s.Name != "" && !s.NoLine && slices.ContainsFunc(s.Y, func(y float64) bool { return !math.IsNaN(y) })
}

func (c Chart) draw(s surface, l *letters, outer, inner rect) {
	y, x := c.yScale(), c.xScale(inner.width())
	if c.empty() {
		y.ticks, x.ticks = nil, nil
	}
	y.from, y.to = inner.y1, inner.y0
	x.from, x.to = inner.x0, inner.x1
	if c.Title != "" {
		s.text(point{outer.x0, outer.y0 + 11}, c.Title, panelTitle)
	}
	if c.Legend {
		top := outer.y0
		if c.Title != "" {
			top += 18
		}
		drawLegend(s, l, c.keys(), rect{inner.x0, top, outer.x1, inner.y0})
	}
	drawAxes(s, l, x, y, inner)
	for _, r := range c.Rules {
		r.draw(s, x, y, inner)
	}
	if c.empty() {
		s.text(point{(inner.x0 + inner.x1) / 2, (inner.y0+inner.y1)/2 + 4}, "no data", axisLabel.anchored(atMiddle))
	}
	// Context first, then lines, then marks, so that no line crosses a mark.
	order := make([]int, len(c.Series))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case c.Series[a].Thin == c.Series[b].Thin:
			return 0
		case c.Series[a].Thin:
			return -1
		}
		return 1
	})
	for _, i := range order {
		c.Series[i].drawArea(s, x, y, inner)
	}
	for _, i := range order {
		c.Series[i].drawLine(s, x, y, inner)
	}
	for _, i := range order {
		c.Series[i].drawMarks(s, x, y, inner)
	}
	for _, r := range c.Rules {
		r.label(s, l, x, y, inner)
	}
	c.labelEnds(s, x, y, inner)
	c.labelPoints(s, l, x, y, inner)
}

func drawAxes(s surface, l *letters, x, y scale, inner rect) {
	for _, t := range y.ticks {
		py := y.pixel(t)
		s.polyline([]point{{inner.x0, py}, {inner.x1, py}}, stroke{colour: Mist, width: 1})
		s.text(point{inner.x0 - 7, py + 3.8}, y.label(t), tickLabel.anchored(atEnd))
	}
	s.polyline([]point{{inner.x0, inner.y1}, {inner.x1, inner.y1}}, stroke{colour: Slate, width: 1})
	lastEnd := math.Inf(-1)
	for _, t := range x.ticks {
		px := x.pixel(t)
		if x.axis.Categories == nil {
			s.polyline([]point{{px, inner.y1}, {px, inner.y1 + 4}}, stroke{colour: Slate, width: 1})
		}
		area := l.bounds(point{px, 0}, x.label(t), tickLabel.anchored(atMiddle))
		if area.x0 > lastEnd+4 {
			s.text(point{px, inner.y1 + 16}, x.label(t), tickLabel.anchored(atMiddle))
			lastEnd = area.x1
		}
	}
	if x.axis.Label != "" {
		s.text(point{(inner.x0 + inner.x1) / 2, inner.y1 + 33}, x.axis.Label, axisLabel.anchored(atMiddle))
	}
}

// empty reports whether there is no point to draw.
func (c Chart) empty() bool {
	return !slices.ContainsFunc(c.Series, func(s Series) bool {
		return slices.ContainsFunc(s.Y, func(y float64) bool { return !math.IsNaN(y) })
	})
}

func (r Rule) colour() Colour {
	if r.Colour == (Colour{}) {
		return Slate
	}
	return r.Colour
}

func (r Rule) draw(s surface, x, y scale, inner rect) {
	line := stroke{colour: r.colour(), width: 1.2, dash: []float64{3, 3}}
	if r.Vertical {
		px := x.at(r.At)
		s.polyline([]point{{px, inner.y0}, {px, inner.y1}}, line)
		return
	}
	py := y.at(r.At)
	s.polyline([]point{{inner.x0, py}, {inner.x1, py}}, line)
}

// label names the rule, over everything that crosses it.
func (r Rule) label(s surface, l *letters, x, y scale, inner rect) {
	style := ruleLabel.in(r.colour())
	if !r.Vertical {
		s.text(point{inner.x1 - 3, y.at(r.At) - 4}, r.Label, style.anchored(atEnd))
		return
	}
	px := x.at(r.At)
	if px+l.width(r.Label, style)+6 > inner.x1 {
		s.text(point{px - 5, inner.y0 + 10}, r.Label, style.anchored(atEnd))
		return
	}
	s.text(point{px + 5, inner.y0 + 10}, r.Label, style)
}
