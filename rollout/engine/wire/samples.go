package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"pith/rollout/engine"
)

// Sampled is what a server said about one sample. Tokens that it drew come with what it said of them;
// nothing here has been made up or mended.
type Sampled struct {
	Seq          engine.Sequence
	PromptTokens int // -1: the server did not say
	CachedTokens int
	FirstToken   time.Duration // 0: not known
	// Inexact says that ids or log-probabilities are not the server's own, so that what cannot be known
	// of such a sample is not asked of it: it is for evaluation only.
	Inexact bool
}

var classes = [...]engine.Class{engine.Transient, engine.Busy, engine.User, engine.Unsupported, engine.PolicyGone, engine.Malformed, engine.Fatal}

// Account says what became of the samples that were asked for. Asked is the sum of the others once no
// call is under way.
type Account struct {
	Asked    int64            `json:"asked"`
	Answered int64            `json:"answered"` // whole and well-formed
	Aborted  int64            `json:"aborted"`  // ended early by the server, with what it had
	Failed   map[string]int64 `json:"failed"`   // by class
}

// Account is a snapshot.
func (c *Client) Account() Account {
	a := Account{Asked: c.account.asked.Load(), Answered: c.account.answered.Load(), Aborted: c.account.aborted.Load(), Failed: map[string]int64{}}
	for i := range classes {
		if n := c.account.failed[i].Load(); n > 0 {
			a.Failed[classes[i].String()] = n
		}
	}
	return a
}

// Seed is the seed of one sample for servers whose seeds count from the start of a request: derived
// from the request's seed, the sample's index and the position of the first token, so that a
// continuation does not draw with the random numbers of its own beginning again. It has 63 bits.
func Seed(r engine.SampleRequest, i int) int64 {
	h := mix(r.Params.Seed)
	h = mix(h ^ uint64(r.First+i))
	h = mix(h ^ uint64(len(r.Prompt)+len(r.Prefix)))
	return int64(h >> 1)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// RequestID names one attempt at one sample: no two are the same, so that an answer that belongs to
// another request is seen, and a server never meets an id twice.
func (c *Client) RequestID(r engine.SampleRequest, i int) string {
	id := r.ID
	or(&id, "pith")
	b := append(make([]byte, 0, len(id)+24), id...)
	b = strconv.AppendInt(append(b, '-'), int64(r.First+i), 10)
	return string(strconv.AppendInt(append(b, '-'), c.attempts.Add(1), 36))
}

// Room is how many tokens a request may still draw: its own limit, or the room that the context has
// where that is less.
func Room(r engine.SampleRequest, maxContext int) int {
	left := r.Params.MaxTokens - len(r.Prefix)
	if maxContext > 0 {
		left = min(left, maxContext-len(r.Prompt)-len(r.Prefix))
	}
	return left
}

// Refuse checks what is wrong with a request whatever the server.
func Refuse(op string, r engine.SampleRequest, maxContext, vocab int) error {
	p := r.Params
	switch {
	case r.N < 1:
		return Refused(op, "%d samples asked for", r.N)
	case len(r.Prompt) == 0:
		return Refused(op, "the prompt is empty")
	case p.MaxTokens <= len(r.Prefix):
		return Refused(op, "at most %d tokens, of which %d are drawn already", p.MaxTokens, len(r.Prefix))
	case p.MinTokens < 0:
		return Refused(op, "at least %d tokens asked for", p.MinTokens)
	case !(p.Temperature >= 0) || math.IsInf(p.Temperature, 0):
		return Refused(op, "temperature %v; it is at least 0", p.Temperature)
	case !(p.TopP > 0 && p.TopP <= 1):
		return Refused(op, "top-p %v; it lies in (0, 1]", p.TopP)
	case p.TopK < 0:
		return Refused(op, "top-k %d; 0 switches it off", p.TopK)
	case !(p.MinP >= 0 && p.MinP <= 1):
		return Refused(op, "min-p %v; it lies in [0, 1]", p.MinP)
	case Room(r, maxContext) < 1:
		return Refused(op, "%d tokens leave no room in a context of %d", len(r.Prompt)+len(r.Prefix), maxContext)
	}
	for _, t := range [][]int32{r.Prompt, r.Prefix, p.StopTokens} {
		if err := CheckIDs(op, t, vocab); err != nil {
			return err
		}
	}
	return nil
}

// CheckIDs checks token ids that are to be sent.
func CheckIDs(op string, ids []int32, vocab int) error {
	for i, t := range ids {
		if t < 0 || vocab > 0 && int(t) >= vocab {
			return Refused(op, "token %d is %d, outside the vocabulary", i, t)
		}
	}
	return nil
}

// Sentinel is the log-probability below which servers have put "minus infinity" into JSON.
const Sentinel = -9998

// Check says what is wrong with a sequence that a server returned. It is the only judge: a sequence
// with a fault is dropped and counted, not repaired.
func Check(r engine.SampleRequest, q engine.Sequence, maxContext, vocab int) error {
	n, p := len(q.Tokens), r.Params
	if len(q.Logprobs) != n {
		return fmt.Errorf("%d tokens with %d log-probabilities", n, len(q.Logprobs))
	}
	zeros := 0
	for i, t := range q.Tokens {
		l := float64(q.Logprobs[i])
		switch {
		case t < 0 || vocab > 0 && int(t) >= vocab:
			return fmt.Errorf("token %d is %d, outside the vocabulary", i, t)
		case math.IsNaN(l) || math.IsInf(l, 0):
			return fmt.Errorf("log-probability %d is %v", i, l)
		case l > 1e-4:
			return fmt.Errorf("log-probability %d is %v, above 0", i, l)
		case l <= Sentinel:
			return fmt.Errorf("log-probability %d is %v, which stands for a token that cannot be drawn", i, l)
		case i < n-1 && slices.Contains(p.StopTokens, t):
			return fmt.Errorf("stop token %d at %d of %d", t, i, n)
		}
		if l == 0 {
			zeros++
		}
	}
	filtered := p.Temperature == 0 || p.TopK > 0 || p.TopP < 1 || p.MinP > 0
	if q.Kind != engine.LogprobUnknown && !filtered && zeros == n && n >= 16 {
		return fmt.Errorf("all %d log-probabilities are exactly 0, which is how some servers fill in what they lack", n)
	}
	stopped := n > 0 && slices.Contains(p.StopTokens, q.Tokens[n-1])
	switch room := Room(r, maxContext); {
	case n > room:
		return fmt.Errorf("%d tokens, asked for at most %d", n, room)
	case q.Finish == engine.FinishStop && !stopped:
		return fmt.Errorf("it says it stopped, but its last token is none of the stop tokens %v", p.StopTokens)
	case q.Finish == engine.FinishLength && stopped:
		return fmt.Errorf("it says the length ended it, but its last token is the stop token %d", q.Tokens[n-1])
	case q.Finish == engine.FinishLength && n < room:
		return fmt.Errorf("it says the length ended it after %d of %d tokens", n, room)
	case q.Finish == engine.FinishStop && len(r.Prefix)+n <= p.MinTokens:
		return fmt.Errorf("%d tokens, asked for more than %d before a stop", len(r.Prefix)+n, p.MinTokens)
	}
	at := 0
	for _, sp := range q.Spans {
		if sp.Start != at || sp.End <= sp.Start {
			return fmt.Errorf("spans of versions leave a gap at token %d", at)
		}
		at = sp.End
	}
	if at != n {
		return fmt.Errorf("spans of versions cover %d of %d tokens", at, n)
	}
	return nil
}

// Draw asks for the samples of r, one request each, all at once, and checks what comes. Where some
// fail, the result holds the others beside the error: a failed sample has the finish reason aborted
// and the tokens that arrived before, none where the answer was malformed. Nobody's failure ends the
// others, and nothing is asked for again.
func (c *Client) Draw(ctx context.Context, op string, r engine.SampleRequest, maxContext int, one func(ctx context.Context, i int) (Sampled, error)) (engine.SampleResult, error) {
	if err := c.Closed(op); err != nil {
		return engine.SampleResult{}, err
	}
	if err := Refuse(op, r, maxContext, c.o.Vocab); err != nil {
		return engine.SampleResult{}, err
	}
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	if ctx.Err() != nil {
		return engine.SampleResult{}, &engine.Error{Class: engine.Transient, Op: op, Msg: "ended by the caller", Err: context.Cause(ctx)}
	}
	started := time.Now()
	got, errs := make([]Sampled, r.N), make([]error, r.N)
	draw := func(i int) {
		c.account.begin()
		got[i], errs[i] = one(ctx, i)
		if errs[i] == nil || got[i].Seq.Finish == engine.FinishAborted {
			errs[i] = errors.Join(errs[i], c.check(op, r, i, &got[i], maxContext))
		}
		if errs[i] != nil {
			if class, _ := engine.ClassOf(errs[i]); class == engine.Malformed {
				got[i].Seq = engine.Sequence{Kind: got[i].Seq.Kind}
			}
			got[i].Seq.Finish = engine.FinishAborted
		}
		c.account.finish(got[i], errs[i])
	}
	if r.N == 1 {
		draw(0)
	} else {
		var wg sync.WaitGroup
		for i := range r.N {
			wg.Go(func() { draw(i) })
		}
		wg.Wait()
	}
	res := engine.SampleResult{Seqs: make([]engine.Sequence, r.N), PromptTokens: len(r.Prompt) + len(r.Prefix), Server: c.o.Name, Run: time.Since(started)}
	for i, g := range got {
		res.Seqs[i] = g.Seq
		res.CachedTokens += g.CachedTokens
		if g.FirstToken > 0 && (res.FirstToken == 0 || g.FirstToken < res.FirstToken) {
			res.FirstToken = g.FirstToken
		}
	}
	return res, worst(errs)
}

// check judges one answer.
func (c *Client) check(op string, r engine.SampleRequest, i int, g *Sampled, maxContext int) error {
	if want := len(r.Prompt) + len(r.Prefix); g.PromptTokens >= 0 && g.PromptTokens != want {
		return Malformed(op, "sample %d: the server read %d prompt tokens, it was sent %d; does it add a token of its own?", i, g.PromptTokens, want)
	}
	if g.Inexact {
		if len(g.Seq.Tokens) != len(g.Seq.Logprobs) {
			return Malformed(op, "sample %d: %d tokens with %d log-probabilities", i, len(g.Seq.Tokens), len(g.Seq.Logprobs))
		}
		return nil
	}
	if err := Check(r, g.Seq, maxContext, c.o.Vocab); err != nil {
		return Malformed(op, "sample %d: %v", i, err)
	}
	return nil
}

// worst is the error that decides what a caller can do: the most final one, the first of its class.
func worst(errs []error) error {
	rank := []engine.Class{engine.Fatal, engine.User, engine.Unsupported, engine.PolicyGone, engine.Malformed, engine.Busy, engine.Transient}
	var out error
	best := len(rank)
	for _, err := range errs {
		if err == nil {
			continue
		}
		class, _ := engine.ClassOf(err)
		if at := slices.Index(rank, class); at < best {
			best, out = at, err
		}
	}
	return out
}

func (a *account) begin() {
	a.asked.Add(1)
	if a.running.Add(1) == 1 {
		if since := a.idleSince.Swap(0); since > 0 {
			a.idle.Add(time.Now().UnixNano() - since)
		}
	}
}

func (a *account) finish(g Sampled, err error) {
	if a.running.Add(-1) == 0 {
		a.idleSince.Store(time.Now().UnixNano())
	}
	a.tokens.Add(int64(len(g.Seq.Tokens)))
	a.promptTokens.Add(int64(max(g.PromptTokens, 0)))
	if err == nil {
		a.answered.Add(1)
		return
	}
	if errors.Is(err, ErrAborted) {
		a.aborted.Add(1)
		return
	}
	class, _ := engine.ClassOf(err)
	a.failed[slices.Index(classes[:], class)].Add(1)
}

// ErrAborted says that the server ended a sample early, on somebody's order.
var ErrAborted = errors.New("aborted by the server")

// Aborted is the error that goes with a sample that the server ended early.
func Aborted(op string) error {
	return &engine.Error{Class: engine.Transient, Op: op, Err: ErrAborted}
}

// Own is what this client knows of its own load, for servers that report less.
func (c *Client) Own() engine.Stats {
	a := &c.account
	s := engine.Stats{Running: int(a.running.Load()), PromptTokens: a.promptTokens.Load(), OutputTokens: a.tokens.Load(), Idle: time.Duration(a.idle.Load())}
	if since := a.idleSince.Load(); since > 0 {
		s.Idle += time.Duration(time.Now().UnixNano() - since)
	}
	return s
}

// StepOf is the number at the end of a policy's name, 0 where there is none: policies that another
// process published are known by name only.
func StepOf(id string) int64 {
	at := len(id)
	for at > 0 && id[at-1]-'0' <= 9 {
		at--
	}
	n, err := strconv.ParseInt(id[at:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
