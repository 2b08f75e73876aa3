package evaluation

import (
	"fmt"
	"strings"

	"pith/analysis/metrics"
)

// Text is the report for readers.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems, %d responses", r.Problems, r.Responses)
	if r.NoScore+r.Failed > 0 {
		fmt.Fprintf(&b, " (%d without a score, %d failed)", r.NoScore, r.Failed)
	}
	fmt.Fprintf(&b, "\naccuracy        %s\ntokens          %s, median %.0f, 90th percentile %.0f", r.Accuracy.percent(), r.Tokens.plain(), r.TokensP50, r.TokensP90)
	if r.TokensRight != nil {
		fmt.Fprintf(&b, ", right %.1f", *r.TokensRight)
	}
	if r.TokensWrong != nil {
		fmt.Fprintf(&b, ", wrong %.1f", *r.TokensWrong)
	}
	fmt.Fprintf(&b, "\ntruncated       %.1f %%\n", 100*r.Truncated)
	if r.TokensPerRight != nil {
		fmt.Fprintf(&b, "tokens a right answer  %.1f\n", *r.TokensPerRight)
	}
	if r.CostOfPass != nil {
		fmt.Fprintf(&b, "cost of pass    $%.6g (an answer costs $%.6g)\n", *r.CostOfPass, *r.CostPerAnswer)
	}
	fmt.Fprintf(&b, "E³              %.4g, accuracy %.4g, for each 1,000 tokens\n", r.E3, r.PerThousand)
	if r.ToolCalls > 0 {
		fmt.Fprintf(&b, "tool calls      %.2f a response", r.ToolCalls)
		if r.Productivity != nil {
			fmt.Fprintf(&b, ", %.3g right answers a call", *r.Productivity)
		}
		b.WriteByte('\n')
	}
	if len(r.At) > 0 && r.Samples > 1 {
		fmt.Fprintf(&b, "\n%4s %22s %22s %22s %22s %22s\n", "k", "pass@k", "pass^k", "G-Pass@k, 3/4", "maj@k", "maj@k, length-filtered")
		for _, k := range r.At {
			fmt.Fprintf(&b, "%4d %22s %22s %22s %22s %22s\n", k.K, k.Pass.percent(), k.PassAll.percent(), k.GPass.percent(), k.Majority.percent(), k.Filtered.percent())
		}
	}
	if len(r.Budgets) > 0 {
		b.WriteString("\nthinking cut at   accuracy\n")
		for _, x := range r.Budgets {
			fmt.Fprintf(&b, "%9d tokens  %s\n", x.Tokens, x.Accuracy.percent())
		}
		fmt.Fprintf(&b, "mean over the grid %.1f %%", 100**r.Anytime)
		if r.Area != nil {
			fmt.Fprintf(&b, ", area under the curve on log budget %.3f", *r.Area)
		}
		b.WriteByte('\n')
	}
	if len(r.Levels) > 1 {
		b.WriteString("\nlevel  problems  accuracy               tokens\n")
		for _, l := range r.Levels {
			fmt.Fprintf(&b, "%5d  %8d  %-21s  %s\n", l.Level, l.Problems, l.Accuracy.percent(), l.Tokens.plain())
		}
	}
	for _, w := range r.Words {
		if w.Reflecting == 0 && w.Per[metrics.Hedging] == 0 {
			continue
		}
		fmt.Fprintf(&b, "\nmarkers, %s: reflecting %.1f %% of responses;", w.Outcome, 100*w.Reflecting)
		for _, kind := range metrics.MarkerKinds {
			fmt.Fprintf(&b, " %s %.2f", kind, w.Per[kind])
		}
		b.WriteString(" for each 1,000 tokens\n")
	}
	return b.String()
}

func (e Estimate) percent() string {
	return fmt.Sprintf("%.1f %% (%.1f–%.1f)", 100*e.Value, 100*e.Interval[0], 100*e.Interval[1])
}

func (e Estimate) plain() string {
	return fmt.Sprintf("%.1f (%.1f–%.1f)", e.Value, e.Interval[0], e.Interval[1])
}
