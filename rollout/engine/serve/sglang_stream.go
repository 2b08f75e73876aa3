package serve

import (
	"net/http"
	"slices"
	"time"
)

// stream answers POST /generate with events that each hold everything so far, as SGLang does unless
// it is started with incremental output.
func (c *sglangCall) stream(w http.ResponseWriter, r *http.Request, began time.Time) {
	ev := c.s.events(w, sglang)
	first := make([]int, len(c.parts)) // index of a part's first continuation
	for p := 1; p < len(first); p++ {
		first[p] = first[p-1] + c.parts[p-1].n
	}
	err := parallel(len(c.parts), func(p int) error {
		part, wk := &c.parts[p], c.work(p)
		lives := c.s.live(wk, part.raw.Stop, value(part.raw.SkipSpecialTokens, true), part.raw.NoStopTrim, false)
		texts := make([]string, wk.n)
		views := make([]outcome, wk.n) // what is known of each continuation so far
		for i := range views {
			views[i].samples = make([]sample, 1)
			views[i].version = c.s.version()
		}
		wk.watch = func(i int, tokens []int32, logprobs []float32) (int, bool) {
			text, keep, more := lives[i].push(tokens)
			texts[i] += text
			q := &views[i].samples[0]
			q.tokens, q.logprobs = append(q.tokens, tokens[:keep]...), append(q.logprobs, logprobs[:keep]...)
			if more { // the last event comes with the reason
				ev.send(c.event(p, first[p]+i, texts[i], &views[i], 0, false, began))
			}
			return keep, more
		}
		out, err := c.s.run(r.Context(), wk)
		if err != nil {
			return err
		}
		out.stops = stoppersOf(lives)
		for i := range out.samples {
			ev.send(c.event(p, first[p]+i, texts[i]+lives[i].rest(), out, i, true, began))
		}
		return nil
	})
	if err != nil {
		if r.Context().Err() == nil {
			ev.fail(err)
			ev.endAfterFailure()
		}
		return
	}
	ev.done()
}

func (c *sglangCall) event(part, index int, text string, o *outcome, i int, last bool, began time.Time) []byte {
	p, q := &c.parts[part], &o.samples[i]
	b := appendString(append(slices.Grow([]byte(nil), 512+40*len(q.tokens)), `{"text":`...), text)
	b = appendIDs(append(b, `,"output_ids":`...), q.tokens)
	b = c.meta(append(b, `,"meta_info":`...), p, o, i, last, time.Since(began))
	if !c.single {
		b = appendInt(append(b, `,"index":`...), index)
	}
	return append(b, '}')
}
