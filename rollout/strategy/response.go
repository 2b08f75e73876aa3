package strategy

import (
	"slices"
	"strings"
	"time"

	"pith/rollout/engine"
	"pith/rollout/task"
	"pith/traces"
)

// response grows one trace: pieces that the policy sampled and pieces that the environment
// inserted.
type response struct {
	env      *Env
	t        *task.Task
	sample   int
	endThink int32 // -1 where the data has no thinking

	prompt     []int32 // what this sample was asked: the task's, or a strategy's variant of it
	promptText string
	budget     int32  // thinking tokens that the prompt asks for; 0 = the problem's own
	modeName   string // recorded in place of what the tokens say; "" = what they say

	tokens   []int32
	logprobs []float32
	segments []traces.Segment
	spans    []traces.Span
	calls    []traces.ToolCall
	sampled  int
	entropy  float64 // sum over entropies known
	entropyN int
	// lastEntropy is the part of the last sampled token, nil where it is unknown.
	lastEntropy *float64
	thinking    bool // the next sampled token is thought
	turns       int
	parts       []part // where the turns of a strategy end; nil where the response is one answer
	finish      traces.Finish
	err         error

	began             time.Time
	queue, first, run time.Duration
	tools             time.Duration
}

func newResponse(env *Env, t *task.Task, sample int) *response {
	end := env.optional(env.Markers.EndThink)
	return &response{
		env: env, t: t, sample: sample, endThink: end, thinking: end >= 0, began: env.now(),
		prompt: t.Prompt, promptText: t.Problem.Prompt, budget: int32(t.Problem.TokenBudget),
	}
}

// add appends what the policy sampled. The delimiter that ends thinking is the last token of the
// thought; without such a token everything is the answer.
func (r *response) add(s engine.Sequence) {
	n := whole(s)
	base := int32(len(r.tokens))
	r.tokens = append(r.tokens, s.Tokens[:n]...)
	r.logprobs = append(r.logprobs, s.Logprobs[:n]...)
	r.sampled += n
	for i := range s.Entropies[:min(n, len(s.Entropies))] {
		last := float64(s.Entropies[i])
		r.entropy += last
		r.entropyN++
		r.lastEntropy = &last
	}
	for _, sp := range s.Spans {
		start, end := min(sp.Start, n), min(sp.End, n)
		if start < end {
			r.spans = append(r.spans, traces.Span{
				Policy: sp.Policy.ID, Version: sp.Policy.Step, Start: base + int32(start), End: base + int32(end), Asserted: sp.Asserted,
			})
		}
	}
	from := 0
	for i := 0; i < n && r.thinking; i++ {
		if s.Tokens[i] == r.endThink {
			r.segment(traces.Think, base+int32(from), base+int32(i+1), true)
			from, r.thinking = i+1, false
		}
	}
	kind := traces.Answer
	if r.thinking {
		kind = traces.Think
	}
	r.segment(kind, base+int32(from), base+int32(n), true)
	r.turns++
	switch s.Finish {
	case engine.FinishStop:
		r.finish = traces.FinishStop
	case engine.FinishLength:
		r.finish = traces.FinishLength
	default:
		r.finish = traces.FinishAborted
	}
}

// insert appends what the environment wrote.
func (r *response) insert(kind traces.SegmentKind, ids []int32) {
	start := int32(len(r.tokens))
	r.tokens = append(r.tokens, ids...)
	r.logprobs = append(r.logprobs, make([]float32, len(ids))...)
	r.segment(kind, start, start+int32(len(ids)), false)
	if kind == traces.Injected && slices.Contains(ids, r.endThink) {
		r.thinking = false
	}
}

// force appends what the strategy drew in the policy's place, the first token with a probability
// and the rest with certainty. It is trained on.
func (r *response) force(ids []int32, logprob float64) {
	if len(ids) == 0 {
		return
	}
	start, end := int32(len(r.tokens)), int32(len(r.tokens)+len(ids))
	r.tokens = append(r.tokens, ids...)
	r.logprobs = append(append(r.logprobs, float32(logprob)), make([]float32, len(ids)-1)...)
	r.segment(traces.Forced, start, end, true)
	r.spans = append(r.spans, traces.Span{Policy: r.env.Policy.ID, Version: r.env.Policy.Step, Start: start, End: end, Asserted: true})
	r.sampled += len(ids)
	if slices.Contains(ids, r.endThink) {
		r.thinking = false
	}
}

// segment appends a range, merged with the one before where nothing tells them apart.
func (r *response) segment(kind traces.SegmentKind, start, end int32, train bool) {
	if start == end {
		return
	}
	if n := len(r.segments); n > 0 {
		if last := &r.segments[n-1]; last.Kind == kind && last.Train == train && last.End == start && kind.Sampled() && kind != traces.ToolCallBy {
			last.End = end
			return
		}
	}
	r.segments = append(r.segments, traces.Segment{Kind: kind, Start: start, End: end, Train: train})
}

// recast turns the sampled tokens [start, end), at the end of the response, into a segment of
// their own. What was inserted among them, a forced beginning of a call for example, stays inserted.
func (r *response) recast(kind traces.SegmentKind, start, end int32) {
	for _, s := range r.segments {
		if !s.Kind.Sampled() {
			start = max(start, s.End)
		}
	}
	for n := len(r.segments); n > 0 && r.segments[n-1].End > start; n = len(r.segments) {
		if last := &r.segments[n-1]; last.Start < start {
			last.End = start
		} else {
			r.segments = r.segments[:n-1]
		}
	}
	r.segment(kind, start, end, true)
}

// take appends sequence i of what was drawn, and the engine's account of the call.
func (r *response) take(d drawn, i int) {
	if r.turns == 0 {
		r.first = d.first
	}
	r.queue += d.queue
	r.run += d.run
	r.add(d.seqs[i])
	if d.errs[i] != nil { // it keeps what it has
		r.finish, r.err = traces.FinishError, d.errs[i]
	}
}

// rollout is the finished trace and its timing.
func (r *response) rollout() Rollout {
	t, p := r.t, r.t.Problem
	tr := &traces.Trace{
		Run: t.Run, Step: t.Step, Split: string(t.Split), Group: t.Group, ID: t.TraceID(r.sample), Problem: p.ID,
		Sample: int32(r.sample), Seed: t.Params.Seed, Dataset: p.Dataset, Level: int32(p.Level), Gold: p.Answer,
		PromptText: r.promptText, PromptTokens: append([]int32(nil), r.prompt...),
		Text: text(r.env.Tokens.Decode(r.tokens)), Tokens: r.tokens, LogProbs: r.logprobs, Segments: r.segments, Spans: r.spans,
		Finish: r.finish, Temperature: t.Params.Temperature, Mode: r.mode(), Turns: int32(r.turns),
		LengthTokens: int32(r.sampled), InjectedTokens: int32(len(r.tokens) - r.sampled), ToolCalls: r.calls,
		Reference: traces.Reference{Accuracy: p.ReferenceAccuracy, Tokens: p.ReferenceTokens, TokenBudget: r.budget},
	}
	tr.TurnRanges = r.ranges(tr.Text)
	if r.entropyN > 0 {
		mean := r.entropy / float64(r.entropyN)
		tr.Entropy = &mean
	}
	if r.err != nil {
		tr.Error, tr.Status, tr.StatusReason = text(r.err.Error()), traces.Failed, "engine"
		if class, ok := engine.ClassOf(r.err); ok {
			tr.StatusReason = "engine: " + class.String()
		}
	}
	tm := &traces.Timing{
		Step: t.Step, ID: tr.ID, Worker: r.env.Worker,
		FirstToken: seconds(r.first), Total: seconds(r.run), Tools: seconds(r.tools), Queue: seconds(r.queue),
	}
	if !r.env.Released.IsZero() {
		tm.Queue += seconds(r.began.Sub(r.env.Released))
	}
	return Rollout{tr, tm}
}

// mode says whether the policy thought: a thought that is only its own end is none.
func (r *response) mode() string {
	switch {
	case r.modeName != "":
		return r.modeName
	case r.endThink < 0:
		return ""
	case len(r.tokens) > 0 && r.tokens[0] == r.endThink:
		return "no-think"
	}
	return "think"
}

// text makes any string fit for a Parquet string column.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
