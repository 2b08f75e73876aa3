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
	gone   bool
}

// keeper finds and forgets kept sequences. They give way, oldest first, to whoever needs pages.
type keeper struct {
	limit int                // sequences kept
	auto  bool               // keep only while it seems worth it
	worth int                // ended sequences to keep before the next continuation must have come
	n     int                // not gone
	order []*kept            // by age; the front may hold gone ones
	byKey map[uint64][]*kept // by policy and prompt
}

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
	d.keeper.worth--
	j := s.job
	k := &kept{policy: j.req.Policy, key: promptKey(j.req.Prompt)}
	k.tokens = append(append(make([]int32, 0, s.fed), j.tokens...), j.out[s.index].Tokens...)[:s.fed]
	k.pages, k.cache = slices.Clone(s.pages), slices.Clone(s.cache)
	d.keeper.order = append(d.keeper.order, k)
	d.keeper.byKey[k.key] = append(d.keeper.byKey[k.key], k)
	if d.keeper.n++; d.keeper.n > d.keeper.limit {
		d.evict()
	}
	return true
}

// evict forgets the oldest kept sequence; false where there is none.
func (d *Decoder) evict() bool {
	for i, k := range d.keeper.order {
		if !k.gone {
			d.keeper.order = d.keeper.order[i+1:]
			d.drop(k)
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
	for _, k := range d.keeper.order {
		if !k.gone && k.policy == p {
			d.drop(k)
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
	j.cache = cut(j.cache, best.cache, shared)
	for _, pg := range best.pages[:len(j.cache)] { // a page for each stretch
		pg.refs++
		j.pages = append(j.pages, pg)
	}
	j.filled, j.cached = shared, shared
}
