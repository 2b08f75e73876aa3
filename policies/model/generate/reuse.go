package generate

import "slices"

// kept is a sequence that has ended and whose keys and values are still there, so that a request
// which continues it, or begins like it, need not read those tokens again.
type kept struct {
	policy *Policy
	key    uint64
	tokens []int32 // whose keys and values are stored
	pages  []*page
	cache  []stretch
	used   int64 // when it was kept or last found, in steps of the keeper's clock
	gone   bool
}

// leastKept is how many tokens a sequence must have that no kept sequence has, to be kept. Many
// short continuations of one sequence would otherwise drive out the others.
const leastKept = 16

// keeper finds and forgets kept sequences. They give way, least recently used first, to whoever
// needs pages.
type keeper struct {
	limit int  // sequences kept
	auto  bool // keep only while it seems worth it
	worth int  // sequences without a prefix to keep before the next continuation must have come
	n     int  // not gone
	clock int64
	order []use              // by time; all but the last use of a sequence are stale
	byKey map[uint64][]*kept // by policy and prompt
}

// use is a moment at which a sequence was kept or found.
type use struct {
	k    *kept
	time int64
}

// touch makes k the most recently used.
func (r *keeper) touch(k *kept) {
	r.clock++
	k.used = r.clock
	if r.order = append(r.order, use{k, r.clock}); len(r.order) > 64+4*r.limit {
		r.order = slices.DeleteFunc(r.order, func(u use) bool { return u.stale() })
	}
}

func (u use) stale() bool { return u.k.gone || u.k.used != u.time }

// promptKey hashes a prompt (FNV-1a over its ids). What is found under a key is compared token by
// token, so a collision does no harm.
func promptKey(prompt []int32) uint64 {
	h := uint64(14695981039346656037)
	for _, t := range prompt {
		h = (h ^ uint64(uint32(t))) * 1099511628211
	}
	return h
}

// keep takes over the pages of a sequence that leaves the batch. It reports false where nothing is
// to be kept.
func (d *Decoder) keep(s *sequence) bool {
	if d.keeper.limit < 1 || s.job.err != nil || (d.keeper.auto && d.keeper.worth < 1) {
		return false
	}
	j := s.job
	known := j.cached // of the sequence's tokens, to what is kept already
	if j.kept {
		known = j.length
	}
	if s.fed-known < leastKept {
		return false
	}
	j.kept = true
	if len(j.req.Prefix) == 0 {
		d.keeper.worth--
	}
	k := &kept{policy: j.req.Policy, key: promptKey(j.req.Prompt)}
	k.tokens = append(append(make([]int32, 0, s.fed), j.tokens...), j.out[s.index].Tokens...)[:s.fed]
	k.pages, k.cache = slices.Clone(s.pages), slices.Clone(s.cache)
	d.keeper.touch(k)
	d.keeper.byKey[k.key] = append(d.keeper.byKey[k.key], k)
	if d.keeper.n++; d.keeper.n > d.keeper.limit {
		d.evict()
	}
	return true
}

// evict forgets the kept sequence that was used least recently; false where there is none.
func (d *Decoder) evict() bool {
	for i, u := range d.keeper.order {
		if !u.stale() {
			d.keeper.order = d.keeper.order[i+1:]
			d.drop(u.k)
			return true
		}
	}
	d.keeper.order = nil
	return false
}

// drop gives up the pages of a kept sequence.
func (d *Decoder) drop(k *kept) {
	pl := d.pools[k.policy.shape]
	for _, pg := range k.pages {
		pl.drop(pg)
	}
	bucket := d.keeper.byKey[k.key]
	for i, other := range bucket {
		if other == k {
			bucket[i] = bucket[len(bucket)-1]
			bucket[len(bucket)-1] = nil
			bucket = bucket[:len(bucket)-1]
			break
		}
	}
	if len(bucket) == 0 {
		delete(d.keeper.byKey, k.key)
	} else {
		d.keeper.byKey[k.key] = bucket
	}
	d.keeper.n--
	k.gone, k.pages, k.cache, k.tokens, k.policy = true, nil, nil, nil, nil
}

// Forget drops what is kept of a policy's sequences; for policies that will not be asked again.
func (d *Decoder) Forget(p *Policy) {
	for _, u := range d.keeper.order {
		if !u.stale() && u.k.policy == p {
			d.drop(u.k)
		}
	}
}

// room makes n pages available if forgetting kept sequences can do it.
func (d *Decoder) room(pl *pool, n int) bool {
	for n > pl.available() {
		if !d.evict() {
			return false
		}
	}
	return true
}

// recall finds the kept sequence that shares the longest beginning with the job's tokens, and
// begins the job with a share of its pages. The last token is always read again, for its logits.
func (d *Decoder) recall(j *Job) {
	var best *kept
	shared := 0
	for _, k := range d.keeper.byKey[promptKey(j.req.Prompt)] {
		if k.policy != j.req.Policy {
			continue
		}
		n := 0
		for n < len(k.tokens) && n < j.length-1 && k.tokens[n] == j.tokens[n] {
			n++
		}
		if n > shared {
			best, shared = k, n
		}
	}
	if best == nil {
		return
	}
	d.keeper.touch(best)
	j.cache = cut(j.cache, best.cache, shared)
	for _, pg := range best.pages[:len(j.cache)] { // a page for each stretch
		pg.refs++
		j.pages = append(j.pages, pg)
	}
	j.filled, j.cached = shared, shared
}
