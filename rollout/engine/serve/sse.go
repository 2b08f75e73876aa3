package serve

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// patience is how long a streaming client may take to accept one event.
const patience = time.Minute

// events is a stream of server-sent events. It is safe for concurrent use.
type events struct {
	s  *Server
	d  dialect
	w  http.ResponseWriter
	rc *http.ResponseController

	mu    sync.Mutex
	began bool
	buf   []byte
	err   error // the client has gone
}

func (s *Server) events(w http.ResponseWriter, d dialect) *events {
	return &events{s: s, d: d, w: w, rc: http.NewResponseController(w)}
}

// send writes one event. The first begins the response, so that what fails before has its own status.
func (e *events) send(body []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sendLocked(body)
}

func (e *events) sendLocked(body []byte) {
	if e.err != nil {
		return
	}
	if !e.began {
		e.began = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		e.w.WriteHeader(http.StatusOK)
	}
	_ = e.rc.SetWriteDeadline(time.Now().Add(patience)) // not every writer has deadlines
	e.buf = append(append(append(e.buf[:0], "data: "...), body...), "\n\n"...)
	if _, e.err = e.w.Write(e.buf); e.err == nil {
		e.err = e.rc.Flush()
	}
}

// fail tells the client that the stream ends early: with a status where nothing has been sent, with
// an event otherwise.
func (e *events) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.began {
		e.s.fail(e.w, e.d, err)
		return
	}
	e.sendLocked(problemOf(err).body(e.d))
}

// done ends the stream.
func (e *events) done() { e.send([]byte("[DONE]")) }

// release returns the text that no stop text can begin in any more, or all of it at the end.
func (p *stopper) release(all bool) string {
	text := p.text.String()
	end := len(text)
	switch {
	case p.end >= 0:
		end = p.end
	case !all:
		end -= p.held(text)
	}
	if end <= p.given {
		return ""
	}
	out := text[p.given:end]
	p.given = end
	return out
}

// held is the length of the longest end of text that is a beginning of a stop text.
func (p *stopper) held(text string) int {
	most := 0
	for _, stop := range p.stops {
		for n := min(len(stop)-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				most = n
				break
			}
		}
	}
	return most
}

// live is the text of one sample of a stream.
type live struct {
	text    *detokenizer
	stop    *stopper     // instead of text where there are stop texts
	named   *detokenizer // texts of single tokens, special ones included; nil where ids name them
	offset  int          // bytes of them
	include bool         // a stop text is part of the text
	begun   bool
}

// push adds tokens. It returns the text that became certain, and how many tokens the sample keeps.
func (l *live) push(tokens []int32) (text string, keep int, more bool) {
	if l.stop == nil {
		for _, t := range tokens {
			text += l.text.push(t)
		}
		return text, len(tokens), true
	}
	for k, t := range tokens {
		if l.stop.push(t) {
			return l.stop.release(true) + l.found(), k + 1, false
		}
	}
	return l.stop.release(false), len(tokens), true
}

func (l *live) found() string {
	if l.include {
		return l.stop.found
	}
	return ""
}

// rest is the text that was held back, at the end.
func (l *live) rest() string {
	if l.stop == nil {
		return l.text.flush()
	}
	if l.stop.end >= 0 {
		return ""
	}
	l.stop.text.WriteString(l.stop.flush())
	return l.stop.release(true)
}

// pieces are the texts of single tokens.
func (l *live) pieces(tokens []int32) []string {
	if l.named == nil {
		return nil
	}
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = l.named.push(t)
	}
	return out
}

// live prepares the texts of a work's samples.
func (s *Server) live(wk *work, stops []string, skip, include, named bool) []*live {
	finders := s.stoppers(wk, stops, skip)
	out := make([]*live, wk.n)
	for i := range out {
		out[i] = &live{include: include}
		if finders != nil {
			out[i].stop = finders[i]
		} else {
			out[i].text = s.detokenizer(wk.prompt, skip)
		}
		if named && s.o.Tokenizer != nil {
			out[i].named = s.detokenizer(wk.prompt, false)
		}
	}
	return out
}

// stoppersOf are the finders of stop texts among lives, nil without.
func stoppersOf(all []*live) []*stopper {
	if len(all) == 0 || all[0].stop == nil {
		return nil
	}
	out := make([]*stopper, len(all))
	for i, l := range all {
		out[i] = l.stop
	}
	return out
}
