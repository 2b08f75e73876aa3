package serve

import (
	"net/http"
)

// stream answers POST /v1/completions with an event per step: the new text, ids and log-probabilities
// of a choice, then one event with the reason that it ended.
func (c *completion) stream(w http.ResponseWriter, r *http.Request) {
	if c.req.Echo && c.req.Logprobs != nil {
		c.s.fail(w, openai, badf("echo", "echo with logprobs is not available when stream=True"))
		return
	}
	ev := c.s.events(w, openai)
	total, prompt := make([]int, len(c.prompts)), 0
	err := parallel(len(c.prompts), func(p int) error {
		wk := c.work(p)
		lives := c.s.live(wk, c.req.Stop, c.skip, c.req.IncludeStop, c.req.Logprobs != nil && !value(c.req.ReturnTokensAsTokenIDs, false))
		wk.watch = func(i int, tokens []int32, logprobs []float32) (int, bool) {
			l := lives[i]
			text, keep, more := l.push(tokens)
			if chunk := c.chunk(l, p, i, text, tokens[:keep], logprobs[:keep]); chunk != nil {
				ev.send(append(chunk, '}'))
			}
			return keep, more
		}
		out, err := c.s.run(r.Context(), wk)
		if err != nil {
			return err
		}
		out.stops = stoppersOf(lives)
		for i := range out.samples {
			ev.send(c.lastChunk(lives[i], out, p, i))
		}
		total[p] = out.tokens()
		return nil
	})
	if err != nil {
		if r.Context().Err() == nil {
			ev.fail(err)
			ev.endAfterFailure()
		}
		return
	}
	if o := c.req.StreamOptions; o != nil && o.IncludeUsage {
		sum := 0
		for p, n := range total {
			sum, prompt = sum+n, prompt+len(c.prompts[p])
		}
		b := append(c.head(nil), `,"choices":[],"usage":`...)
		ev.send(append(appendUsage(b, prompt, sum), '}'))
	}
	ev.done()
}

// endAfterFailure ends a stream that has begun.
func (e *events) endAfterFailure() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.began {
		e.sendLocked([]byte("[DONE]"))
	}
}

// chunk is an event with new tokens, without its last brace; nil where it would say nothing.
func (c *completion) chunk(l *live, p, i int, text string, tokens []int32, logprobs []float32) []byte {
	withIDs := value(c.req.ReturnTokenIDs, false)
	if !l.begun && c.req.Echo {
		text = c.s.decode(nil, c.prompts[p], false) + text
	}
	if text == "" && !withIDs && c.req.Logprobs == nil {
		return nil
	}
	b := append(c.head(make([]byte, 0, 256+64*len(tokens))), `,"choices":[{"index":`...)
	b = appendInt(b, p*c.n+i)
	b = appendString(append(b, `,"text":`...), text)
	b = append(b, `,"logprobs":`...)
	if c.req.Logprobs == nil {
		b = append(b, "null"...)
	} else {
		pieces := l.pieces(tokens)
		b = c.logprobs(b, pieces, tokens, logprobs, l.offset)
		for _, piece := range pieces {
			l.offset += len(piece)
		}
	}
	b = append(b, `,"finish_reason":null,"stop_reason":null`...)
	if withIDs {
		b = appendIDs(append(b, `,"token_ids":`...), tokens)
		if !l.begun {
			b = appendIDs(append(b, `,"prompt_token_ids":`...), c.prompts[p])
		}
	}
	l.begun = true
	return append(b, "}]"...)
}

// lastChunk is the event that says why a choice ended, and which versions drew it.
func (c *completion) lastChunk(l *live, o *outcome, p, i int) []byte {
	q := &o.samples[i]
	b := append(c.head(nil), `,"choices":[{"index":`...)
	b = appendInt(b, p*c.n+i)
	b = appendString(append(b, `,"text":`...), l.rest())
	b = appendString(append(b, `,"logprobs":null,"finish_reason":`...), vllmFinish(q.finish))
	b = appendReason(append(b, `,"stop_reason":`...), c.s.stopReason(o, i, q))
	if value(c.req.ReturnTokenIDs, false) {
		b = append(b, `,"token_ids":[]`...)
	}
	b = appendSpans(append(b, `,"weight_versions":`...), q.spans)
	return append(b, "}]}"...)
}

// stream answers POST /inference/v1/generate with an event per step.
func (g *generation) stream(w http.ResponseWriter, r *http.Request) {
	ev := g.s.events(w, openai)
	g.work.watch = func(i int, tokens []int32, logprobs []float32) (int, bool) {
		b := append(g.head(make([]byte, 0, 256+80*len(tokens))), `,"choices":[{"index":`...)
		b = g.piece(appendInt(b, i), tokens, logprobs)
		ev.send(append(b, `,"finish_reason":null}]}`...))
		return len(tokens), true
	}
	out, err := g.s.run(r.Context(), g.work)
	if err != nil {
		if r.Context().Err() == nil {
			ev.fail(err)
			ev.endAfterFailure()
		}
		return
	}
	for i := range out.samples {
		q := &out.samples[i]
		b := append(g.head(nil), `,"choices":[{"index":`...)
		b = g.piece(appendInt(b, i), nil, nil)
		b = appendString(append(b, `,"finish_reason":`...), vllmFinish(q.finish))
		b = appendReason(append(b, `,"stop_reason":`...), g.s.stopReason(out, i, q))
		b = appendSpans(append(b, `,"weight_versions":`...), q.spans)
		ev.send(append(b, "}]}"...))
	}
	if o := g.req.StreamOptions; o != nil && o.IncludeUsage {
		b := append(g.head(nil), `,"choices":[],"usage":`...)
		ev.send(append(appendUsage(b, len(g.work.prompt), out.tokens()), '}'))
	}
	ev.done()
}
