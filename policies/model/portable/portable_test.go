package portable

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// near says whether got is within tol of want, relative to the larger of want and 1.
func near(got, want, tol float64) bool { return math.Abs(got-want) <= tol*max(1, math.Abs(want)) }

func TestFunctionsAgreeWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(1e-300, 1e300).Draw(t, "x")
		if got, want := Log(x), math.Log(x); !near(got, want, 4e-16) {
			t.Errorf("Log(%v) = %v, want %v", x, got, want)
		}
		y := rapid.Float64Range(-600, 600).Draw(t, "y")
		if got, want := Exp(y), math.Exp(y); !near(got/want, 1, 1e-15) {
			t.Errorf("Exp(%v) = %v, want %v", y, got, want)
		}
		z := rapid.Float64Range(0, 1<<26).Draw(t, "z")
		s, c := SinCos(z)
		if ws, wc := math.Sincos(z); !near(s, ws, 1e-15) || !near(c, wc, 1e-15) {
			t.Errorf("SinCos(%v) = %v, %v, want %v, %v", z, s, c, ws, wc)
		}
	})
}

func TestFunctionsAreExactWhereTheAnswerIs(t *testing.T) {
	s, c := SinCos(0)
	got := []float64{Log(1), Exp(0), s, c}
	if diff := cmp.Diff([]float64{0, 1, 0, 1}, got); diff != "" {
		t.Errorf("values differ (-want +got):\n%s", diff)
	}
}

// Golden bits: if they change, committed policies and recorded runs change with them.
func TestBitsAreTheSameOnEveryPlatform(t *testing.T) {
	s, c := SinCos(1234.5)
	got := []uint64{math.Float64bits(Log(3.7)), math.Float64bits(Exp(-2.3)), math.Float64bits(s), math.Float64bits(c)}
	if diff := cmp.Diff(golden, got); diff != "" {
		t.Errorf("bits differ (-want +got):\n%s", diff)
	}
}

var golden = []uint64{4608571026371700047, 4591888831722854780, 4594406450670666523, 13830458741481767794}
