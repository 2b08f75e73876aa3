package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite golden files")

// gallery is a figure for every kind of panel and the cases that are easily drawn wrong.
func gallery() []Figure {
	steps := []float64{0, 10, 20, 30, 40}
	nan := math.NaN()
	var long, wave, wobble []float64
	for i := range 121 {
		long = append(long, float64(i))
		wave = append(wave, 0.6+0.35*(1-math.Exp(-float64(i)/20)))
		wobble = append(wobble, 0.55+0.4*(1-math.Exp(-float64(i)/15))+0.03*math.Sin(float64(i)))
	}
	return []Figure{
		{
			Name: "lines", Title: "Accuracy rises while responses shrink", Subtitle: "Held-out problems at temperature 1; whiskers are 95 % intervals",
			Alt: "Two line charts over learner steps.",
			Panels: []Panel{
				Chart{
					Title: "Accuracy", X: Axis{Whole: true}, Y: Axis{Format: Percent}, Series: []Series{
						{Name: "sampled", X: steps, Y: []float64{.621, .86, .92, .94, .953}, YLow: []float64{.59, .84, .9, .92, .94}, YHigh: []float64{.65, .88, .94, .96, .965}, Colour: Blue, Marker: Disc,
							Hints: []string{"step 0: 62.1 %", "", "", "", "step 40: 95.3 %"}},
						{Name: "greedy", X: steps, Y: []float64{.978, .97, .975, .98, .981}, Colour: Rust, Marker: Square, Dash: Dashed},
					},
				},
				Chart{
					Title: "Mean response length, tokens", X: Axis{Label: "learner step", Whole: true}, Y: Axis{Zero: true}, Rules: []Rule{{At: 48, Label: "limit 48"}}, Series: []Series{
						{Name: "all", X: steps, Y: []float64{65.7, 30, 24, 22, 21}, Colour: Ink, Marker: Disc},
						{Name: "right", X: steps, Y: []float64{58, 28, 23, 22, 20.8}, Colour: Blue, Marker: Square, Dash: Dashed},
						{Name: "wrong", X: steps, Y: []float64{80, 40, nan, 25, 23}, Colour: Rust, Marker: Triangle, Dash: Dotted},
						{Name: "truncated", X: steps, Y: []float64{nan, nan, nan, nan, nan}, Colour: Gold, Marker: Diamond},
					},
				},
			},
		},
		{
			Name: "plane", Title: "Up and to the left is better", Width: 620, Alt: "Scatter plot of accuracy against length.",
			Panels: []Panel{Chart{
				Title: "Accuracy", Height: 330, Pad: 0.08, Legend: true, X: Axis{Label: "mean response tokens"}, Y: Axis{Format: Percent},
				Series: []Series{
					{Name: "sampled", X: []float64{65.7, 30, 24, 22, 21}, Y: []float64{.621, .86, .92, .94, .953}, XLow: []float64{63, 29, 23.5, 21.6, 20.7}, XHigh: []float64{68, 31, 24.5, 22.4, 21.3},
						YLow: []float64{.59, .84, .9, .92, .94}, YHigh: []float64{.65, .88, .94, .96, .965}, Colour: Blue, Marker: Disc, Arrow: true, Labels: []string{"base", "step 10", "step 20", "step 30", "step 40"}},
					{Name: "greedy", X: []float64{99, 22}, Y: []float64{.978, .981}, Colour: Rust, Marker: Square, Dash: Dashed, Arrow: true, Labels: []string{"base", "step 40"}},
				},
			}},
		},
		{
			Name: "histogram", Title: "Where the tokens went", Alt: "Stacked histograms of response length.", Columns: 2,
			Panels: []Panel{
				Histogram{Title: "Before", Legend: true, X: Axis{Label: "response tokens"}, Y: Axis{Format: Percent}, Edges: []float64{0, 25, 50, 75, 100, 125, 150, 175, 200}, Top: .5, Rules: []Rule{{Vertical: true, At: 65.7, Label: "mean 65.7"}},
					Stacks: []Stack{{"right", []float64{.05, .12, .15, .1, .05, .02, 0, 0}, Blue}, {"wrong", []float64{.1, .1, .05, .05, .05, .03, .02, 0}, Rust.Tint(.55)}, {"truncated", []float64{0, 0, 0, 0, 0, 0, 0, .04}, White}}},
				Histogram{Title: "After", Legend: true, X: Axis{Label: "response tokens"}, Y: Axis{Format: Percent}, Edges: []float64{0, 25, 50, 75, 100, 125, 150, 175, 200}, Top: .5, Rules: []Rule{{Vertical: true, At: 190, Label: "far right"}},
					Stacks: []Stack{{"right", []float64{.46, .4, .05, 0, 0, 0, 0, 0}, Blue}, {"wrong", []float64{.03, .02, .01, 0, 0, 0, 0, 0}, Rust.Tint(.55)}, {"truncated", make([]float64, 8), White}}},
			},
		},
		{
			Name: "shares", Title: "Who waits for whom", Alt: "Bars of seconds.",
			Panels: []Panel{Shares{Rows: []Row{
				{"trainer", []Part{{"waits for traces", 31, Gold, "44 %"}, {"learns", 28, Blue, "39 %"}, {"evaluates", 11, Teal, "15 %"}, {"publishes", .4, Purple, "0.6 %"}, {"commits", .7, Slate, "1 %"}}},
				{"engine", []Part{{"decodes", 40, Blue.Tint(.6), "56 %"}, {"idle", 31, Gold, "44 %"}}},
			}}},
		},
		{
			Name: "dense", Title: "Long series & awkward ranges", Subtitle: `quotes " and <tags> are text`, Columns: 2, Width: 900, Alt: "Several panels.",
			Panels: []Panel{
				Chart{Title: "Many points, band", Y: Axis{Format: Percent, Range: [2]float64{0, 1}}, X: Axis{Label: "step"}, Series: []Series{
					{Name: "smooth", X: long, Y: wave, YLow: shift(wave, -.05), YHigh: shift(wave, .05), Band: true, Colour: Blue, Marker: Disc},
					{Name: "wobbly", X: long, Y: wobble, Colour: Rust, Marker: Triangle, Dash: DashDot, Thin: true},
				}},
				Chart{Title: "Logarithmic", Y: Axis{Log: true, Format: Power}, X: Axis{Label: "step"}, Series: []Series{
					{Name: "mean", X: steps, Y: []float64{3e-7, 2e-7, 0, 4e-7, 3e-7}, Colour: Blue, Marker: Disc},
					{Name: "max", X: steps, Y: []float64{3e-5, 2e-4, 1e-4, 4e-5, 3e-5}, Colour: Rust, Marker: Square},
				}},
				Chart{Title: "Categories", X: Axis{Label: "difficulty level", Categories: []string{"1", "2", "3", "4"}}, Y: Axis{Zero: true}, Series: []Series{
					{Name: "before", X: []float64{0, 1, 2, 3}, Y: []float64{18, 34, 47, 1250}, Colour: Slate, Marker: Ring},
					{Name: "after", X: []float64{0, 1, 2, 3}, Y: []float64{3, 11, 14, 600}, Colour: Blue, Marker: Disc},
				}},
				Chart{Title: "One flat point", X: Axis{}, Y: Axis{}, Series: []Series{{Name: "lonely", X: []float64{7}, Y: []float64{-0.25}, Colour: Purple}}},
				Chart{Title: "Nothing at all", X: Axis{Label: "step"}},
				Chart{Title: "Crowded ends", X: Axis{}, Y: Axis{}, Series: crowd(steps)},
			},
		},
	}
}

func shift(v []float64, d float64) []float64 {
	out := slices.Clone(v)
	for i := range out {
		out[i] += d
	}
	return out
}

func crowd(x []float64) []Series {
	var all []Series
	for i := range 8 {
		y := make([]float64, len(x))
		for j := range y {
			y[j] = 1 + float64(j) + 0.02*float64(i)
		}
		all = append(all, Series{Name: "series " + string(rune('a'+i)), X: x, Y: y, Colour: Cycle(i), Marker: CycleMarker(i), Dash: CycleDash(i)})
	}
	return all
}

func TestFiguresAreDrawnAsBefore(t *testing.T) {
	for _, f := range gallery() {
		t.Run(f.Name, func(t *testing.T) {
			got := f.SVG()
			golden := filepath.Join("testdata", f.Name+".svg")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("differs from %s; look at it and run with -update if it is right:\n%s", golden, diff)
			}
		})
	}
}

func TestSVGIsWellFormedAndFreeOfNumbersThatAreNone(t *testing.T) {
	for _, f := range gallery() {
		text := f.SVG()
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s holds a number that is none", f.Name)
		}
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		}
	}
}

func TestPNGHasTheSizeOfTheFigureAndTheSameBytesEveryTime(t *testing.T) {
	for _, f := range gallery() {
		var first, second bytes.Buffer
		if err := f.PNG(&first, 1); err != nil {
			t.Fatal(err)
		}
		if err := f.PNG(&second, 1); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two drawings differ", f.Name)
		}
		if dir := os.Getenv("PITH_PLOT_DIR"); dir != "" { // for looking at them
			var large bytes.Buffer
			if err := f.PNG(&large, 2); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, f.Name+".png"), large.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		img, err := png.Decode(&first)
		if err != nil {
			t.Fatal(err)
		}
		a := f.arrange(newLetters())
		if got := img.Bounds(); got.Dx() != int(a.width) || got.Dy() != int(a.height) {
			t.Errorf("%s is %v, want %v × %v", f.Name, got, a.width, a.height)
		}
		dark := 0
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if r, _, _, _ := img.At(x, y).RGBA(); r < 0x8000 {
					dark++
				}
			}
		}
		if dark < 500 {
			t.Errorf("%s: only %d dark pixels; something was not drawn", f.Name, dark)
		}
	}
}

func TestPNGRefusesAScaleItCannotDraw(t *testing.T) {
	for _, scale := range []float64{0, -1, 17, math.NaN()} {
		if err := gallery()[0].PNG(io.Discard, scale); err == nil {
			t.Errorf("scale %v accepted", scale)
		}
	}
}

func TestTicksAreRoundInsideTheAxisAndNotTooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(-1e6, 1e6).Draw(t, "low")
		hi := low + rapid.Float64Range(1e-3, 1e6).Draw(t, "width")
		room := float64(rapid.IntRange(2, 15).Draw(t, "room"))
		a := Axis{Whole: rapid.Bool().Draw(t, "whole")}
		pad := rapid.SampledFrom([]float64{0, 0.015, 0.08}).Draw(t, "pad")
		s := a.fit([]float64{low, hi}, room, pad)
		if s.low > low || s.hi < hi {
			t.Fatalf("[%v, %v] does not cover [%v, %v]", s.low, s.hi, low, hi)
		}
		if n := len(s.ticks); float64(n) > 1.5*room+3 {
			t.Fatalf("%d ticks for room %v", n, room)
		}
		var texts []string
		for _, tick := range s.ticks {
			if tick < s.low-1e-9*(s.hi-s.low) || tick > s.hi+1e-9*(s.hi-s.low) {
				t.Fatalf("tick %v outside [%v, %v]", tick, s.low, s.hi)
			}
			texts = append(texts, s.label(tick))
		}
		if distinct := slices.Compact(slices.Clone(texts)); len(distinct) != len(texts) {
			t.Fatalf("equal labels: %q", texts)
		}
	})
}

func TestNumbersAreWrittenForReaders(t *testing.T) {
	for _, tc := range []struct {
		format   Format
		x        float64
		decimals int
		want     string
	}{
		{Plain, 1234567, 0, "1,234,567"},
		{Plain, 123, 1, "123.0"},
		{Plain, -1234.5, 1, "−1,234.5"},
		{Percent, .955, 3, "95.5 %"},
		{Percent, .5, 1, "50 %"},
		{Power, 1e-6, 0, "1e-6"},
		{Power, 2.5e4, 0, "2.5e4"},
	} {
		if got := tc.format.write(tc.x, tc.decimals); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.x, got, tc.want)
		}
	}
}

func TestSpreadKeepsLabelsApartInOrderAndWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wanted := rapid.SliceOfN(rapid.Float64Range(0, 100), 0, 12).Draw(t, "wanted")
		slices.Sort(wanted)
		const gap = 7
		got := spread(wanted, gap, 0, 100)
		for i := range got {
			if i > 0 && got[i]-got[i-1] < gap-1e-9 {
				t.Fatalf("%v and %v are too close", got[i-1], got[i])
			}
			if got[i] < -1e-9 || got[i] > 100+1e-9 {
				t.Fatalf("%v is out of bounds", got[i])
			}
		}
		// What is far enough apart stays where it is.
		apart := true
		for i := 1; i < len(wanted); i++ {
			apart = apart && wanted[i]-wanted[i-1] >= gap
		}
		if apart {
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestDashesCoverTheirShareOfALine(t *testing.T) {
	pieces := dashes([]point{{0, 0}, {50, 0}, {50, 50}}, []float64{6, 4})
	total := 0.0
	for _, piece := range pieces {
		for i := 1; i < len(piece); i++ {
			total += math.Hypot(piece[i].x-piece[i-1].x, piece[i].y-piece[i-1].y)
		}
	}
	if math.Abs(total-60) > 1e-9 || len(pieces) != 10 {
		t.Errorf("%d pieces of total length %v, want 10 of 60", len(pieces), total)
	}
}

func TestPaletteIsReadableOnWhite(t *testing.T) {
	channel := func(v uint8) float64 {
		x := float64(v) / 255
		if x <= 0.03928 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	for i, c := range []Colour{Ink, Slate, Blue, Rust, Teal, Purple, Gold, Pink} {
		luminance := 0.2126*channel(c.R) + 0.7152*channel(c.G) + 0.0722*channel(c.B)
		if contrast := 1.05 / (luminance + 0.05); contrast < 4.5 {
			t.Errorf("colour %d (%s) has contrast %.2f, want 4.5 (WCAG 2.1, 1.4.3)", i, c.hex(), contrast)
		}
	}
}
