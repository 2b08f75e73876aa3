package plot

import (
	"cmp"
	"math"
	"slices"
)

// labelEnds writes the names of lines beside their ends, moved apart where they would overlap.
func (c Chart) labelEnds(s surface, x, y scale, inner rect) {
	type end struct {
		series Series
		at     point
		y      float64
	}
	var ends []end
	for _, series := range c.Series {
		if !c.labelled(series) {
			continue
		}
		for i := len(series.Y) - 1; i >= 0; i-- {
			p, ok := series.position(i, x, y, inner)
			if !ok {
				continue
			}
			if p.x < inner.x1-60 && c.X.Categories == nil {
				// The line ends early: its name belongs there, not at the far edge.
				style := seriesLabel.in(series.Colour.mix(Ink, 0.2))
				style.halo = true
				s.text(point{p.x + 9, p.y + 4}, series.Name, style)
			} else {
				ends = append(ends, end{series, p, p.y})
			}
			break
		}
	}
	slices.SortStableFunc(ends, func(a, b end) int { return cmp.Compare(a.at.y, b.at.y) })
	wanted := make([]float64, len(ends))
	for i, e := range ends {
		wanted[i] = e.at.y
	}
	for i, placed := range spread(wanted, 14, inner.y0, inner.y1) {
		e := ends[i]
		tx := inner.x1 + 14
		if math.Abs(placed-e.at.y) > 4 || e.at.x < inner.x1-20 {
			s.polyline([]point{{e.at.x + 6, e.at.y}, {inner.x1 + 6, placed}, {inner.x1 + 11, placed}}, stroke{colour: e.series.Colour.Tint(0.45), width: 1})
		}
		s.text(point{tx, placed + 4}, e.series.Name, seriesLabel.in(e.series.Colour.mix(Ink, 0.2)))
	}
}

// spread moves sorted positions apart until neighbours keep a distance, as little as possible, within
// [low, high] where they fit.
func spread(wanted []float64, gap, low, high float64) []float64 {
	placed := slices.Clone(wanted)
	n := len(placed)
	if n == 0 {
		return placed
	}
	if span := gap * float64(n-1); span > high-low {
		low, high = (low+high)/2-span/2, (low+high)/2+span/2
	}
	// Blocks of touching labels are centred on the mean of what their members wanted.
	type block struct {
		sum   float64 // of wanted positions, each minus its place in the block
		count int
	}
	var blocks []block
	start := func(b block) float64 {
		return min(max(b.sum/float64(b.count), low), high-gap*float64(b.count-1))
	}
	for _, w := range wanted {
		blocks = append(blocks, block{w, 1})
		for len(blocks) > 1 {
			a, b := blocks[len(blocks)-2], blocks[len(blocks)-1]
			if start(a)+gap*float64(a.count) <= start(b) {
				break
			}
			a.sum += b.sum - gap*float64(a.count)*float64(b.count)
			a.count += b.count
			blocks = append(blocks[:len(blocks)-2], a)
		}
	}
	i := 0
	for _, b := range blocks {
		for k := range b.count {
			placed[i] = start(b) + gap*float64(k)
			i++
		}
	}
	return placed
}

// labelPoints writes labels beside points where they cover neither points nor other labels; one
// that finds no place is left out, the first and the last of a series excepted.
func (c Chart) labelPoints(s surface, l *letters, x, y scale, inner rect) {
	type label struct {
		text     string
		at       point
		colour   Colour
		must     bool
		distance float64
	}
	var labels []label
	var taken []rect
	for _, series := range c.Series {
		for i := range series.Y {
			p, ok := series.position(i, x, y, inner)
			if !ok {
				continue
			}
			if series.Marker != NoMarker {
				r := series.radius() + 1
				taken = append(taken, rect{p.x - r, p.y - r, p.x + r, p.y + r})
			}
			if known(series.XLow, i) && known(series.XHigh, i) {
				taken = append(taken, rect{x.at(series.XLow[i]), p.y - 1, x.at(series.XHigh[i]), p.y + 1})
			}
			if known(series.YLow, i) && known(series.YHigh, i) && !series.Band {
				taken = append(taken, rect{p.x - 1, y.at(series.YHigh[i]), p.x + 1, y.at(series.YLow[i])})
			}
			if i < len(series.Labels) && series.Labels[i] != "" {
				end := i == 0 || i == len(series.Y)-1
				labels = append(labels, label{series.Labels[i], p, series.Colour, end, series.radius() + 5})
			}
		}
	}
	// The ends have their choice first.
	slices.SortStableFunc(labels, func(a, b label) int {
		switch {
		case a.must == b.must:
			return 0
		case a.must:
			return -1
		}
		return 1
	})
	page := rect{inner.x0 - 4, inner.y0 - 12, inner.x1 + 4, inner.y1 - 2}
	for _, lb := range labels {
		style := pointLabel.in(lb.colour)
		d := lb.distance
		candidates := []struct {
			at     point
			anchor anchor
		}{
			{point{lb.at.x + d, lb.at.y + 4}, atStart},
			{point{lb.at.x - d, lb.at.y + 4}, atEnd},
			{point{lb.at.x, lb.at.y - d - 1}, atMiddle},
			{point{lb.at.x, lb.at.y + d + 9}, atMiddle},
			{point{lb.at.x + d*0.8, lb.at.y - d*0.8}, atStart},
			{point{lb.at.x - d*0.8, lb.at.y - d*0.8}, atEnd},
			{point{lb.at.x + d*0.8, lb.at.y + d*0.8 + 8}, atStart},
			{point{lb.at.x - d*0.8, lb.at.y + d*0.8 + 8}, atEnd},
			{point{lb.at.x + 2.2*d, lb.at.y - 2*d}, atStart},
			{point{lb.at.x + 2.2*d, lb.at.y + 2*d + 6}, atStart},
		}
		done := false
		for _, k := range candidates {
			area := l.bounds(k.at, lb.text, style.anchored(k.anchor))
			inside := area.x0 >= page.x0 && area.x1 <= page.x1 && area.y0 >= page.y0 && area.y1 <= page.y1
			if inside && !slices.ContainsFunc(taken, area.overlaps) {
				s.text(k.at, lb.text, style.anchored(k.anchor))
				taken = append(taken, area)
				done = true
				break
			}
		}
		if !done && lb.must {
			s.text(candidates[0].at, lb.text, style)
		}
	}
}
