package plot

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
)

// CSV writes what a figure shows as numbers, a line each, so that nobody has to read them off the
// picture: the points of its charts, the bars of its histograms (x is a bin's low end, x_high its
// high one) and the parts of its wholes.
func (f Figure) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"panel", "series", "x", "y", "x_low", "x_high", "y_low", "y_high", "text"}}
	for _, p := range f.Panels {
		switch p := p.(type) {
		case Chart:
			rows = append(rows, p.data()...)
		case Histogram:
			for _, s := range p.Stacks {
				for i, v := range s.Values {
					rows = append(rows, []string{p.Title, s.Name, number(p.Edges[i]), number(v), "", number(p.Edges[i+1]), "", "", ""})
				}
			}
		case Shares:
			for _, r := range p.Rows {
				for _, part := range r.Parts {
					rows = append(rows, []string{r.Name, part.Name, "", number(part.Value), "", "", "", "", part.Text})
				}
			}
		}
	}
	return c.WriteAll(rows)
}

// data are the points of a chart.
func (p Chart) data() (rows [][]string) {
	at := func(v []float64, i int) string {
		if i < len(v) {
			return number(v[i])
		}
		return ""
	}
	for i, s := range p.Series {
		name := s.Name
		if name == "" {
			name = strconv.Itoa(i)
		}
		for j := range s.X {
			hint := ""
			if j < len(s.Hints) {
				hint = s.Hints[j]
			}
			rows = append(rows, []string{p.Title, name, number(s.X[j]), number(s.Y[j]), at(s.XLow, j), at(s.XHigh, j), at(s.YLow, j), at(s.YHigh, j), hint})
		}
	}
	return rows
}

// number is x, or nothing where there is none.
func number(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', 9, 64)
}
