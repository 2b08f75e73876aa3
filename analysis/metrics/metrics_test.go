package metrics

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var inf = math.Inf(1)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if got != want && !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %.9g, want %.9g", what, got, want)
	}
}

// The vectors of this file are those of reference part 2, by section.

func TestSection25PassAtK(t *testing.T) {
	for _, v := range []struct {
		n, c, k int
		want    float64
	}{
		{10, 3, 1, .3}, {10, 3, 5, .916667}, {16, 4, 8, .961538}, {5, 0, 3, 0}, {5, 5, 1, 1}, {5, 3, 3, 1}, {200, 13, 100, .999919497},
	} {
		got, err := PassAtK(v.n, v.c, v.k)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "pass@k", got, v.want, 5e-7)
	}
}

func TestSection25PassAllKAndGPass(t *testing.T) {
	all, _ := PassAllK(10, 8, 4)
	near(t, "pass^4 of 8 in 10", all, .333333, 5e-7)
	all, _ = PassAllK(10, 3, 4)
	near(t, "pass^4 of 3 in 10", all, 0, 0)
	for tau, want := range map[float64]float64{.5: 1, .75: .866667, 1: .333333, 0: 1} {
		got, err := GPassAtK(10, 8, 4, tau)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "G-Pass@4 at "+strconv.FormatFloat(tau, 'g', -1, 64), got, want, 5e-7)
	}
	mean, _ := MeanGPassAtK(10, 8, 4)
	near(t, "mG-Pass@4", mean, .6, 5e-7)
	near(t, "majority of 3", ExpectedMajority(3, .6), .648, 1e-9)
	near(t, "majority of 5", ExpectedMajority(5, .6), .68256, 1e-9)
}

func TestMoreSamplesThanWereDrawnAreRefused(t *testing.T) {
	for _, v := range [][3]int{{5, 3, 6}, {5, 3, 0}, {5, 6, 1}, {5, -1, 1}, {0, 0, 1}} {
		if got, err := PassAtK(v[0], v[1], v[2]); err == nil || !math.IsNaN(got) {
			t.Errorf("PassAtK%v: got %v, %v; want an error", v, got, err)
		}
	}
	if _, err := GPassAtK(5, 3, 2, 1.5); err == nil {
		t.Error("a threshold above 1 is taken")
	}
}

// Counting every subset is the definition.
func TestEstimatorsAreTheShareOfSubsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "n")
		c := rapid.IntRange(0, n).Draw(t, "c")
		k := rapid.IntRange(1, n).Draw(t, "k")
		tau := rapid.SampledFrom([]float64{0, .25, .5, .6, .75, 1}).Draw(t, "tau")
		need := max(1, int(math.Ceil(tau*float64(k)-1e-9)))
		var subsets, any, all, enough float64
		for set := range 1 << n {
			size, right := 0, 0
			for i := range n {
				if set>>i&1 == 1 {
					size++
					if i < c {
						right++
					}
				}
			}
			if size != k {
				continue
			}
			subsets++
			if right > 0 {
				any++
			}
			if right == k {
				all++
			}
			if right >= need {
				enough++
			}
		}
		pass, _ := PassAtK(n, c, k)
		pow, _ := PassAllK(n, c, k)
		group, _ := GPassAtK(n, c, k, tau)
		for _, p := range [][2]float64{{pass, any}, {pow, all}, {group, enough}} {
			if math.Abs(p[0]-p[1]/subsets) > 1e-9 {
				t.Fatalf("n %d, c %d, k %d, tau %g: got %g, want %g", n, c, k, tau, p[0], p[1]/subsets)
			}
		}
	})
}

func TestSection28LengthFilteredVote(t *testing.T) {
	var ballots []Ballot
	for _, v := range strings.Fields("3a 4a 5a 6b 8b 9c 10d 11b 12e 13b") {
		length, _ := strconv.Atoi(v[:len(v)-1])
		ballots = append(ballots, Ballot{Class: int(v[len(v)-1] - 'a'), Length: float64(length)})
	}
	if got, want := Majority(ballots), (Vote{Class: 1, Votes: 4, Tied: []int{1}}); !cmp.Equal(got, want) {
		t.Errorf("all: %s", cmp.Diff(want, got))
	}
	if got, want := LengthFilteredMajority(ballots, 2, 3), (Vote{Class: 0, Votes: 3, Tied: []int{0}}); !cmp.Equal(got, want) {
		t.Errorf("filtered: %s", cmp.Diff(want, got))
	}
	near(t, "entropy of two answers", AnswerEntropy(ballots[4:6]), .693147, 5e-7)
}

func TestTiesAndUnreadableAnswersInAVote(t *testing.T) {
	tie := Majority([]Ballot{{Class: 4}, {Class: -1}, {Class: -1}, {Class: 2}})
	if want := (Vote{Class: 4, Votes: 1, Tied: []int{4, 2}}); !cmp.Equal(tie, want) {
		t.Errorf("tie: %s", cmp.Diff(want, tie))
	}
	near(t, "a tie with one right answer", tie.Accuracy(func(c int) bool { return c == 2 }), .5, 0)
	none := Majority([]Ballot{{Class: -1}})
	if none.Class != -1 || none.Accuracy(func(int) bool { return true }) != 0 {
		t.Errorf("no readable answer: got %+v", none)
	}
	if got := LengthFilteredMajority(nil, 2, 3); got.Class != -1 {
		t.Errorf("no ballots: got %+v", got)
	}
}

func TestSection21CostOfPass(t *testing.T) {
	prices := TokenPrices{Prompt: 1, Completion: 4}
	near(t, "attempt", prices.Of(1000, 2000), .009, 1e-12)
	near(t, "cost of pass", CostOfPass(prices.Of(1000, 2000), .6), .015, 1e-12)
	near(t, "short", CostOfPass(prices.Of(1000, 500), .2), .015, 1e-12)
	near(t, "long", CostOfPass(prices.Of(1000, 8000), .9), .0366667, 5e-8)
	near(t, "never", CostOfPass(.01, 0), inf, 0)

	costs := [][]float64{{.015, .09}, {.015, inf}, {.0366667, .0412}}
	near(t, "frontier", FrontierCost(costs, inf), .0281, 5e-8)
	near(t, "frontier with an expert", FrontierCost(costs, .03), .0225, 1e-9)
	for model, want := range []float64{0, 0, .464762} {
		near(t, "essentialness", Essentialness(costs, model, inf), want, 5e-7)
	}
	near(t, "the only one to pass", Essentialness([][]float64{{1, 2}, {1, inf}}, 0, inf), 1, 0)
	if got := Essentialness([][]float64{{inf}}, 0, inf); !math.IsNaN(got) {
		t.Errorf("a frontier that nobody reaches: got %v, want NaN", got)
	}
	if got := FrontierCost([][]float64{{1, 2}, {1}}, inf); !math.IsNaN(got) {
		t.Errorf("models with different problems: got %v, want NaN", got)
	}
	near(t, "break-even", BreakEven(10, .03, .01), 500, 1e-9)
	near(t, "no saving", BreakEven(10, .01, .01), inf, 0)
}

func TestSections22And24And26Scores(t *testing.T) {
	near(t, "E3", E3(.7, 1000), .49, 1e-12)
	near(t, "E3", E3(.75, 2000), .28125, 1e-12)
	near(t, "per 1k", AccuracyPerThousand(.7, 1000), .7, 1e-12)
	near(t, "per 1k", AccuracyPerThousand(.75, 2000), .375, 1e-12)
	for _, v := range [][5]float64{
		{76.8, 554, 73.4, 932, .5445}, {69.9, 874, 73.4, 932, -.1762}, {80, 500, 80, 1000, .5},
		{76, 500, 80, 1000, .25}, {84, 1200, 80, 1000, -.05}, {89.3, 1121, 88.2, 1717, .3845},
	} {
		near(t, "AES", AES(v[0], v[1], v[2], v[3], DefaultAES), v[4], 6e-5)
	}
	near(t, "productivity", ToolProductivity(6, 4), 1.5, 0)
	near(t, "right without a tool", ToolProductivity(6, 0), inf, 0)
	area, err := AreaUnderBudget([]BudgetPoint{{1, 0}, {10, .5}, {100, .5}})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "area", area, .375, 1e-12)
	if _, err := AreaUnderBudget([]BudgetPoint{{10, .5}, {10, .5}}); err == nil {
		t.Error("a budget that does not rise is taken")
	}
	relative, err := RelativeLength([]float64{50, 30}, []float64{100, 40})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "relative length", relative, -.375, 1e-12)
}

func TestSection23InformationCapacity(t *testing.T) {
	for _, v := range [][5]float64{
		{32, 20, CapacityMixedText, 2e9, -.388383}, {36, 10, CapacityMixedText, 2.8e9, .063729}, {36, 10, CapacityMixedText, 1.4e10, .059339},
	} {
		near(t, "capacity", InformationCapacity(v[0], v[1], v[2], v[3]), v[4], 5e-7)
	}
	s := Shape{Layers: 2, Width: 64, Heads: 4, KVHeads: 2, Hidden: 128, Vocabulary: 1000}
	total := s.DecodeFLOPs(8, 0)
	near(t, "FLOPs", total, 2217984, 0)
	near(t, "log2", math.Log2(total/8), 18.080818, 5e-7)
	near(t, "capacity", InformationCapacity(36, 10, CapacityMixedText, total/8), .110614, 5e-7)
}

func TestSection210Markers(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]int
	}{
		{"the reference", "Wait, maybe it is 4. Let me check: first 2+2, so 4. Alternatively 5?",
			map[string]int{Reflection: 2, Alternative: 1, Hedging: 1, Discourse: 2}},
		{"whole words only", "waiting secondhand sofa mighty thens", map[string]int{}},
		{"the longest first", "on second thought", map[string]int{Reflection: 1}},
		{"hyphens and case", "Double-Check. I THINK so", map[string]int{Reflection: 1, Hedging: 1, Discourse: 1}},
		{"other scripts around", "échowait wait日 日 wait", map[string]int{Reflection: 1}},
		{"nothing", "", map[string]int{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Markers(tt.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzMarkers(f *testing.F) {
	f.Add("Wait, maybe it is 4. Let me check")
	f.Add("\xffwait\xfe İwait")
	f.Fuzz(func(t *testing.T, text string) {
		total := 0
		for kind, n := range Markers(text) {
			if n <= 0 || markerWords[kind] == nil {
				t.Fatalf("%q: %d of %q", text, n, kind)
			}
			total += n
		}
		if total > len(strings.ToLower(text))/2+1 {
			t.Fatalf("%q: %d markers", text, total)
		}
	})
}

func BenchmarkMarkers(b *testing.B) {
	text := strings.Repeat("Wait, maybe it is 4. Let me check: first 2+2, so 4. The rest follows. ", 50)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Markers(text)
	}
}
