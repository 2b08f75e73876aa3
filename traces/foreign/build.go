package foreign

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"pith/traces"
)

// Grader judges a response against a gold answer.
type Grader func(gold, response string) (verdict traces.Verdict, extracted, reason string)

// builder turns records into traces.
type builder struct {
	o       *Options
	rule    Rule
	summary *Summary
}

// identity is what a record says of its place, "" and -1 where it says nothing.
type identity struct {
	step                   int64
	group, problem, prompt string
	sample                 int64
}

func (b *builder) identity(r *record) (id identity, err error) {
	id.step, id.sample = -1, -1
	step, ok, err := r.whole("step", 0, 1<<53)
	if err != nil {
		return id, err
	}
	if ok {
		id.step = step
	}
	if n, ok, err := r.whole("sample", 0, math.MaxInt32); err != nil {
		return id, err
	} else if ok {
		id.sample = n
	}
	if id.group, err = r.text("group"); err != nil {
		return id, err
	}
	if id.problem, err = r.text("problem"); err != nil {
		return id, err
	}
	id.prompt, err = b.prompt(r)
	return id, err
}

// prompt is a text, or a chat written out.
func (b *builder) prompt(r *record) (string, error) {
	v, source, ok := r.find("prompt")
	list, chat := v.([]any)
	if !ok || !chat {
		return r.text("prompt")
	}
	pieces, err := messages(r, source, list)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, p := range pieces {
		if p.text != "" {
			texts = append(texts, valid(p.text))
		}
	}
	return strings.Join(texts, "\n"), nil
}

// trace builds everything but the identity, which the caller gives.
func (b *builder) trace(r *record, t *traces.Trace) error {
	t.Run, t.Split, t.Status = b.o.Name, "train", traces.Trained
	if b.o.HeldOut {
		t.Split, t.Status = "heldout", traces.Evaluated
	}
	t.Turns, t.Formatted, t.Finish, t.Temperature = 1, true, traces.FinishStop, b.o.Temperature
	for _, f := range []struct {
		target string
		into   *string
	}{{"gold", &t.Gold}, {"dataset", &t.Dataset}, {"mode", &t.Mode}} {
		text, err := r.text(f.target)
		if err != nil {
			return err
		}
		*f.into = text
	}
	if level, ok, err := r.whole("level", math.MinInt32, math.MaxInt32); err != nil {
		return err
	} else if ok {
		t.Level = int32(level)
	}
	if turns, ok, err := r.whole("turns", 0, math.MaxInt32); err != nil {
		return err
	} else if ok {
		t.Turns = int32(turns)
	}
	for _, f := range []struct {
		target string
		into   *float64
	}{{"temperature", &t.Temperature}, {"advantage", &t.Advantage}} {
		x, ok, err := r.number(f.target)
		if err != nil {
			return err
		}
		if ok {
			*f.into = x
		}
	}
	if entropy, ok, err := r.number("entropy"); err != nil {
		return err
	} else if ok {
		t.Entropy = &entropy
	}
	if err := b.response(r, t); err != nil {
		return err
	}
	if err := b.finish(r, t); err != nil {
		return err
	}
	if err := b.judge(r, t); err != nil {
		return err
	}
	if err := b.price(r, t); err != nil {
		return err
	}
	if err := traces.Validate(t); err != nil {
		return r.fault("", "%v", err)
	}
	return nil
}

// response reads the text and its tokens. Where ids and log-probabilities of every sampled token are
// there, the trace is as exact as one of our own; else its lengths say where they come from.
func (b *builder) response(r *record, t *traces.Trace) error {
	v, source, ok := r.find("text")
	var pieces []piece
	switch list, chat := v.([]any); {
	case !ok:
	case chat:
		var err error
		if pieces, err = messages(r, source, list); err != nil {
			return err
		}
	default:
		text, err := r.text("text")
		if err != nil {
			return err
		}
		pieces = split(text, r.format.Name == "gsm8k-solutions" || b.o.Calculator)
	}
	var text strings.Builder
	for i := range pieces {
		pieces[i].text = valid(pieces[i].text)
		text.WriteString(pieces[i].text)
	}
	t.Text = text.String()
	if exact, err := b.exact(r, t); exact || err != nil {
		return err
	}
	reported, ok, err := b.reported(r)
	if err != nil {
		return err
	}
	b.lay(t, pieces)
	t.LengthSource = traces.LengthEstimated
	if ok {
		t.LengthSource = traces.LengthReported
		b.summary.Reported++
		rescale(t, int32(reported))
	} else {
		b.summary.Estimated++
	}
	policy, err := r.text("policy")
	if err != nil {
		return err
	}
	if policy != "" {
		t.Spans = spans(t, policy)
	}
	return b.groupCalls(r, t)
}

// spans says that a policy drew all sampled tokens.
func spans(t *traces.Trace, policy string) []traces.Span {
	var out []traces.Span
	for _, s := range t.Segments {
		switch last := len(out) - 1; {
		case !s.Kind.Sampled():
		case last >= 0 && out[last].End == s.Start:
			out[last].End = s.End
		default:
			out = append(out, traces.Span{Policy: policy, Version: t.Step, Start: s.Start, End: s.End})
		}
	}
	return out
}

// exact fills in token ids and log-probabilities where the record has both of all tokens.
func (b *builder) exact(r *record, t *traces.Trace) (bool, error) {
	ids, source, ok, err := r.list("tokens")
	if err != nil || !ok || len(ids) == 0 {
		return false, err
	}
	logprobs, at, ok, err := r.list("logprobs")
	if err != nil || !ok {
		return false, err
	}
	if len(logprobs) != len(ids) {
		return false, r.fault(at, "%d log-probabilities for the %d tokens of %s", len(logprobs), len(ids), source)
	}
	for i, id := range ids {
		if id != math.Trunc(id) || id < 0 || id > math.MaxInt32 {
			return false, r.fault(source, "element %d: %v is no token id", i, id)
		}
		t.Tokens = append(t.Tokens, int32(id))
		t.LogProbs = append(t.LogProbs, float32(logprobs[i]))
	}
	prompt, _, _, err := r.list("prompt_tokens")
	if err != nil {
		return false, err
	}
	for _, id := range prompt {
		t.PromptTokens = append(t.PromptTokens, int32(id))
	}
	policy, err := b.policy(r)
	if err != nil {
		return false, err
	}
	n := int32(len(ids))
	t.LengthTokens = n
	t.Segments = []traces.Segment{{Kind: traces.Answer, End: n, Train: !b.o.HeldOut}}
	t.Spans = []traces.Span{{Policy: policy, Version: t.Step, End: n}}
	b.summary.Exact++
	return true, nil
}

func (b *builder) policy(r *record) (string, error) {
	policy, err := r.text("policy")
	if policy == "" {
		policy = "unknown"
	}
	return policy, err
}

// reported is the number of tokens that the record gives: a count, or ids to count.
func (b *builder) reported(r *record) (int64, bool, error) {
	ids, _, ok, err := r.list("tokens")
	if err != nil || ok {
		return int64(len(ids)), len(ids) > 0, err // no ids beside a text are no report of its length
	}
	return r.whole("tokens", 0, 1<<30)
}

// lay places the pieces one after another, by the counting rule.
func (b *builder) lay(t *traces.Trace, pieces []piece) {
	at := int32(0)
	for _, p := range pieces {
		n := int32(min(b.rule.Count(p.text), 1<<24))
		if p.call != nil {
			call := *p.call
			call.Start, call.End, call.Tokens = at, at+n, int32(min(b.rule.Count(call.Result), 1<<24))
			call.Arguments, call.Result, call.Name = valid(call.Arguments), valid(call.Result), valid(call.Name)
			t.ToolCalls = append(t.ToolCalls, call)
		}
		if n == 0 {
			continue
		}
		sampled := p.kind.Sampled()
		if last := len(t.Segments) - 1; last >= 0 && t.Segments[last].Kind == p.kind && p.call == nil {
			t.Segments[last].End = at + n
		} else {
			t.Segments = append(t.Segments, traces.Segment{Kind: p.kind, Start: at, End: at + n, Train: sampled && !b.o.HeldOut})
		}
		if at += n; sampled {
			t.LengthTokens += n
		} else {
			t.InjectedTokens += n
		}
	}
}

// rescale moves the ranges that a rule has laid to a length that the source reports: the shares of
// the segments are estimates, their sum is not.
func rescale(t *traces.Trace, reported int32) {
	estimated := t.LengthTokens
	if t.InjectedTokens > 0 || estimated == 0 || reported < int32(len(t.Segments)) {
		// Nothing to take shares of, or the report leaves open what it counts: one range.
		t.Segments, t.InjectedTokens, t.LengthTokens = nil, 0, reported
		if reported > 0 {
			t.Segments = []traces.Segment{{Kind: traces.Answer, End: reported, Train: t.Split == "train"}}
		}
		for i := range t.ToolCalls {
			t.ToolCalls[i].Start, t.ToolCalls[i].End = 0, 0
		}
		return
	}
	at := func(x int32) int32 { return int32(math.Round(float64(x) * float64(reported) / float64(estimated))) }
	start := int32(0)
	for i := range t.Segments {
		left := int32(len(t.Segments) - i - 1)
		end := min(max(at(t.Segments[i].End), start+1), reported-left)
		t.Segments[i].Start, t.Segments[i].End = start, end
		start = end
	}
	for i := range t.ToolCalls {
		t.ToolCalls[i].Start, t.ToolCalls[i].End = at(t.ToolCalls[i].Start), at(t.ToolCalls[i].End)
	}
	t.LengthTokens = reported
}

// groupCalls reads a mere number of tool calls, as groups have it, as calls without a name.
func (b *builder) groupCalls(r *record, t *traces.Trace) error {
	if len(t.ToolCalls) > 0 {
		return nil
	}
	n, ok, err := r.whole("tool_calls", 0, 1<<16)
	if err != nil || !ok {
		return err
	}
	for range n {
		t.ToolCalls = append(t.ToolCalls, traces.ToolCall{Name: "unknown"})
	}
	return nil
}

func (b *builder) finish(r *record, t *traces.Trace) error {
	truncated, ok, err := r.number("truncated")
	if err != nil {
		return err
	}
	if ok && truncated != 0 {
		t.Finish = traces.FinishLength
		return nil
	}
	reason, err := r.text("finish")
	if err != nil {
		return err
	}
	switch reason {
	case "", "stop", "eos", "stop_sequence", "tool_calls", "completed":
	case "length", "max_tokens", "truncated", "max_seq_len":
		t.Finish = traces.FinishLength
	case "abort", "aborted", "cancelled":
		t.Finish = traces.FinishAborted
	default:
		b.summary.UnknownFinish++ // a stop condition of the framework's own
	}
	return nil
}

// judge finds the verdict: the log's own word for it, else its score by the stated threshold, else
// the grader's where there is one and a gold answer, else none. The grader also judges what has a
// label, and the summary counts how the two agree.
func (b *builder) judge(r *record, t *traces.Trace) error {
	if formatted, ok, err := r.number("formatted"); err != nil {
		return err
	} else if ok {
		t.Formatted = formatted != 0
	}
	if err := b.terms(r, t); err != nil {
		return err
	}
	correct, labelled, err := r.number("correct")
	if err != nil {
		return err
	}
	score, scored, err := r.number("score")
	if err != nil {
		return err
	}
	if scored {
		t.Reward = score
	}
	if !labelled && scored {
		correct, labelled = score, true
	}
	t.Verdict, t.VerdictReason = traces.NoScore, "not judged in the log"
	if labelled {
		t.Verdict, t.VerdictReason = traces.Wrong, "label of the log"
		if correct >= b.o.RightAt {
			t.Verdict = traces.Right
		}
	}
	if b.o.Grade == nil || t.Gold == "" {
		return nil
	}
	verdict, extracted, reason := b.o.Grade(t.Gold, t.Text)
	t.Extracted = valid(extracted)
	if !labelled {
		t.Verdict, t.VerdictReason = verdict, valid(reason)
		return nil
	}
	b.summary.compare(t, verdict)
	return nil
}

// terms takes the numeric fields that have no other meaning as parts of the reward.
func (b *builder) terms(r *record, t *traces.Trace) error {
	if !r.format.Terms {
		return nil
	}
	known := map[string]bool{"id": true, "index": true, "request_id": true}
	for target, sources := range r.fields {
		for _, source := range sources {
			known[source] = known[source] || target != "correct"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.values)) {
		x, ok := numeric(r.values[name])
		if known[name] || !ok {
			continue
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return r.fault(name, "%v is not finite", x)
		}
		t.Terms = append(t.Terms, traces.Term{Name: valid(name), Value: x})
		t.Reward += x
	}
	return nil
}

// price bills what the prices in the options say. Prompts are counted by the rule.
func (b *builder) price(r *record, t *traces.Trace) error {
	prompt := float64(len(t.PromptTokens))
	if prompt == 0 {
		prompt = float64(b.rule.Count(t.PromptText))
	}
	price := b.o.Price
	if len(b.o.Prices) > 0 {
		policy, err := r.text("policy")
		if err != nil {
			return err
		}
		if own, ok := b.o.Prices[policy]; ok {
			price = own
		}
	}
	t.PromptPrice = prompt * price.Prompt / 1e6
	t.CompletionPrice = float64(t.LengthTokens) * price.Completion / 1e6
	return nil
}

// name gives a trace its group, sample and id.
func name(t *traces.Trace, group string, sample int32) {
	t.Group, t.Sample = group, sample
	t.ID = fmt.Sprintf("%s/%d", group, sample)
}
