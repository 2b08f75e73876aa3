package metrics

import (
	"cmp"
	"math"
	"slices"
)

// Ballot is one sample's answer in a vote. Class is its equivalence class (the grader decides what is
// the same answer; a string comparison splits 1/2 from 0.5); a negative Class is an answer that could
// not be read, which never wins a vote and is counted in none.
type Ballot struct {
	Class  int
	Length float64 // of the response, any unit
}

// Vote is the outcome of a plurality vote.
type Vote struct {
	Class int   // of the winner, the first seen where several tie; -1 where no answer could be read
	Votes int   // of the winner
	Tied  []int // all classes with that many votes, in order of first appearance; Tied[0] is Class
}

// Majority is the plurality vote over the ballots that could be read (self-consistency, arXiv
// 2203.11171).
func Majority(ballots []Ballot) Vote {
	order, count := tally(ballots)
	best := Vote{Class: -1}
	for _, class := range order {
		switch {
		case count[class] > best.Votes:
			best = Vote{Class: class, Votes: count[class], Tied: []int{class}}
		case count[class] == best.Votes:
			best.Tied = append(best.Tied, class)
		}
	}
	return best
}

// Accuracy is the expected accuracy of the vote where right says which classes are right answers: a
// tie is broken by a fair draw, so that the order of samples has no influence. It is 0 where no
// answer could be read.
func (v Vote) Accuracy(right func(class int) bool) float64 {
	if len(v.Tied) == 0 {
		return 0
	}
	hits := 0
	for _, class := range v.Tied {
		if right(class) {
			hits++
		}
	}
	return float64(hits) / float64(len(v.Tied))
}

// LengthFilteredMajority votes only inside the buckets of length whose answers agree most: ballots are
// bucketed by ⌊length/width⌋, and the keep buckets of lowest answer entropy are kept, of equal ones
// the shorter (arXiv 2502.07266, which uses width 2 and keeps 3). width must be positive.
func LengthFilteredMajority(ballots []Ballot, width float64, keep int) Vote {
	type bucket struct {
		at      int
		ballots []Ballot
		entropy float64
	}
	byLength := map[int]*bucket{}
	for _, b := range ballots {
		if b.Class < 0 {
			continue
		}
		at := int(math.Floor(b.Length / width))
		if byLength[at] == nil {
			byLength[at] = &bucket{at: at}
		}
		byLength[at].ballots = append(byLength[at].ballots, b)
	}
	buckets := make([]*bucket, 0, len(byLength))
	for _, b := range byLength {
		b.entropy = AnswerEntropy(b.ballots)
		buckets = append(buckets, b)
	}
	slices.SortFunc(buckets, func(a, b *bucket) int {
		return cmp.Or(cmp.Compare(a.entropy, b.entropy), cmp.Compare(a.at, b.at))
	})
	var kept []Ballot
	for _, b := range buckets[:min(max(keep, 0), len(buckets))] {
		kept = append(kept, b.ballots...)
	}
	return Majority(kept)
}

// AnswerEntropy is the entropy, in nats, of the answers that could be read.
func AnswerEntropy(ballots []Ballot) float64 {
	order, count := tally(ballots)
	total := 0
	for _, n := range count {
		total += n
	}
	entropy := 0.0
	for _, class := range order {
		p := float64(count[class]) / float64(total)
		entropy -= p * math.Log(p)
	}
	return max(entropy, 0)
}

// tally counts readable ballots by class; order is that of first appearance.
func tally(ballots []Ballot) (order []int, count map[int]int) {
	count = map[int]int{}
	for _, b := range ballots {
		if b.Class < 0 {
			continue
		}
		if count[b.Class] == 0 {
			order = append(order, b.Class)
		}
		count[b.Class]++
	}
	return order, count
}

// ExpectedMajority is the chance that most of n independent voters are right where each is with
// chance p and all wrong ones agree, the worst case; half the votes count half (Condorcet).
func ExpectedMajority(n int, p float64) float64 {
	if n < 1 {
		return math.NaN()
	}
	if p <= 0 || p >= 1 {
		return min(max(p, 0), 1)
	}
	sum := 0.0
	for i := (n + 1) / 2; i <= n; i++ {
		term := math.Exp(logChoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
		if 2*i == n {
			term /= 2
		}
		sum += term
	}
	return sum
}
