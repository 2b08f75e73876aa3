package live

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// chart draws values as a line of braille dots, width by height characters, each two dots wide and
// four high, with the largest and smallest value beside it. Values are spread over the width; where
// there are more than dots, each dot shows their mean.
func chart(title string, values []float64, width, height int, format string) []string {
	label := 0
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if len(values) == 0 {
		return []string{cut(title+": nothing yet", width)}
	}
	top, bottom := fmt.Sprintf(format, high), fmt.Sprintf(format, low)
	label = max(utf8.RuneCountInString(top), utf8.RuneCountInString(bottom))
	width = max(width-label-1, 1)
	cells := make([][]rune, height)
	for i := range cells {
		cells[i] = []rune(strings.Repeat("\u2800", width))
	}
	columns := width * 2
	previous := -1
	for x := range columns {
		from := x * len(values) / columns
		to := max((x+1)*len(values)/columns, from+1)
		mean := 0.0
		for _, v := range values[from:to] {
			mean += v
		}
		mean /= float64(to - from)
		y := 0
		if high > low {
			y = int(math.Round((mean - low) / (high - low) * float64(height*4-1)))
		}
		// A vertical stroke joins neighbours, so that a jump reads as one line.
		first, last := y, y
		if previous >= 0 {
			first, last = min(y, previous), max(y, previous)
		}
		for dot := first; dot <= last; dot++ {
			row := height - 1 - dot/4
			cells[row][x/2] |= braille[x%2][3-dot%4]
		}
		previous = y
	}
	lines := []string{cut(title, width+label+1)}
	for i, row := range cells {
		side := ""
		switch i {
		case 0:
			side = top
		case height - 1:
			side = bottom
		}
		lines = append(lines, fmt.Sprintf("%*s %s", label, side, string(row)))
	}
	return lines
}

// braille dots by column and row from the top.
var braille = [2][4]rune{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}

// Text draws a snapshot as lines of at most width columns, for a terminal or a log.
func (x Snapshot) Text(width, height int) string {
	width = max(width, 20)
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(cut(fmt.Sprintf(format, args...), width))
		b.WriteByte('\n')
	}
	steps := fmt.Sprint(x.Done)
	if x.Steps > 0 {
		steps += fmt.Sprintf(" of %d", x.Steps)
	}
	head := fmt.Sprintf("%s  %s, seed %d  step %s  %s", x.Run, x.Method, x.Seed, steps, x.State)
	if x.Left > 0 {
		head += fmt.Sprintf(", about %s left", (time.Duration(x.Left) * time.Second).Round(time.Second))
	}
	line("%s", head)
	x.charts(&b, width, height)
	for _, e := range x.latestEvals() {
		line("held out, %-7s  accuracy %5.1f%%  tokens %6.1f  (step %d, %d problems)", e.Decoding, 100*e.Accuracy, e.Tokens, e.Step, e.Problems)
	}
	if w := x.Waits; w.SecondsPerStep > 0 {
		line("%.2f s a step: trainer waiting %.0f%%, engine idle %.0f%%, learning %.0f%%", w.SecondsPerStep, 100*w.Trainer, 100*w.Engine, 100*w.Learn)
	}
	if q := x.Queue; q != nil {
		line("queue: %d tasks waiting, %d with workers, %d outcomes not committed", q.Queued, q.Running, q.Outcomes)
	}
	for _, w := range x.Workers {
		line("worker %s: %d traces of the last step, %.2f s queued, %.2f s in the engine", w.Name, w.Traces, w.Queue, w.Engine)
	}
	for _, s := range x.Last {
		line("%s  %s, %d tokens, reward %.3f", s.ID, s.Verdict, s.Tokens, s.Reward)
		line("  %s → %s", oneLine(s.Prompt), oneLine(s.Text))
	}
	for _, p := range x.Problems {
		line("problem: %s", p)
	}
	return b.String()
}

// charts draws accuracy and length side by side where the terminal is wide, else one below the other.
func (x Snapshot) charts(b *strings.Builder, width, height int) {
	if len(x.Curve) == 0 {
		b.WriteString("no step has been committed yet\n")
		return
	}
	accuracy, tokens := make([]float64, len(x.Curve)), make([]float64, len(x.Curve))
	for i, p := range x.Curve {
		accuracy[i], tokens[i] = 100*p.Accuracy, p.Tokens
	}
	rows := min(max((height-14)/2, 3), 8)
	each := width
	wide := width >= 90
	if wide {
		each = (width - 2) / 2
		rows = min(max(height-14, 3), 8)
	}
	left := chart("accuracy of sampled traces, %", accuracy, each, rows, "%.1f")
	right := chart("response tokens", tokens, each, rows, "%.1f")
	if !wide {
		for _, l := range append(left, right...) {
			b.WriteString(l + "\n")
		}
		return
	}
	for i, l := range left {
		fmt.Fprintf(b, "%s%s  %s\n", l, strings.Repeat(" ", max(each-utf8.RuneCountInString(l), 0)), right[i])
	}
}

// latestEvals is the newest evaluation of each decoding.
func (x Snapshot) latestEvals() []EvalPoint {
	var out []EvalPoint
	for _, e := range x.Evals {
		found := false
		for i := range out {
			if out[i].Decoding == e.Decoding {
				out[i], found = e, true
			}
		}
		if !found {
			out = append(out, e)
		}
	}
	return out
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// cut shortens a line to width columns.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
