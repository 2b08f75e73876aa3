package rng

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The reference outputs of SplitMix64 from state 0 are the ones published with Vigna's C version.
func TestTheGeneratorIsSplitMix64(t *testing.T) {
	var s Stream
	got := []uint64{s.Uint64(), s.Uint64(), s.Uint64()}
	want := []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

// These values may never change: runs are resumed and compared by them.
func TestKeysNameTheSameStreamsForEver(t *testing.T) {
	s := New(1, 2, 3)
	got := []uint64{s.Uint64(), s.Uint64(), uint64(s.IntN(1000)), uint64(s.IntN(10))}
	want := []uint64{pinned[0], pinned[1], pinned[2], pinned[3]}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	if got := s.Perm(8); !slices.Equal(got, pinnedPerm) {
		t.Errorf("permutation: got %v, want %v", got, pinnedPerm)
	}
	if got := Text("clock/problem"); got != pinnedText {
		t.Errorf("text key: got %#x, want %#x", got, uint64(pinnedText))
	}
}

func TestKeysThatDifferInAnyWayNameDifferentStreams(t *testing.T) {
	keys := [][]uint64{{}, {0}, {0, 0}, {1}, {1, 0}, {0, 1}, {1, 2}, {2, 1}, {1, 2, 3}, {3, 2, 1}, {1 << 63}}
	seen := map[uint64][]uint64{}
	for _, k := range keys {
		s := New(k...)
		first := s.Uint64()
		if other, dup := seen[first]; dup {
			t.Errorf("keys %v and %v begin alike", k, other)
		}
		seen[first] = k
	}
}

func TestIntNIsUniform(t *testing.T) {
	const n, draws = 7, 70_000
	s := New(11)
	var count [n]int
	for range draws {
		count[s.IntN(n)]++
	}
	chi2 := 0.0
	for _, c := range count {
		d := float64(c) - draws/n
		chi2 += d * d / (draws / n)
	}
	if chi2 > 22.5 { // 6 degrees of freedom, p = 0.001
		t.Errorf("chi-square %.1f over %v", chi2, count)
	}
}

func TestPickFollowsTheWeightsAndNeverTakesAZero(t *testing.T) {
	const draws = 100_000
	weights := []float64{0, 3, 0, 1, 0}
	s := New(12)
	count := make([]int, len(weights))
	for range draws {
		count[s.Pick(weights)]++
	}
	if count[0]+count[2]+count[4] != 0 {
		t.Errorf("an index of weight 0 was picked: %v", count)
	}
	if got := float64(count[1]) / draws; math.Abs(got-0.75) > 0.006 { // 4 standard errors
		t.Errorf("share of weight 3 of 4: got %.4f", got)
	}
}

func TestPermIsAPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "n")
		s := New(rapid.Uint64().Draw(t, "key"))
		p := s.Perm(n)
		slices.Sort(p)
		for i, v := range p {
			if int(v) != i {
				t.Fatalf("sorted permutation has %d at %d", v, i)
			}
		}
	})
}

func TestMisuseIsAPanic(t *testing.T) {
	for name, f := range map[string]func(s *Stream){
		"IntN of zero":           func(s *Stream) { s.IntN(0) },
		"Pick of nothing":        func(s *Stream) { s.Pick(nil) },
		"Pick of zeros":          func(s *Stream) { s.Pick([]float64{0, 0}) },
		"Pick of a negative one": func(s *Stream) { s.Pick([]float64{1, -1}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			s := New(1)
			f(&s)
		})
	}
}
