package fleet

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
)

// candidate is what the choice of a replica looks at.
type candidate struct {
	name     string
	ready    bool // in service, with the policy, breaker not open
	inFlight int  // sequences
	limit    int
}

// room says whether a request for n sequences fits; one that is larger than the limit fits where
// nothing else is.
func (c candidate) room(n int) bool {
	return c.ready && (c.inFlight+n <= c.limit || c.inFlight == 0)
}

// load is the share of the limit that would be used.
func (c candidate) load(n int) float64 {
	return float64(c.inFlight+n) / float64(max(c.limit, 1))
}

// slack is how much more loaded than the least loaded a replica may be to be kept for the sake of
// its prefix cache.
const slack = 0.25

// choose picks the replica of a request: the one that requests with the same key go to, by
// rendezvous hashing, so that calls that share a prompt find it in one cache, unless it has no room
// or is more loaded than the least loaded by more than slack; else the least loaded. It returns -1
// where none has room. not is a replica to be avoided where there is another, or -1.
func choose(all []candidate, key uint64, n, not int) int {
	least, affine := -1, -1
	var best uint64
	for i, c := range all {
		if !c.ready || i == not {
			continue
		}
		if h := rendezvous(c.name, key); affine < 0 || h > best {
			affine, best = i, h
		}
		if c.room(n) && (least < 0 || c.load(n) < all[least].load(n)) {
			least = i
		}
	}
	switch {
	case least < 0 && not >= 0 && all[not].room(n) && !slices.ContainsFunc(all, func(c candidate) bool { return c.ready && c.name != all[not].name }):
		return not // better than none
	case least < 0:
		return -1
	case all[affine].room(n) && all[affine].load(n) <= all[least].load(n)+slack:
		return affine
	}
	return least
}

// rendezvous scores a replica for a key.
func rendezvous(name string, key uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return mix(h.Sum64() ^ key)
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
// generators, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// promptKey is the affinity key of a prompt.
func promptKey(prompt []int32) uint64 {
	h := fnv.New64a()
	var b [4]byte
	for _, t := range prompt {
		binary.LittleEndian.PutUint32(b[:], uint32(t))
		_, _ = h.Write(b[:])
	}
	return h.Sum64()
}
