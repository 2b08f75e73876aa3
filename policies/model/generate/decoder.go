package generate

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Finish is why a sequence ended.
type Finish uint8

// Stop: its last token is a stop token. Length: the token limit or the context was reached.
// Aborted: it was cancelled, or its request failed.
const (
	Stop Finish = iota
	Length
	Aborted
)

// Sequence is one sampled continuation. Logprobs and Entropies have len(Tokens).
type Sequence struct {
	Tokens    []int32
	Logprobs  []float32 // of the distribution that Params.Logprobs names
	Entropies []float32 // nats, of the distribution drawn from; of temperature 1 where that is 0
	Finish    Finish
}

// Event is a moment of a job that an owner may want to time.
type Event uint8

// Started: its first rows enter a step. FirstToken: its first token has been drawn.
const (
	Started Event = iota
	FirstToken
)

// Request asks for N continuations of Prompt and Prefix. Sample i draws the token at absolute
// position p from the random number (Params.Seed, First+i, p).
type Request struct {
	Policy *Policy
	Prompt []int32
	Prefix []int32 // sampled before; counts towards MaxTokens and MinTokens, is not returned
	N      int
	First  int
	Params Params
	Notify func(Event) // may be nil; called by Step
}

// ErrNotFinite says that a policy produced no finite distribution: its weights have diverged.
var ErrNotFinite = errors.New("the logits are not finite: the policy has diverged")

// Options bound a [Decoder].
type Options struct {
	// Slots is how many sequences decode at the same time. Default 128.
	Slots int
	// MaxContext bounds prompt and response together below what the policy allows. Default: what
	// the policy allows.
	MaxContext int
	// CacheBytes bounds the memory of keys and values for each shape of policy. A request waits
	// until its worst case fits. 0 means enough for every slot at the full context.
	CacheBytes int64
	// Keep is how many ended sequences stay in the cache, as long as nobody needs their pages, so
	// that calls which continue them or begin alike do not read those tokens again. 0 keeps twice
	// Slots, and only while requests with a prefix come in: a cache that walks through more memory
	// than it needs costs about a tenth of the speed. Negative keeps none.
	Keep int
}

// Decoder is a batch that requests join in the order of their submission and leave sequence by
// sequence. One goroutine owns it.
type Decoder struct {
	slots   int
	context int
	bytes   int64
	pools   map[shape]*pool
	queue   []*Job // not all samples admitted yet, in order
	active  []*sequence
	spare   []*sequence // finished, for reuse
	ended   []*Job      // since the last step
	handed  []*Job      // what the last step returned

	keeper keeper

	policies []*Policy // of the running step
	segs     []segment
	heads    []consumer // [segs] who takes the last row's logits
	blocks   []block
	runFn    func(lo, hi int)
	draw     drawer
	stats    Stats
}

// Stats are totals since the decoder was made.
type Stats struct {
	Steps        int64
	PromptTokens int64 // rows of prompts and prefixes computed
	CachedTokens int64 // tokens of prompts and prefixes that were not, because a kept sequence had them
	OutputTokens int64 // tokens drawn
	PagesUsed    int
	PageLimit    int
}

// NewDecoder makes an empty batch.
func NewDecoder(o Options) *Decoder {
	d := &Decoder{slots: o.Slots, context: o.MaxContext, bytes: o.CacheBytes, pools: map[shape]*pool{}}
	if d.slots < 1 {
		d.slots = 128
	}
	switch d.keeper = (keeper{limit: o.Keep, byKey: map[uint64][]*kept{}}); {
	case o.Keep == 0:
		d.keeper.limit, d.keeper.auto = 2*d.slots, true
	case o.Keep < 0:
		d.keeper.limit = 0
	}
	if d.context < 1 {
		d.context = math.MaxInt
	}
	d.runFn = d.runBlocks
	return d
}

// Job is a submitted request.
type Job struct {
	req     Request
	state   jobState
	pool    *pool
	context int     // tokens of a sequence at the most
	length  int     // tokens of prompt and prefix
	tokens  []int32 // both
	pages   []*page // of prompt and prefix, until the last sample is admitted
	cache   []stretch
	filled  int       // positions whose keys and values are stored
	logits  []float32 // after the last of them
	next    int       // samples admitted
	live    int       // samples not ended
	room    int       // positions left in the last page, for the last sample
	cached  int       // positions taken from a kept sequence
	kept    bool      // one of its sequences is
	started bool
	drew    bool
	out     []Sequence
	err     error
}

type jobState uint8

const (
	jobWaiting jobState = iota
	jobFilling          // its prompt is being read
	jobReady            // its prompt is read, samples wait for slots
	jobAdmitted
	jobEnded
)

// Sequences are the results, in sample order; complete once the job has ended.
func (j *Job) Sequences() []Sequence { return j.out }

// Err is why the job failed, or nil.
func (j *Job) Err() error { return j.err }

// Cached is how many tokens of prompt and prefix had not to be read because a sequence before
// began alike.
func (j *Job) Cached() int { return j.cached }

// Request is what was submitted.
func (j *Job) Request() Request { return j.req }

// sequence is a running sample.
type sequence struct {
	job   *Job
	index int
	pages []*page
	cache []stretch
	fed   int      // positions whose keys and values are stored
	token [1]int32 // drawn last, not fed yet
	room  int      // positions left in the last page
	owed  int      // pages it was promised and has not claimed
	limit int      // sampled tokens at which it ends, prefix not counted
	drawn drawn    // of the running step
}

// limit is how many tokens a sample of j may have.
func (j *Job) limit() int {
	return min(j.req.Params.MaxTokens-len(j.req.Prefix), j.context-j.length)
}

// samplePages is how many pages of its own one sample of j may need. The last token of a sequence
// is never fed.
func (j *Job) samplePages() int { return pagesFor(j.limit() - 1) }

// Submit checks a request and puts it at the end of the queue. The slices of r must not change
// before the job has ended.
func (d *Decoder) Submit(r Request) (*Job, error) {
	j, err := d.newJob(r)
	if err != nil {
		return nil, err
	}
	if j.limit() < 1 { // the prefix is as long as a sample may be
		for i := range j.out {
			j.out[i].Finish = Length
		}
		d.end(j)
		return j, nil
	}
	if len(r.Prefix) > 0 {
		d.keeper.worth = 2 * d.keeper.limit
	}
	d.queue = append(d.queue, j)
	return j, nil
}

// Check says whether Submit would refuse r.
func (d *Decoder) Check(r Request) error {
	_, err := d.newJob(r)
	return err
}

func (d *Decoder) newJob(r Request) (*Job, error) {
	if r.Policy == nil {
		return nil, errors.New("no policy")
	}
	c := r.Policy.config
	j := &Job{req: r, context: min(d.context, c.MaxContext), length: len(r.Prompt) + len(r.Prefix), live: r.N}
	switch {
	case r.N < 1:
		return nil, fmt.Errorf("number of samples is %d, want at least 1", r.N)
	case r.First < 0:
		return nil, fmt.Errorf("index of the first sample is %d, want 0 or more", r.First)
	case j.length == 0:
		return nil, errors.New("the prompt is empty")
	case len(r.Prompt) >= j.context:
		return nil, fmt.Errorf("the prompt has %d tokens, the context holds %d with the response", len(r.Prompt), j.context)
	case j.length > j.context:
		return nil, fmt.Errorf("prompt and prefix have %d tokens, the context holds %d", j.length, j.context)
	}
	if err := r.Policy.checkTokens("prompt", r.Prompt); err != nil {
		return nil, err
	}
	if err := r.Policy.checkTokens("prefix", r.Prefix); err != nil {
		return nil, err
	}
	if err := r.Params.check(c.VocabSize); err != nil {
		return nil, err
	}
	j.pool = d.poolOf(r.Policy)
	if need := pagesFor(j.length) + j.samplePages(); need > j.pool.limit {
		return nil, fmt.Errorf("one sample needs %d cache pages, the limit is %d: raise the cache or lower max tokens (%d)",
			need, j.pool.limit, r.Params.MaxTokens)
	}
	j.out = make([]Sequence, r.N)
	return j, nil
}

// poolOf is the page pool of the policy's shape.
func (d *Decoder) poolOf(p *Policy) *pool {
	pl := d.pools[p.shape]
	if pl == nil {
		pl = &pool{shape: p.shape}
		d.pools[p.shape] = pl
	}
	// Shapes may come with different contexts; the default grows to the largest.
	limit := defaultPages(d.slots, min(d.context, p.config.MaxContext))
	if d.bytes > 0 {
		limit = int(d.bytes / int64(4*p.shape.pageFloats()))
	}
	pl.limit = max(pl.limit, limit)
	return pl
}

// defaultPages is every slot at the full context, and an eighth for prompts read ahead.
func defaultPages(slots, context int) int {
	return (slots + max(1, slots/8)) * (pagesFor(context) + 1)
}

// Running and Waiting count sequences.
func (d *Decoder) Running() int { return len(d.active) }

// Waiting counts the samples that no slot has been found for.
func (d *Decoder) Waiting() int {
	n := 0
	for _, j := range d.queue {
		n += j.req.N - j.next
	}
	return n
}

// Idle says whether a step would have nothing to do.
func (d *Decoder) Idle() bool { return len(d.active) == 0 && len(d.queue) == 0 && len(d.ended) == 0 }

// Stats returns the totals.
func (d *Decoder) Stats() Stats {
	s := d.stats
	for _, p := range d.pools {
		s.PagesUsed += p.used
		s.PageLimit += p.limit
	}
	return s
}

// Cancel takes the job's sequences out of the batch. They keep what they have, and end as aborted
// unless they had ended before. The job is among the next step's ended ones.
func (d *Decoder) Cancel(j *Job) {
	if j.state == jobEnded {
		return
	}
	for i := 0; i < len(d.active); {
		if s := d.active[i]; s.job == j {
			j.out[s.index].Finish = Aborted
			d.leave(i)
		} else {
			i++
		}
	}
	for i := j.next; i < j.req.N; i++ {
		j.out[i].Finish = Aborted
	}
	d.dequeue(j)
	d.end(j)
}

// fail ends a job with an error.
func (d *Decoder) fail(j *Job, err error) {
	if j.err == nil {
		j.err = err
	}
	d.Cancel(j)
}

// end marks the job for the caller of Step.
func (d *Decoder) end(j *Job) {
	j.state, j.live = jobEnded, 0
	j.logits = nil
	d.ended = append(d.ended, j)
}

// dequeue removes the job from the queue and gives up its own pages.
func (d *Decoder) dequeue(j *Job) {
	for i, q := range d.queue {
		if q == j {
			d.queue = append(d.queue[:i], d.queue[i+1:]...)
			break
		}
	}
	for _, pg := range j.pages {
		j.pool.drop(pg)
	}
	j.pages, j.cache = nil, nil
}

// leave takes active sequence i out of the batch. The others keep their order, in which the samples
// of a group are neighbours.
func (d *Decoder) leave(i int) {
	s := d.active[i]
	if !d.keep(s) {
		for _, pg := range s.pages {
			s.job.pool.drop(pg)
		}
	}
	s.job.pool.promised -= s.owed
	clear(s.cache)
	*s = sequence{pages: s.pages[:0], cache: s.cache[:0]}
	d.spare = append(d.spare, s)
	d.active = slices.Delete(d.active, i, i+1)
}
