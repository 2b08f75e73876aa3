package faulty

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Kind is one way to go wrong.
type Kind string

// The ways to go wrong. None passes the answer through.
const (
	None       Kind = ""
	Status     Kind = "status"       // an error status instead of the answer; the upstream is not asked
	Empty400   Kind = "empty 400"    // status 400 without a body, as some load balancers answer
	Refused    Kind = "reset before" // the connection is reset before a byte of the answer
	Reset      Kind = "reset midway" // the connection is reset after half of the answer
	Slow       Kind = "slow"         // the answer comes in small pieces with pauses, whole
	Hang       Kind = "hang"         // headers and half of the answer, then nothing
	Short      Kind = "short"        // Content-Length says more than is sent
	Cut        Kind = "cut"          // half of the answer under a Content-Length that agrees: bad JSON
	Garbage    Kind = "garbage"      // status 200 with a page of HTML
	NaN        Kind = "NaN"          // a log-probability is NaN
	Null       Kind = "null"         // a log-probability is null
	Positive   Kind = "positive"     // a log-probability is above 0
	Infinite   Kind = "infinite"     // a log-probability is -Infinity
	Missing    Kind = "missing"      // a log-probability is left out
	ExtraToken Kind = "extra token"  // a token id is repeated, its log-probability is not
	Replayed   Kind = "replayed"     // the answer to an earlier request of the same path
)

// Fault is what to do to one request. The zero value passes it through.
type Fault struct {
	Kind   Kind
	Status int           // of Status; default 503
	Header http.Header   // of Status, Retry-After for example
	Pause  time.Duration // of Slow: between pieces, default 1 ms; of others: before the answer
	Piece  int           // of Slow: bytes in a piece, default 64
	Over   int           // of faults in an answer: only where it has more bytes, as long answers are hit first
}

// Plan decides what goes wrong with the n-th request, counted from 0.
type Plan func(n int64, r *http.Request) Fault

// Nothing lets everything through.
func Nothing(int64, *http.Request) Fault { return Fault{} }

// Only applies a plan to the paths given, and lets the rest through.
func Only(plan Plan, paths ...string) Plan {
	return func(n int64, r *http.Request) Fault {
		if slices.Contains(paths, r.URL.Path) {
			return plan(n, r)
		}
		return Fault{}
	}
}

// Always does the same to every request.
func Always(f Fault) Plan { return func(int64, *http.Request) Fault { return f } }

// First does the same to the first n requests.
func First(n int64, f Fault) Plan {
	return func(i int64, _ *http.Request) Fault {
		if i < n {
			return f
		}
		return Fault{}
	}
}

// Mixed draws a fault for each request by its number: kind k with probability rates[k], the same for
// the same seed. The rates sum to at most 1.
func Mixed(seed uint64, rates map[Kind]float64) Plan {
	type entry struct {
		kind Kind
		upTo float64
	}
	var table []entry
	for k, p := range rates {
		table = append(table, entry{k, p})
	}
	slices.SortFunc(table, func(a, b entry) int { return cmp.Compare(a.kind, b.kind) })
	sum := 0.0
	for i := range table {
		sum += table[i].upTo
		table[i].upTo = sum
	}
	return func(n int64, _ *http.Request) Fault {
		u := float64(mix(seed^mix(uint64(n)))>>11) / (1 << 53)
		for _, e := range table {
			if u < e.upTo {
				return Fault{Kind: e.kind}
			}
		}
		return Fault{}
	}
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
