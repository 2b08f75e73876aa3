package score

import (
	"fmt"
	"io"
	"strings"
)

// WriteTable prints a comparison for a person: a row a method, and beneath it where the gradient
// mass lies.
func (c *Comparison) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d groups, %d scored traces, compared with %s\n\n", c.Groups, c.Traces, c.Base)
	name := len("method")
	for _, r := range c.Rows {
		name = max(name, len(r.label()))
	}
	fmt.Fprintf(&b, "%-*s  %7s  %6s  %8s  %6s  %6s  %11s\n", name, "method", "sign ≠", "rank ρ", "inverted", "kept", "active", "from length")
	for _, r := range c.Rows {
		rho := "-"
		if r.RankGroups > 0 {
			rho = fmt.Sprintf("%.3f", r.Rank)
		}
		fmt.Fprintf(&b, "%-*s  %6.1f%%  %6s  %7.1f%%  %5.1f%%  %5.1f%%  %10.1f%%\n",
			name, r.label(), 100*r.SignChanged, rho, 100*r.Inverted, 100*r.Kept, 100*r.Active, 100*r.FromLength)
	}
	fmt.Fprintf(&b, "\ngradient mass by length (↑ pushed up, ↓ pushed down)\n%-*s", name, "tokens")
	for _, band := range c.Bands {
		fmt.Fprintf(&b, "  %12s", band.label())
	}
	fmt.Fprintf(&b, "\n%-*s", name, "traces")
	for _, band := range c.Bands {
		fmt.Fprintf(&b, "  %12d", band.Traces)
	}
	for _, r := range c.Rows {
		fmt.Fprintf(&b, "\n%-*s", name, r.label())
		for k, mass := range r.Mass {
			arrow := "↑"
			if r.Push[k] < 0 {
				arrow = "↓"
			}
			if mass == 0 {
				arrow = " "
			}
			fmt.Fprintf(&b, "  %10.1f%%%s", 100*mass, arrow)
		}
	}
	b.WriteString("\n\nsign ≠: traces that the base pushes another way. inverted: right traces below a wrong one of their group.\n" +
		"active: groups with any advantage. from length: share of the advantages that goes away when all traces of a group are equally long.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Row) label() string {
	if r.Profile == "paper" {
		return r.Method
	}
	return r.Method + " (" + r.Profile + ")"
}

func (b *LengthBand) label() string {
	if b.From == 0 {
		return "0"
	}
	return fmt.Sprintf("%d-%d", b.From, b.To-1)
}
