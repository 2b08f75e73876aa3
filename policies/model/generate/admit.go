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
	last := j.next == j.req.N-1
	need := j.samplePages()
	if last { // it goes on where the prompt ends
		need = pagesFor(max(0, j.limit()-1-j.room))
	}
	if !d.room(j.pool, need) {
		return false
	}
	s := d.sequence()
	s.job, s.index, s.fed, s.limit = j, j.next, j.length, j.limit()
	j.pool.promised += need
	s.owed = need
	s.cache = append(s.cache, j.cache...)
	for _, pg := range j.pages {
		pg.refs++
		s.pages = append(s.pages, pg)
	}
	if last {
		s.room = j.room
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
func (s *sequence) claim() {
	pg := s.job.pool.take()
	s.job.pool.promised--
	s.owed--
	s.pages = append(s.pages, pg)
	s.cache = append(s.cache, stretch{data: pg.data, room: pagePositions})
	s.room = pagePositions
}

// extend makes room for one more position.
func (s *sequence) extend() {
	if s.room == 0 {
		s.claim()
	}
	s.cache[len(s.cache)-1].n++
	s.room--
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
			d.begin(j, j.pool.limit-held[j.pool]-w)
		}
		held[j.pool] += len(j.pages)
		worst[j.pool] = max(worst[j.pool], j.samplePages())
		want -= j.req.N - j.next
	}
}

// begin gives a job the pages of its prompt and prefix, as far as possible those of a kept
// sequence that begins alike. Such a share may be spread over more pages than its positions need;
// where that makes more than most, it is given back.
func (d *Decoder) begin(j *Job, most int) {
	j.tokens = append(append(make([]int32, 0, j.length), j.req.Prompt...), j.req.Prefix...)
	if d.recall(j); len(j.pages)+pagesFor(j.length-j.filled) > most {
		for _, pg := range j.pages {
			j.pool.drop(pg)
		}
		j.pages, j.cache, j.filled, j.cached = nil, nil, 0, 0
	}
	d.stats.CachedTokens += int64(j.cached)
	for left := j.length - j.filled; left > 0; left -= pagePositions {
		pg := j.pool.take()
		n := min(left, pagePositions)
		j.pages = append(j.pages, pg)
		j.cache = append(j.cache, stretch{data: pg.data, n: n, room: pagePositions})
		j.room = pagePositions - n
	}
	j.state = jobFilling
}
