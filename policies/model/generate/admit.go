package generate

import "pith/policies/model/random"

// admit gives free slots to waiting samples, in the order of the queue, and begins to read the
// prompts of jobs that will soon need them. A sample is admitted only where its worst case fits
// into the cache, so that a running sequence never has to be thrown out.
func (d *Decoder) admit() {
	for len(d.queue) > 0 && len(d.active) < d.slots {
		j := d.queue[0]
		if j.state != jobReady || !d.admitSample(j) {
			break
		}
	}
	d.readAhead()
}

// admitSample gives the next sample of a ready job a slot and draws its first token, unless the
// cache is too full.
func (d *Decoder) admitSample(j *Job) bool {
	full := j.length / pagePositions
	last := j.next == j.req.N-1
	need := j.samplePages()
	if last { // it takes over the job's pages
		need -= len(j.pages) - full
	}
	if !d.room(j.pool, need) {
		return false
	}
	s := d.sequence()
	s.job, s.index, s.fed, s.limit = j, j.next, j.length, j.limit()
	j.pool.promised += need
	s.owed = need
	switch {
	case last:
		s.pages = append(s.pages, j.pages...)
		j.pages = nil
	default:
		for _, pg := range j.pages[:full] {
			pg.refs++
			s.pages = append(s.pages, pg)
		}
		if full < len(j.pages) {
			pg := s.claim()
			j.pool.shape.copyPositions(pg.data, j.pages[full].data, j.length%pagePositions)
		}
	}
	s.data = s.data[:0]
	for _, pg := range s.pages {
		s.data = append(s.data, pg.data)
	}
	room := min(s.limit, 256)
	j.out[s.index] = Sequence{
		Tokens: make([]int32, 0, room), Logprobs: make([]float32, 0, room), Entropies: make([]float32, 0, room),
	}
	d.active = append(d.active, s)
	if j.next++; last {
		d.dequeue(j)
		j.state = jobAdmitted
	}
	if s.drawn = s.next(&d.draw, j.logits); s.drawn.nonsense {
		d.fail(j, ErrNotFinite)
	} else {
		d.take(len(d.active) - 1)
	}
	return true
}

// sequence returns an empty sequence.
func (d *Decoder) sequence() *sequence {
	if n := len(d.spare); n > 0 {
		s := d.spare[n-1]
		d.spare = d.spare[:n-1]
		return s
	}
	return new(sequence)
}

// claim takes one of the pages that the sequence was promised.
func (s *sequence) claim() *page {
	pg := s.job.pool.take()
	s.job.pool.promised--
	s.owed--
	s.pages = append(s.pages, pg)
	return pg
}

// next draws the token that follows the s.fed positions stored so far.
func (s *sequence) next(d *drawer, logits []float32) drawn {
	j := s.job
	p := &j.req.Params
	count := len(j.req.Prefix) + len(j.out[s.index].Tokens)
	u := 0.0
	if p.Temperature > 0 {
		u = random.Uniform(p.Seed, uint64(j.req.First+s.index), uint64(s.fed))
	}
	return d.draw(logits, p, count >= p.MinTokens, u)
}

// take appends the token drawn for active sequence i. Where the sequence ends with it, it leaves
// the batch.
func (d *Decoder) take(i int) {
	s := d.active[i]
	j := s.job
	if !j.drew {
		j.drew = true
		j.notify(FirstToken)
	}
	out := &j.out[s.index]
	t := s.drawn.token
	out.Tokens = append(out.Tokens, t)
	out.Logprobs = append(out.Logprobs, s.drawn.logprob)
	out.Entropies = append(out.Entropies, s.drawn.entropy)
	d.stats.OutputTokens++
	s.token[0] = t
	switch {
	case isStop(j.req.Params.Stop, t):
		out.Finish = Stop
	case len(out.Tokens) >= s.limit:
		out.Finish = Length
	default:
		return
	}
	d.leave(i)
	if j.live--; j.live == 0 {
		d.end(j)
	}
}

func isStop(stop []int32, t int32) bool {
	for _, s := range stop {
		if s == t {
			return true
		}
	}
	return false
}

func (j *Job) notify(e Event) {
	if j.req.Notify != nil {
		j.req.Notify(e)
	}
}

// readAhead starts reading prompts so that slots find their samples ready: for the free slots and
// a few more. Whoever is still waiting when everything that runs has ended must fit into the
// cache beside the prompts already read; that is what the sum checks.
func (d *Decoder) readAhead() {
	want := d.slots - len(d.active) + max(2, d.slots/8)
	held := map[*pool]int{} // pages of prompts read or being read
	worst := map[*pool]int{}
	for _, j := range d.queue {
		if want <= 0 {
			return
		}
		if j.state == jobWaiting {
			n := pagesFor(j.length)
			w := max(worst[j.pool], j.samplePages())
			if held[j.pool]+n+w > j.pool.limit || !d.room(j.pool, n) {
				return
			}
			d.begin(j)
		}
		held[j.pool] += pagesFor(j.length)
		worst[j.pool] = max(worst[j.pool], j.samplePages())
		want -= j.req.N - j.next
	}
}

// begin gives a job the pages of its prompt and prefix, as far as possible those of a kept
// sequence that begins alike.
func (d *Decoder) begin(j *Job) {
	j.tokens = append(append(make([]int32, 0, j.length), j.req.Prompt...), j.req.Prefix...)
	d.recall(j)
	for len(j.pages) < pagesFor(j.length) {
		j.pages = append(j.pages, j.pool.take())
	}
	for _, pg := range j.pages {
		j.data = append(j.data, pg.data)
	}
	j.state = jobFilling
}
