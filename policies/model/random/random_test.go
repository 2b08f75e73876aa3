package random

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The vectors are the known answers published with the Random123 library (kat_vectors,
// philox4x32 with 10 rounds).
func TestPhiloxGivesThePublishedAnswers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		key     [2]uint32
		counter [4]uint32
		want    [4]uint32
	}{
		{"zeros", [2]uint32{}, [4]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{"ones", [2]uint32{0xffffffff, 0xffffffff}, [4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{"digits of pi", [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Philox4x32(tc.key, tc.counter)); diff != "" {
				t.Errorf("block differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUniformIsEvenOverBinsAndUncorrelatedAlongEachCoordinate(t *testing.T) {
	const n, bins = 1 << 16, 64
	for _, tc := range []struct {
		name string
		draw func(i uint64) float64
	}{
		{"key", func(i uint64) float64 { return Uniform(i, 3, 4) }},
		{"high", func(i uint64) float64 { return Uniform(7, i, 4) }},
		{"low", func(i uint64) float64 { return Uniform(7, 3, i) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var count [bins]float64
			serial, last := 0.0, tc.draw(n)
			for i := range uint64(n) {
				u := tc.draw(i)
				count[int(u*bins)]++
				serial += (u - 0.5) * (last - 0.5)
				last = u
			}
			chi := 0.0
			for _, c := range count {
				chi += (c - n/bins) * (c - n/bins) / (n / bins)
			}
			if chi > 63+6*math.Sqrt(2*63) {
				t.Errorf("chi-square %.1f over %d bins", chi, bins)
			}
			if r := serial / n * 12; math.Abs(r) > 6/math.Sqrt(n) {
				t.Errorf("serial correlation %.4f", r)
			}
		})
	}
}

func TestNormalHasTheMomentsOfTheStandardNormal(t *testing.T) {
	const n = 200_000
	var m1, m2, m4 float64
	for i := range uint64(n) {
		x := Normal(1, 2, i)
		m1, m2, m4 = m1+x, m2+x*x, m4+x*x*x*x
	}
	for _, tc := range []struct {
		name           string
		got, want, tol float64
	}{{"mean", m1 / n, 0, 0.012}, {"variance", m2 / n, 1, 0.016}, {"fourth moment", m4 / n, 3, 0.12}} {
		if math.Abs(tc.got-tc.want) > tc.tol {
			t.Errorf("%s is %.4f, want %.1f", tc.name, tc.got, tc.want)
		}
	}
}

// Golden bits: they may never change, or every committed base policy changes with them.
func TestNormalIsTheSameToTheBitOnEveryPlatform(t *testing.T) {
	got := []uint64{}
	for i := range uint64(4) {
		got = append(got, math.Float64bits(Normal(42, 7, i)))
	}
	if diff := cmp.Diff(goldenNormals, got); diff != "" {
		t.Errorf("bits differ (-want +got):\n%s", diff)
	}
}

var goldenNormals = []uint64{4604660750932111117, 4606153553855636520, 13832556073451668298, 13827288627878895429}
