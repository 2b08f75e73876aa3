package strategy

import (
	"context"
	"slices"
	"strings"

	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/traces"
)

// part is one finished turn of a response that is made of several.
type part struct {
	end   int32
	score *float64
}

// again opens a further turn of every response that can have one and wants it, and samples it. It
// returns those that were sampled. limit, if not 0, bounds the turn.
func again(ctx context.Context, env *Env, rs []*response, opener []int32, params engine.Params, limit int, wants func(*response) bool) ([]*response, error) {
	var open []*response
	for _, r := range rs {
		if r.finish == traces.FinishError || r.finish == traces.FinishAborted || r.sampled >= params.MaxTokens || !wants(r) {
			continue
		}
		r.insert(traces.Injected, opener)
		r.thinking = r.endThink >= 0 && !slices.Contains(opener, r.endThink)
		open = append(open, r)
	}
	if err := advance(ctx, env, open, params, limit); err != nil {
		return nil, err
	}
	for _, r := range open {
		r.endPart()
	}
	return open, nil
}

// endPart notes that a turn ends here. A turn without a token, of an engine that failed, is part of
// the one before.
func (r *response) endPart() {
	end := int32(len(r.tokens))
	if n := len(r.parts); end > 0 && (n == 0 || r.parts[n-1].end < end) {
		r.parts = append(r.parts, part{end: end})
	}
}

// turn is the token range of turn i.
func (r *response) turn(i int) (start, end int32) {
	if i > 0 {
		start = r.parts[i-1].end
	}
	return start, r.parts[i].end
}

// answer is what turn i's tokens give as their answer: after the last end of thinking, without the
// stop token. ok is false where the turn did not end by itself or never ended its thought.
func (r *response) answer(i int) (tokens []int32, ok bool) {
	start, end := r.turn(i)
	turn := r.tokens[start:end]
	if len(turn) == 0 || !slices.Contains(r.t.Params.StopTokens, turn[len(turn)-1]) {
		return nil, false
	}
	turn = turn[:len(turn)-1]
	for i := len(turn) - 1; i >= 0; i-- {
		if turn[i] == r.endThink {
			return turn[i+1:], true
		}
	}
	return turn, r.endThink < 0
}

// ranges are the turns for the record, whose text is given.
func (r *response) ranges(text string) []traces.TurnRange {
	if len(r.parts) < 2 {
		return nil
	}
	out := make([]traces.TurnRange, len(r.parts))
	var at, textAt int32
	for i, p := range r.parts {
		end := p.end
		textEnd := r.textUpTo(end, text)
		if i == len(r.parts)-1 {
			end, textEnd = int32(len(r.tokens)), int32(len(text))
		}
		textEnd = max(textEnd, textAt)
		out[i] = traces.TurnRange{Start: at, End: end, TextStart: textAt, TextEnd: textEnd, Score: p.score}
		at, textAt = end, textEnd
	}
	return out
}

// textUpTo is how many bytes of the response's text the first end tokens are. A character that a
// turn leaves unfinished belongs to the next.
func (r *response) textUpTo(end int32, whole string) int32 {
	head := text(r.env.Tokens.Decode(r.tokens[:end]))
	for len(head) > 0 && !strings.HasPrefix(whole, head) {
		head = head[:len(head)-1]
	}
	return int32(len(head))
}

// gradeParts grades the answer of every turn. No score leaves the turn without one.
func (r *response) gradeParts() {
	whole := text(r.env.Tokens.Decode(r.tokens))
	if len(r.parts) == 1 {
		return
	}
	for i, t := range r.ranges(whole) {
		score := 0.0
		switch r.env.Grader.Grade(r.t.Problem.Answer, whole[t.TextStart:t.TextEnd]).Outcome {
		case grade.Right:
			score = 1
		case grade.Wrong:
		default:
			continue
		}
		r.parts[i].score = &score
	}
}
