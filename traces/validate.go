package traces

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// InvalidError lists everything that is wrong with one trace.
type InvalidError struct {
	ID       string
	Problems []string
}

func (e *InvalidError) Error() string {
	id := e.ID
	if id == "" {
		id = "without id"
	}
	return fmt.Sprintf("trace %s is invalid: %s", id, strings.Join(e.Problems, "; "))
}

// Sampled says whether tokens of this kind were drawn, by the policy or, where forced, in its
// place. Injected text and tool results were not: they carry log-probability 0, belong to no span
// and are never trained on.
func (k SegmentKind) Sampled() bool { return k != Injected && k != ToolResult }

// logProbSlack is how far above 0 a natural log-probability may lie: engines compute them in
// float32 and a certain token can come out a few ulps above certainty.
const logProbSlack = 1e-3

// Validate reports every rule that t breaks as one [*InvalidError], or nil. It holds the promises
// that readers build on: segments cover the tokens exactly and in order, spans cover the sampled
// tokens and no others, lengths agree, numbers are finite and text is UTF-8 (a Parquet string
// column with anything else is refused by other readers). A trace that says by its LengthSource that
// its token ids are not in the log has none, and its ranges are of the tokens that its lengths count.
// It reads t and nothing else.
func Validate(t *Trace) error {
	v := &validator{}
	v.identity(t)
	v.tokens(t)
	v.segments(t)
	v.spans(t)
	v.calls(t)
	v.budgets(t)
	v.turns(t)
	v.judgement(t)
	if len(v.problems) == 0 {
		return nil
	}
	return &InvalidError{ID: t.ID, Problems: v.problems}
}

// maxUncounted bounds a length that no token ids stand for.
const maxUncounted = 1 << 30

// maxProblems bounds the message about a trace that is wrong everywhere.
const maxProblems = 12

type validator struct{ problems []string }

// extent is how many response tokens the ranges of a trace may reach over.
func extent(t *Trace) int32 {
	if t.LengthSource != "" {
		return t.LengthTokens + t.InjectedTokens
	}
	return int32(len(t.Tokens))
}

func (v *validator) failf(format string, args ...any) {
	if len(v.problems) < maxProblems {
		v.problems = append(v.problems, fmt.Sprintf(format, args...))
	}
}

func (v *validator) finite(name string, x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		v.failf("%s is %v, must be finite", name, x)
	}
}

func (v *validator) text(name, s string) {
	if !utf8.ValidString(s) {
		v.failf("%s is not valid UTF-8", name)
	}
}

func (v *validator) identity(t *Trace) {
	for _, f := range [...]struct{ name, value string }{{"run", t.Run}, {"group", t.Group}, {"id", t.ID}, {"split", t.Split}} {
		if f.value == "" {
			v.failf("%s is empty", f.name)
		}
		v.text(f.name, f.value)
	}
	for _, f := range [...]struct{ name, value string }{
		{"problem", t.Problem}, {"dataset", t.Dataset}, {"gold", t.Gold}, {"prompt_text", t.PromptText},
		{"text", t.Text}, {"error", t.Error}, {"mode", t.Mode}, {"extracted", t.Extracted},
		{"verdict_reason", t.VerdictReason}, {"status_reason", t.StatusReason},
	} {
		v.text(f.name, f.value)
	}
	if t.Step < 0 {
		v.failf("step is %d, must not be negative", t.Step)
	}
	if t.Sample < 0 {
		v.failf("sample is %d, must not be negative", t.Sample)
	}
}

func (v *validator) tokens(t *Trace) {
	switch t.LengthSource {
	case "":
	case LengthReported, LengthEstimated:
		if len(t.Tokens) > 0 {
			v.failf("length_source is %q beside %d tokens, which count themselves", t.LengthSource, len(t.Tokens))
		}
		if t.LengthTokens < 0 || t.InjectedTokens < 0 || t.LengthTokens > maxUncounted || t.InjectedTokens > maxUncounted {
			v.failf("length_tokens %d and injected_tokens %d, must be within 0..%d", t.LengthTokens, t.InjectedTokens, maxUncounted)
		}
	default:
		v.failf("length_source is %q, must be reported, estimated or absent", t.LengthSource)
	}
	if len(t.LogProbs) != len(t.Tokens) {
		v.failf("%d logprobs for %d tokens", len(t.LogProbs), len(t.Tokens))
	}
	for i, lp := range t.LogProbs {
		if f := float64(lp); math.IsNaN(f) || math.IsInf(f, 0) || f > logProbSlack {
			v.failf("logprobs[%d] is %v, must be finite and at most 0", i, lp)
			break
		}
	}
	for i, id := range t.Tokens {
		if id < 0 {
			v.failf("tokens[%d] is %d, must not be negative", i, id)
			break
		}
	}
	for i, id := range t.PromptTokens {
		if id < 0 {
			v.failf("prompt_tokens[%d] is %d, must not be negative", i, id)
			break
		}
	}
	switch t.Finish {
	case FinishStop, FinishLength, FinishAborted:
	case FinishError:
		if t.Error == "" {
			v.failf("finish is error, but error is empty")
		}
	default:
		v.failf("finish is %q, must be stop, length, aborted or error", t.Finish)
	}
}

func (v *validator) segments(t *Trace) {
	var at, sampled, injected int32
	n := extent(t)
	for i, s := range t.Segments {
		switch s.Kind {
		case Think, Answer, ToolCallBy, ToolResult, Injected, Summary, Forced:
		default:
			v.failf("segments[%d] has unknown kind %q", i, s.Kind)
		}
		if s.Start != at || s.End <= s.Start || s.End > n {
			v.failf("segments[%d] is [%d,%d), must begin at %d, hold a token and end by %d", i, s.Start, s.End, at, n)
			return
		}
		at = s.End
		if s.Kind.Sampled() {
			sampled += s.End - s.Start
			continue
		}
		injected += s.End - s.Start
		if s.Train {
			v.failf("segments[%d] (%s) is trained on, but no policy sampled it", i, s.Kind)
		}
		for p := s.Start; p < s.End && int(p) < len(t.LogProbs); p++ {
			if t.LogProbs[p] != 0 {
				v.failf("logprobs[%d] is %v in a segment of kind %s, must be 0", p, t.LogProbs[p], s.Kind)
				break
			}
		}
	}
	if at != n {
		v.failf("segments cover %d of %d tokens", at, n)
	}
	if t.LengthTokens != sampled || t.InjectedTokens != injected {
		v.failf("length_tokens %d and injected_tokens %d, but the segments hold %d sampled and %d injected",
			t.LengthTokens, t.InjectedTokens, sampled, injected)
	}
}

// spans checks that the spans partition the sampled tokens: contiguous inside every run of sampled
// segments, and none reaching into tokens that nobody sampled.
func (v *validator) spans(t *Trace) {
	if t.LengthSource != "" && len(t.Spans) == 0 {
		return // the policy need not be known
	}
	next := 0
	for i := 0; i < len(t.Segments); i++ {
		if !t.Segments[i].Kind.Sampled() {
			continue
		}
		at, end := t.Segments[i].Start, t.Segments[i].End
		for i+1 < len(t.Segments) && t.Segments[i+1].Kind.Sampled() {
			i++
			end = t.Segments[i].End
		}
		for ; at < end; next++ {
			if next == len(t.Spans) {
				v.failf("no span covers the sampled token %d", at)
				return
			}
			s := t.Spans[next]
			if s.Start != at || s.End <= at || s.End > end {
				v.failf("spans[%d] is [%d,%d), must begin at %d, hold a token and end by %d", next, s.Start, s.End, at, end)
				return
			}
			if s.Policy == "" {
				v.failf("spans[%d] names no policy", next)
			}
			v.text("policy of a span", s.Policy)
			at = s.End
		}
	}
	if next < len(t.Spans) {
		v.failf("spans[%d] is [%d,%d), which holds no sampled token", next, t.Spans[next].Start, t.Spans[next].End)
	}
}

func (v *validator) calls(t *Trace) {
	n := extent(t)
	for i, c := range t.ToolCalls {
		if c.Start < 0 || c.End < c.Start || c.End > n {
			v.failf("tool_calls[%d] is [%d,%d), must lie within %d tokens", i, c.Start, c.End, n)
		}
		if c.Tokens < 0 {
			v.failf("tool_calls[%d] has %d result tokens", i, c.Tokens)
		}
		v.finite(fmt.Sprintf("tool_calls[%d].price", i), c.Price)
		for _, f := range [...]struct{ name, value string }{{"name", c.Name}, {"arguments", c.Arguments}, {"result", c.Result}, {"error", c.Error}} {
			if !utf8.ValidString(f.value) {
				v.failf("tool_calls[%d].%s is not valid UTF-8", i, f.name)
			}
		}
	}
}

func (v *validator) budgets(t *Trace) {
	if len(t.Budgets) != len(t.BudgetScores) {
		v.failf("%d budget_scores for %d budgets", len(t.BudgetScores), len(t.Budgets))
	}
	for i, b := range t.Budgets {
		if b < 0 || (i > 0 && b <= t.Budgets[i-1]) {
			v.failf("budgets[%d] is %d, must ascend", i, b)
		}
	}
	for i, s := range t.BudgetScores {
		if !(s >= 0 && s <= 1) {
			v.failf("budget_scores[%d] is %v, must be within 0..1", i, s)
		}
	}
}

func (v *validator) turns(t *Trace) {
	var at, text int32
	n := extent(t)
	for i, r := range t.TurnRanges {
		if r.Start != at || r.End <= r.Start || r.End > n || r.TextStart != text || r.TextEnd < r.TextStart || int(r.TextEnd) > len(t.Text) {
			v.failf("turn_ranges[%d] is tokens [%d,%d), text [%d,%d), must begin at %d and %d, hold a token and end by %d and %d",
				i, r.Start, r.End, r.TextStart, r.TextEnd, at, text, n, len(t.Text))
			return
		}
		if r.Score != nil && !(*r.Score >= 0 && *r.Score <= 1) {
			v.failf("turn_ranges[%d].score is %v, must be within 0..1", i, *r.Score)
		}
		at, text = r.End, r.TextEnd
	}
	if len(t.TurnRanges) > 0 && (at != n || int(text) != len(t.Text)) {
		v.failf("turn_ranges cover %d of %d tokens and %d of %d bytes of text", at, n, text, len(t.Text))
	}
	if t.BaseLoss != nil {
		v.finite("base_loss", *t.BaseLoss)
	}
	if t.ReferenceKL != nil {
		v.finite("reference_kl", *t.ReferenceKL)
	}
}

func (v *validator) judgement(t *Trace) {
	switch t.Verdict {
	case "", Right, Wrong, NoScore:
	default:
		v.failf("verdict is %q, must be right, wrong or no_score", t.Verdict)
	}
	switch t.Status {
	case "", Trained, Filtered, Failed, DeadLettered, Evaluated:
	default:
		v.failf("status is %q, must be trained, filtered, failed, dead_lettered or evaluated", t.Status)
	}
	v.finite("temperature", t.Temperature)
	v.finite("reward", t.Reward)
	v.finite("advantage", t.Advantage)
	v.finite("prompt_price", t.PromptPrice)
	v.finite("completion_price", t.CompletionPrice)
	v.finite("reference.tokens", t.Reference.Tokens)
	if t.Entropy != nil {
		v.finite("entropy", *t.Entropy)
	}
	if t.Reference.Accuracy != nil {
		v.finite("reference.accuracy", *t.Reference.Accuracy)
	}
	for i, term := range t.Terms {
		v.finite(fmt.Sprintf("reward_terms[%d] (%s)", i, term.Name), term.Value)
	}
	n, at := extent(t), int32(0)
	for i, a := range t.TokenAdvantages {
		if a.Start < at || a.End <= a.Start || a.End > n {
			v.failf("token_advantages[%d] is [%d,%d), must ascend within %d tokens", i, a.Start, a.End, n)
			break
		}
		at = a.End
		v.finite(fmt.Sprintf("token_advantages[%d]", i), a.Value)
	}
}
