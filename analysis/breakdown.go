package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"pith/analysis/metrics"
	"pith/traces"
)

// Breakdown adds up traces by one of their columns: who is right how often, at what length, with how
// many tool calls and at what price. It is an [Observer] whose memory grows with keys times
// problems, not with traces.
type Breakdown struct {
	by    string
	key   func(t *traces.Trace) string
	cells map[string]*cell
}

// BreakdownBy lists what traces can be broken down by.
var BreakdownBy = []string{"all", "policy", "dataset", "level", "step", "mode", "finish", "status", "temperature", "split"}

// NewBreakdown prepares a breakdown by one of [BreakdownBy]. Policy is the one that drew the first
// token, or unknown.
func NewBreakdown(by string) (*Breakdown, error) {
	b := &Breakdown{by: by, cells: map[string]*cell{}}
	switch by {
	case "all":
		b.key = func(*traces.Trace) string { return "all" }
	case "policy":
		b.key = func(t *traces.Trace) string {
			if len(t.Spans) == 0 {
				return "unknown"
			}
			return t.Spans[0].Policy
		}
	case "dataset":
		b.key = func(t *traces.Trace) string { return t.Dataset }
	case "level":
		b.key = func(t *traces.Trace) string { return strconv.Itoa(int(t.Level)) }
	case "step":
		b.key = func(t *traces.Trace) string { return strconv.FormatInt(t.Step, 10) }
	case "mode":
		b.key = func(t *traces.Trace) string { return t.Mode }
	case "finish":
		b.key = func(t *traces.Trace) string { return string(t.Finish) }
	case "status":
		b.key = func(t *traces.Trace) string { return string(t.Status) }
	case "temperature":
		b.key = func(t *traces.Trace) string { return strconv.FormatFloat(t.Temperature, 'g', -1, 64) }
	case "split":
		b.key = func(t *traces.Trace) string { return t.Split }
	default:
		return nil, fmt.Errorf("traces cannot be broken down by %q; by %s", by, strings.Join(BreakdownBy, ", "))
	}
	return b, nil
}

// cell is what the traces of one key add up to.
type cell struct {
	traces, right, scored, truncated, calls, callsRight, estimated float64
	tokens, tokensRight, tokensWrong, price                        float64
	problems                                                       map[string]*attempts
	lengths                                                        map[int32]*[4]float64 // tokens to outcomes: right, wrong, cut off, no score
}

// attempts are the samples of one problem.
type attempts struct {
	n, c  int
	price float64
}

// Columns implements [Observer].
func (b *Breakdown) Columns() []string {
	columns := []string{"problem", "verdict", "finish", "status", "length_tokens", "length_source", "tool_calls", "prompt_price", "completion_price"}
	switch b.by {
	case "all":
	case "policy":
		columns = append(columns, "spans")
	default:
		columns = append(columns, b.by)
	}
	return columns
}

// Observe implements [Observer].
func (b *Breakdown) Observe(batch *traces.Batch) {
	for i := range batch.Rows {
		t := &batch.Rows[i]
		if t.Status == traces.Failed || t.Status == traces.DeadLettered {
			continue // they count in no mean
		}
		key := b.key(t)
		c := b.cells[key]
		if c == nil {
			c = &cell{problems: map[string]*attempts{}, lengths: map[int32]*[4]float64{}}
			b.cells[strings.Clone(key)] = c
		}
		c.add(t)
	}
}

func (c *cell) add(t *traces.Trace) {
	length, calls := float64(t.LengthTokens), float64(len(t.ToolCalls))
	c.traces++
	c.tokens += length
	c.calls += calls
	c.price += t.PromptPrice + t.CompletionPrice
	if t.Finish == traces.FinishLength {
		c.truncated++
	}
	if t.LengthSource == traces.LengthEstimated {
		c.estimated++
	}
	at := c.lengths[t.LengthTokens]
	if at == nil {
		at = &[4]float64{}
		c.lengths[t.LengthTokens] = at
	}
	at[outcomeOf(t.Verdict, t.Finish)]++
	if t.Verdict != traces.Right && t.Verdict != traces.Wrong {
		return
	}
	c.scored++
	a := c.problems[t.Problem]
	if a == nil {
		a = &attempts{}
		c.problems[strings.Clone(t.Problem)] = a
	}
	a.n++
	a.price += t.PromptPrice + t.CompletionPrice
	if t.Verdict == traces.Right {
		a.c++
		c.right++
		c.tokensRight += length
		c.callsRight += calls
	} else {
		c.tokensWrong += length
	}
}

// BreakdownRow is one key. Lengths are response tokens; a mean over nothing is null.
type BreakdownRow struct {
	Key              string   `json:"key"`
	Traces           int64    `json:"traces"`
	Problems         int64    `json:"problems"`
	Scored           int64    `json:"scored"`
	Accuracy         *float64 `json:"accuracy"` // right / scored
	AccuracyInterval Interval `json:"accuracy_interval"`
	TokensMean       *float64 `json:"tokens_mean"`
	TokensRight      *float64 `json:"tokens_right"`
	TokensWrong      *float64 `json:"tokens_wrong"`
	TokensPerRight   *float64 `json:"tokens_per_right"` // all tokens of scored answers / right answers
	Estimated        float64  `json:"estimated"`        // share of lengths that are estimates
	Truncated        float64  `json:"truncated"`
	ToolCallsMean    float64  `json:"tool_calls_mean"`
	ToolCallsRight   *float64 `json:"tool_calls_right"` // mean of right answers
	ToolCallsWrong   *float64 `json:"tool_calls_wrong"`
	ToolProductivity *float64 `json:"tool_productivity"` // right answers a call
	PriceMean        float64  `json:"price_mean"`
	CostOfPass       *float64 `json:"cost_of_pass"` // price / accuracy; null without a right answer
	// PassAtK is the mean over problems for k = 1, 2, 4 … up to the fewest samples of a problem.
	PassAtK []PassAt `json:"pass_at_k"`
	// Essentialness is the share of the frontier that goes without this key; null without prices.
	Essentialness *float64 `json:"essentialness"`
}

// PassAt is pass@k and pass^k at one k.
type PassAt struct {
	K   int     `json:"k"`
	Any float64 `json:"any"` // at least one of k right
	All float64 `json:"all"`
}

// BreakdownReport is a finished breakdown.
type BreakdownReport struct {
	By   string         `json:"by"`
	Rows []BreakdownRow `json:"rows"`
	// Frontier is the frontier cost-of-pass over the keys (arXiv 2504.13359): the mean over the
	// problems that all keys have of the cheapest way to pass each, a person at Expert included; null
	// without prices, or where nobody passes some problem.
	Frontier *float64 `json:"frontier_cost_of_pass"`
	Expert   float64  `json:"expert_cost,omitempty"`
}

// Report finishes the breakdown. expert is what a person charges for a problem, 0 for none.
func (b *Breakdown) Report(expert float64) *BreakdownReport {
	r := &BreakdownReport{By: b.by, Rows: []BreakdownRow{}, Expert: expert}
	keys := make([]string, 0, len(b.cells))
	for key := range b.cells {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, c string) int {
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(c, 64)
		if errX == nil && errY == nil {
			return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, c))
		}
		return cmp.Compare(a, c)
	})
	for _, key := range keys {
		r.Rows = append(r.Rows, b.cells[key].row(key))
	}
	b.frontier(r, keys, expert)
	return r
}

func (c *cell) row(key string) BreakdownRow {
	wrong := c.scored - c.right
	row := BreakdownRow{
		Key: key, Traces: int64(c.traces), Problems: int64(len(c.problems)), Scored: int64(c.scored),
		Accuracy: quotient(c.right, c.scored), TokensMean: quotient(c.tokens, c.traces), TokensRight: quotient(c.tokensRight, c.right), TokensWrong: quotient(c.tokensWrong, wrong),
		TokensPerRight: quotient(c.tokensRight+c.tokensWrong, c.right), Estimated: c.estimated / c.traces, Truncated: c.truncated / c.traces,
		ToolCallsMean: c.calls / c.traces, ToolCallsRight: quotient(c.callsRight, c.right), ToolCallsWrong: quotient(c.calls-c.callsRight, c.traces-c.right),
		PriceMean: c.price / c.traces,
	}
	// Several responses to a problem are not independent: the widest case, as for evaluations.
	independent := min(c.scored, float64(len(c.problems)))
	if c.scored > 0 {
		row.AccuracyInterval = Wilson(c.right/c.scored*independent, independent)
	} else {
		row.AccuracyInterval = Wilson(0, 0)
	}
	if p := metrics.ToolProductivity(c.right, c.calls); c.calls > 0 && !math.IsNaN(p) {
		row.ToolProductivity = &p
	}
	if cost := metrics.CostOfPass(row.PriceMean, c.right/max(c.scored, 1)); row.PriceMean > 0 && !math.IsInf(cost, 0) {
		row.CostOfPass = &cost
	}
	fewest := math.MaxInt
	for _, a := range c.problems {
		fewest = min(fewest, a.n)
	}
	for k := 1; k <= fewest && len(c.problems) > 0; k *= 2 {
		at := PassAt{K: k}
		for _, problem := range sortedKeys(c.problems) {
			a := c.problems[problem]
			anyRight, errAny := metrics.PassAtK(a.n, a.c, k)
			allRight, errAll := metrics.PassAllK(a.n, a.c, k)
			if errAny != nil || errAll != nil {
				continue // cannot be: k is at most n
			}
			at.Any += anyRight / float64(len(c.problems))
			at.All += allRight / float64(len(c.problems))
		}
		row.PassAtK = append(row.PassAtK, at)
	}
	return row
}

// frontier sets the keys against each other on the problems that all of them have.
func (b *Breakdown) frontier(r *BreakdownReport, keys []string, expert float64) {
	if expert <= 0 {
		expert = math.Inf(1)
	}
	var shared []string
	for i, key := range keys {
		if i == 0 {
			shared = sortedKeys(b.cells[key].problems)
			continue
		}
		shared = slices.DeleteFunc(shared, func(p string) bool { return b.cells[key].problems[p] == nil })
	}
	if len(shared) == 0 {
		return
	}
	var costs [][]float64
	priced := false
	for _, key := range keys {
		var row []float64
		for _, problem := range shared {
			a := b.cells[key].problems[problem]
			row = append(row, metrics.CostOfPass(a.price/float64(a.n), float64(a.c)/float64(a.n)))
			priced = priced || a.price > 0
		}
		costs = append(costs, row)
	}
	if !priced {
		return
	}
	if v := metrics.FrontierCost(costs, expert); !math.IsInf(v, 0) && !math.IsNaN(v) {
		r.Frontier = &v
		for i := range r.Rows {
			if e := metrics.Essentialness(costs, i, expert); len(keys) > 1 && !math.IsNaN(e) {
				r.Rows[i].Essentialness = &e
			}
		}
	}
}

func quotient(part, whole float64) *float64 {
	if whole == 0 {
		return nil
	}
	x := part / whole
	return &x
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Markdown writes the breakdown as a table.
func (r *BreakdownReport) Markdown() string {
	var out strings.Builder
	var priced, tools bool
	passes := 0
	for i := range r.Rows {
		priced = priced || r.Rows[i].PriceMean > 0
		tools = tools || r.Rows[i].ToolCallsMean > 0
		passes = max(passes, len(r.Rows[i].PassAtK))
	}
	head := []string{r.By, "traces", "accuracy", "tokens", "right", "wrong", "tokens / right answer", "cut off"}
	if tools {
		head = append(head, "calls", "calls, right", "calls, wrong", "right / call")
	}
	if priced {
		head = append(head, "price", "cost-of-pass")
	}
	if priced && r.Frontier != nil && len(r.Rows) > 1 {
		head = append(head, "essentialness")
	}
	for i := 1; i < passes; i++ {
		head = append(head, fmt.Sprintf("pass@%d", 1<<i), fmt.Sprintf("pass^%d", 1<<i))
	}
	line := func(cells []string) { out.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	out.WriteString("| --- |" + strings.Repeat(" ---: |", len(head)-1) + "\n")
	estimated := false
	for i := range r.Rows {
		row := &r.Rows[i]
		estimated = estimated || row.Estimated > 0
		accuracy := "–"
		if row.Accuracy != nil {
			accuracy = fmt.Sprintf("%.1f %% (%.1f to %.1f)", *row.Accuracy*100, row.AccuracyInterval[0]*100, row.AccuracyInterval[1]*100)
		}
		cells := []string{
			row.Key, count(row.Traces), accuracy, decimals(row.TokensMean, 1), decimals(row.TokensRight, 1), decimals(row.TokensWrong, 1),
			decimals(row.TokensPerRight, 1), fmt.Sprintf("%.1f %%", row.Truncated*100),
		}
		if tools {
			cells = append(cells, decimals(&row.ToolCallsMean, 2), decimals(row.ToolCallsRight, 2), decimals(row.ToolCallsWrong, 2), decimals(row.ToolProductivity, 3))
		}
		if priced {
			cells = append(cells, dollars(&row.PriceMean), dollars(row.CostOfPass))
		}
		if priced && r.Frontier != nil && len(r.Rows) > 1 {
			cells = append(cells, decimals(row.Essentialness, 3))
		}
		for k := 1; k < passes; k++ {
			if k < len(row.PassAtK) {
				cells = append(cells, fmt.Sprintf("%.1f %%", row.PassAtK[k].Any*100), fmt.Sprintf("%.1f %%", row.PassAtK[k].All*100))
			} else {
				cells = append(cells, "–", "–")
			}
		}
		line(cells)
	}
	if r.Frontier != nil && len(r.Rows) > 1 {
		with := ""
		if r.Expert > 0 {
			with = fmt.Sprintf(", a person at $%g a problem included", r.Expert)
		}
		fmt.Fprintf(&out, "\nFrontier cost-of-pass over all rows%s: %s a problem.\n", with, dollars(r.Frontier))
	}
	if estimated {
		out.WriteString("\nLengths, and what follows from them, are estimates: the log has no token ids.\n")
	}
	return out.String()
}

func decimals(x *float64, n int) string {
	if x == nil {
		return "–"
	}
	return strconv.FormatFloat(*x, 'f', n, 64)
}

// dollars writes a price with three significant digits.
func dollars(x *float64) string {
	if x == nil {
		return "–"
	}
	return "$" + strconv.FormatFloat(*x, 'g', 3, 64)
}
