package ablation

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"pith/analysis/stats"
)

// plusMinus writes mean ± half of the interval.
func plusMinus(e *stats.Estimate, factor float64, decimals int, sign bool) string {
	if e == nil || math.IsNaN(e.Mean) {
		return "–"
	}
	text := number(factor*e.Mean, decimals)
	if sign {
		text = signed(factor*e.Mean, decimals)
	}
	if e.Interval != nil {
		text += " ± " + number(factor*(e.Interval[1]-e.Interval[0])/2, decimals)
	}
	return text
}

// head is the first line of the tables that people read.
var head = []string{"#", "arm", "seeds", "accuracy, %", "tokens", "points gained", "tokens, %", "AES", "area", "on the front, %", "vs reference: points", "p, Holm", "tokens, %", "p, Holm", "seeds needed"}

// cells are the columns of a row, in the order of head.
func (r *Row) cells(reference string) []string {
	name := r.Name
	if r.OnFront {
		name += " ★"
	}
	points, tokens, pa, pt, needed := "–", "–", "–", "–", "–"
	if v := r.VsReference; v != nil {
		points, tokens = plusMinus(&v.Accuracy, 100, 1, true), plusMinus(&v.Tokens, 100, 0, true)
		pa, pt = pValue(v.AccuracyHolm), pValue(v.TokensHolm)
		switch {
		case v.SeedsNeeded != nil:
			needed = strconv.Itoa(*v.SeedsNeeded)
		case v.Accuracy.OverSeeds():
			needed = "more problems"
		}
	} else if r.Name == reference {
		points, tokens = "reference", "reference"
	}
	return []string{
		strconv.Itoa(r.Number), name, strconv.Itoa(len(r.Seeds)),
		plusMinus(&r.Accuracy, 100, 1, false), plusMinus(&r.Tokens, 1, 1, false), plusMinus(r.Gain, 100, 1, true), plusMinus(r.Saving, 100, 0, true),
		plusMinus(r.AES, 1, 2, false), plusMinus(&r.Area, 1, 3, false), number(100*r.FrontShare, 0), points, pa, tokens, pt, needed,
	}
}

func pValue(p *float64) string {
	switch {
	case p == nil:
		return "–"
	case *p < 0.001:
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", *p)
}

// caption says how a table is to be read.
func (t *Table) caption(r *Report) string {
	how := fmt.Sprintf("Sampled at temperature %s", strconv.FormatFloat(t.Temperature, 'g', 4, 64))
	if t.Decoding == greedy {
		how = "Greedy"
	}
	return fmt.Sprintf("%s, %d held-out problems a seed, at most %.0f tokens", how, t.Problems, t.Limit)
}

// note explains the columns.
func (r *Report) note() string {
	return fmt.Sprintf("Means over seeds; ± is half of the 95 %% interval over seeds and held-out problems. Gains, savings and AES (%s) are against the untrained policy of the same seed. "+
		"Area: under the curve of accuracy against a token limit, on a logarithmic grid. ★: nothing else is at least as accurate with no more tokens; beside it, in how many of %d bootstrap draws. "+
		"Against %s, paired by seed and problem; p is two-sided and corrected by Holm's method over the arms. "+
		"Seeds needed: how many would tell a difference of %s points in accuracy with a probability of 80 %%.", r.Weights, r.Draws, r.Reference, number(r.Points, 1))
}

// Markdown returns the comparison as text: sentences, then a table for each way of decoding.
func (r Report) Markdown() string {
	var b strings.Builder
	for _, s := range r.Sentences {
		b.WriteString("- " + s + "\n")
	}
	b.WriteString(r.MarkdownTables())
	return b.String()
}

// MarkdownTables returns the tables alone.
func (r Report) MarkdownTables() string {
	var b strings.Builder
	for i := range r.Tables {
		t := &r.Tables[i]
		fmt.Fprintf(&b, "\n%s:\n\n", t.caption(&r))
		b.WriteString("| " + strings.Join(head, " | ") + " |\n| ---: | --- |" + strings.Repeat(" ---: |", len(head)-2) + "\n")
		for j := range t.Rows {
			b.WriteString("| " + strings.Join(t.Rows[j].cells(r.Reference), " | ") + " |\n")
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.note())
	return b.String()
}

// WriteCSV writes every row of every table with plain numbers; unknown is empty.
func (r Report) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	header := []string{"decoding", "number", "arm", "kind", "method", "seeds"}
	for _, name := range []string{"accuracy", "tokens", "accuracy_gain", "tokens_change", "aes", "budget_area", "hypervolume", "vs_reference_accuracy", "vs_reference_tokens"} {
		header = append(header, name, name+"_low", name+"_high")
	}
	header = append(header, "vs_reference_accuracy_p_holm", "vs_reference_tokens_p_holm", "seeds_needed", "truncated", "no_score", "on_front", "front_share", "exclusive_hypervolume")
	if err := c.Write(header); err != nil {
		return fmt.Errorf("comparison: %w", err)
	}
	for i := range r.Tables {
		t := &r.Tables[i]
		for j := range t.Rows {
			x := &t.Rows[j]
			record := []string{t.Decoding, strconv.Itoa(x.Number), x.Name, x.Kind, x.Method, strconv.Itoa(len(x.Seeds))}
			var va, vt *stats.Estimate
			var pa, pt *float64
			needed := ""
			if v := x.VsReference; v != nil {
				va, vt, pa, pt = &v.Accuracy, &v.Tokens, v.AccuracyHolm, v.TokensHolm
				if v.SeedsNeeded != nil {
					needed = strconv.Itoa(*v.SeedsNeeded)
				}
			}
			for _, e := range []*stats.Estimate{&x.Accuracy, &x.Tokens, x.Gain, x.Saving, x.AES, &x.Area, x.Volume, va, vt} {
				record = append(record, plain(e)...)
			}
			record = append(record, plainP(pa), plainP(pt), needed, float(x.Truncated), float(x.NoScore), strconv.FormatBool(x.OnFront), float(x.FrontShare), float(x.Exclusive))
			if err := c.Write(record); err != nil {
				return fmt.Errorf("comparison: %w", err)
			}
		}
	}
	c.Flush()
	return c.Error()
}

func float(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', 9, 64)
}

func plain(e *stats.Estimate) []string {
	if e == nil {
		return []string{"", "", ""}
	}
	if e.Interval == nil {
		return []string{float(e.Mean), "", ""}
	}
	return []string{float(e.Mean), float(e.Interval[0]), float(e.Interval[1])}
}

func plainP(p *float64) string {
	if p == nil {
		return ""
	}
	return float(*p)
}
