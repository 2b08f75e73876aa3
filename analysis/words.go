package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"pith/traces"
)

// Sentences says in plain words what was gained and what was lost, run by run.
func (r Report) Sentences() []string {
	var out []string
	for i := range r.Runs {
		prefix := ""
		if len(r.Runs) > 1 {
			prefix = r.Runs[i].Name + ": "
		}
		for _, s := range r.Runs[i].Sentences() {
			out = append(out, prefix+s)
		}
	}
	return out
}

// Sentences says in plain words what the run has gained: the change at the training temperature,
// the change when decoding greedily, what part of it is sharpening, levels that lost accuracy, the
// accounting, and who waited for whom. Losses are said as plainly as gains.
func (r *RunReport) Sentences() []string {
	var out []string
	for _, s := range []string{
		r.change(r.Base, r.Final, r.Gain), r.change(r.BaseGreedy, r.FinalGreedy, r.GainGreedy),
		r.sharpening(), r.budgets(), r.tools(), r.difficulty(), r.lostLevels(), r.hacked(), r.biased(), r.unfinished(), r.accounted(), r.Waits.Sentence,
	} {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (r *RunReport) change(base, final *Evaluation, g *Gain) string {
	if base == nil || (base.Decoding == greedy && base == r.BaseGreedy && r.Base != nil && r.Base.Decoding == greedy) {
		return "" // nothing, or said already
	}
	how := fmt.Sprintf("At temperature %s", trim(base.Temperature, 2))
	if base.Decoding == greedy {
		how = "Greedily"
	}
	if g == nil {
		return fmt.Sprintf("%s, %s of %s held-out problems were right in %s tokens; there is no second evaluation to compare with.",
			how, share(base.Accuracy), count(base.Problems), trim(base.TokensMean, 1))
	}
	return fmt.Sprintf("%s, accuracy on %s held-out problems %s (%s%s) and the mean response %s tokens (%s%s).",
		how, count(min(base.Problems, final.Problems)),
		moved(g.Accuracy, g.AccuracyInterval, share(base.Accuracy), share(final.Accuracy)), points(g.Accuracy), between(g.AccuracyInterval, 1),
		moved(g.Tokens, g.TokensInterval, trim(base.TokensMean, 1), trim(final.TokensMean, 1)), relative(g.Tokens), between(g.TokensInterval, 0))
}

// moved describes a change; one whose interval holds 0 is not told from chance.
func moved(change float64, i *Interval, from, to string) string {
	verb := "rose"
	switch {
	case from == to:
		return "stayed at " + to
	case change < 0:
		verb = "fell"
	}
	if i != nil && i[0] <= 0 && i[1] >= 0 {
		verb += ", within chance,"
	}
	return verb + " from " + from + " to " + to
}

// between writes an interval in the unit of the number before it.
func between(i *Interval, decimals int) string {
	if i == nil {
		return ""
	}
	return fmt.Sprintf(", 95\u00a0%% interval %s to %s", signed(i[0]*100, decimals), signed(i[1]*100, decimals))
}

// sharpening says how much of a gain at a temperature greedy decoding of the base had already.
func (r *RunReport) sharpening() string {
	if r.Gain == nil || r.BaseGreedy == nil || r.Base.Decoding == greedy || r.Gain.Accuracy <= 0 {
		return ""
	}
	had := r.BaseGreedy.Accuracy - r.Base.Accuracy
	if had <= 0.02 {
		return ""
	}
	return fmt.Sprintf("Part of the gain in accuracy is sharpening: the base decoded greedily was right on %s already, at %s tokens.",
		share(r.BaseGreedy.Accuracy), trim(r.BaseGreedy.TokensMean, 1))
}

func (r *RunReport) budgets() string {
	if r.Gain == nil || r.Base.AnytimeAccuracy == nil || r.Final.AnytimeAccuracy == nil {
		return ""
	}
	was, is := *r.Base.AnytimeAccuracy, *r.Final.AnytimeAccuracy
	times := ""
	if was > 0 {
		times = fmt.Sprintf(", %s times as often", trim(is/was, 1))
	}
	return fmt.Sprintf("With thinking cut at the budgets, the answer was right %s of the time on average, before %s%s.", share(is), share(was), times)
}

func (r *RunReport) tools() string {
	if r.Gain == nil || r.Base.ToolCallsMean == 0 {
		return ""
	}
	was, is := r.Base.ToolCallsMean, r.Final.ToolCallsMean
	return fmt.Sprintf("Tool calls went from %s to %s a response (%s).", trim(was, 2), trim(is, 2), relative(is/was-1))
}

// lostLevels names the levels whose accuracy fell beyond chance.
func (r *RunReport) lostLevels() string {
	var lost []string
	for _, ends := range []struct {
		base, final *Evaluation
		gain        *Gain
		how         string
	}{{r.Base, r.Final, r.Gain, ""}, {r.BaseGreedy, r.FinalGreedy, r.GainGreedy, " (greedy)"}} {
		if ends.gain == nil || (ends.how != "" && r.Base.Decoding == greedy) {
			continue
		}
		before := map[int32]traces.LevelEval{}
		for _, l := range ends.base.Levels {
			before[l.Level] = l
		}
		for _, l := range ends.final.Levels {
			was, ok := before[l.Level]
			if !ok || difference(was.Accuracy, float64(was.Problems), l.Accuracy, float64(l.Problems))[1] >= 0 {
				continue
			}
			lost = append(lost, fmt.Sprintf("on level %d from %s to %s%s", l.Level, share(was.Accuracy), share(l.Accuracy), ends.how))
		}
	}
	if len(lost) == 0 {
		return ""
	}
	return "There was a price: accuracy fell " + strings.Join(lost, ", ") + "."
}

func (r *RunReport) unfinished() string {
	if r.Planned == 0 || r.Steps >= r.Planned {
		return ""
	}
	if gain := r.data.manifest.Config.Run.StopGain; gain > 0 && r.Final != nil && r.Final.Step == r.Steps {
		return fmt.Sprintf("The run ended after %d of %d steps: its learning curve promised less than %s more (run.stop_gain).", r.Steps, r.Planned, points100(gain))
	}
	return fmt.Sprintf("The run has done %d of %d steps.", r.Steps, r.Planned)
}

func (r *RunReport) accounted() string {
	a := r.Accounting
	if a.Released == 0 {
		return ""
	}
	if !a.Exact {
		for _, p := range r.Problems {
			if strings.HasPrefix(p, "accounting: ") {
				return "ERROR, the accounting does not close: " + strings.TrimPrefix(p, "accounting: ") + "."
			}
		}
	}
	return fmt.Sprintf("All %s released traces are accounted for: %s trained, %s filtered, %s failed, %s dead-lettered.",
		count(a.Released), count(a.Trained), count(a.Filtered), count(a.Failed), count(a.DeadLettered))
}

// share writes an accuracy with a decimal.
func share(x float64) string { return trim(x*100, 1) + "\u00a0%" } // which no line break may part

// points writes a difference of shares.
func points(x float64) string { return signed(x*100, 1) + " points" }

// relative writes a relative change.
func relative(x float64) string { return signed(x*100, 0) + "\u00a0%" }

// signed writes a number with its sign, the minus as such.
func signed(x float64, decimals int) string {
	s := strconv.FormatFloat(math.Abs(x), 'f', decimals, 64)
	switch {
	case strings.Trim(s, "0.") == "":
		return s
	case x < 0:
		return "\u2212" + s
	}
	return "+" + s
}

// trim writes a number with at most so many decimals.
func trim(x float64, decimals int) string {
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Contains(s, ".") && decimals > 1 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return strings.Replace(s, "-", "\u2212", 1)
}

// count writes a whole number with separators.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, digit := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// settingsOf writes parameters in the order of their names.
func settingsOf(params map[string]any) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(params)) {
		parts = append(parts, fmt.Sprintf("%s %v", key, params[key]))
	}
	return strings.Join(parts, ", ")
}

// biased names the stations of the pipeline that move the lengths for no reason of the method.
func (r *RunReport) biased() string {
	if r.Stations == nil {
		return ""
	}
	for _, w := range r.Stations.Warnings {
		if w.Explained == "" {
			return w.Sentence
		}
	}
	return ""
}
