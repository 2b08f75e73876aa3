package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"pith/traces"
)

// pairing is one held-out problem answered before and after the run.
type pairing struct {
	Why           string
	Problem       string
	Level         int32
	Gold, Prompt  string
	Before, After response
}

// response is what a reader wants to see of a trace.
type response struct {
	Parts     []part
	Verdict   traces.Verdict
	Extracted string
	Tokens    int32
	Injected  int32
	Calls     int
	Truncated bool
}

// part is a piece of a response's text. Kind is "" where the text is the policy's own.
type part struct{ Kind, Text string }

// textRow is what a report reads of the few traces that it shows.
type textRow struct {
	Step           int64             `parquet:"step"`
	Problem        string            `parquet:"problem"`
	Level          int32             `parquet:"level"`
	Gold           string            `parquet:"gold"`
	PromptText     string            `parquet:"prompt_text"`
	Text           string            `parquet:"text"`
	Verdict        traces.Verdict    `parquet:"verdict,dict"`
	Extracted      string            `parquet:"extracted"`
	Finish         traces.Finish     `parquet:"finish,dict"`
	LengthTokens   int32             `parquet:"length_tokens"`
	InjectedTokens int32             `parquet:"injected_tokens"`
	ToolCalls      []traces.ToolCall `parquet:"tool_calls,list"`
}

// samples chooses a few problems that show what has changed, and reads their texts. The choice is a
// rule, not taste: it shows a gain, the typical saving at both ends of difficulty, and a loss where
// there is one.
func (r *RunReport) samples() []pairing {
	if r.Gain == nil {
		return nil
	}
	d := r.data
	first, last := evalKey{r.Base.Step, r.Base.Decoding}, evalKey{r.Final.Step, r.Final.Decoding}
	after := map[string]evalRow{}
	for _, row := range d.rows[last] {
		if _, again := after[row.Problem]; !again {
			after[row.Problem] = row
		}
	}
	type both struct{ before, after evalRow }
	var pairs []both
	seen := map[string]bool{}
	for _, row := range d.rows[first] {
		if a, ok := after[row.Problem]; ok && !seen[row.Problem] {
			seen[row.Problem] = true
			pairs = append(pairs, both{row, a})
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	easy, hard := pairs[0].before.Level, pairs[0].before.Level
	for _, p := range pairs {
		easy, hard = min(easy, p.before.Level), max(hard, p.before.Level)
	}
	right := func(row evalRow) bool { return row.Verdict == traces.Right }
	wrong := func(row evalRow) bool { return row.Verdict == traces.Wrong }
	var chosen []pairing
	taken := map[string]bool{}
	pick := func(why string, fits func(both) bool) {
		var match []both
		for _, p := range pairs {
			if !taken[p.before.Problem] && fits(p) {
				match = append(match, p)
			}
		}
		if len(match) == 0 {
			return
		}
		// The typical one: the median by saving, ties by name.
		slices.SortFunc(match, func(a, b both) int {
			return cmp.Or(cmp.Compare(a.before.LengthTokens-a.after.LengthTokens, b.before.LengthTokens-b.after.LengthTokens), cmp.Compare(a.before.Problem, b.before.Problem))
		})
		p := match[len(match)/2]
		taken[p.before.Problem] = true
		chosen = append(chosen, pairing{Why: fmt.Sprintf("%s (one of %s like it)", why, count(int64(len(match)))), Problem: p.before.Problem, Level: p.before.Level})
	}
	pick("Wrong before, right after", func(p both) bool { return wrong(p.before) && right(p.after) })
	pick("Right both times, hardest level", func(p both) bool { return right(p.before) && right(p.after) && p.before.Level == hard })
	if easy != hard {
		pick("Right both times, easiest level", func(p both) bool { return right(p.before) && right(p.after) && p.before.Level == easy })
	}
	pick("Right before, wrong after", func(p both) bool { return right(p.before) && wrong(p.after) })
	if len(chosen) == 0 {
		pick("A typical problem", func(both) bool { return true })
	}
	return d.texts(chosen, first, last)
}

// texts reads the responses to the chosen problems.
func (d *runData) texts(chosen []pairing, first, last evalKey) []pairing {
	index := map[string]int{}
	for i, p := range chosen {
		index[p.Problem] = i
	}
	for _, key := range []evalKey{first, last} {
		found := map[string]bool{}
		for row, err := range traces.Scan[textRow](d.log, traces.Filter{Set: traces.Evaluations, FromStep: key.step, Decoding: key.decoding}) {
			if err != nil {
				continue // noted when the lengths were read
			}
			if row.Step > key.step {
				break
			}
			i, wanted := index[row.Problem]
			if !wanted || found[row.Problem] {
				continue
			}
			found[row.Problem] = true
			chosen[i].Gold, chosen[i].Prompt = row.Gold, row.PromptText
			answer := response{
				Parts: parts(row.Text), Verdict: row.Verdict, Extracted: row.Extracted, Tokens: row.LengthTokens,
				Injected: row.InjectedTokens, Calls: len(row.ToolCalls), Truncated: row.Finish == traces.FinishLength,
			}
			if key == first {
				chosen[i].Before = answer
			} else {
				chosen[i].After = answer
			}
		}
	}
	return chosen
}

// longestShown bounds the text of one response in a report, in bytes; what is left out is said.
const longestShown = 6000

// parts cuts an over-long text in the middle.
func parts(text string) []part {
	if len(text) <= longestShown {
		return []part{{Text: text}}
	}
	head, tail := text[:longestShown*2/3], text[len(text)-longestShown/3:]
	whole := func(s string) string { return strings.ToValidUTF8(s, "") } // a cut may halve a character
	return []part{
		{Text: whole(head)},
		{Kind: "cut", Text: fmt.Sprintf("… %s bytes left out …", count(int64(len(text)-longestShown)))},
		{Text: whole(tail)},
	}
}
