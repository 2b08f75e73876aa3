package grade

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostileInputs are answers meant to hang, crash or bloat a grader.
func hostileInputs() map[string]string {
	box := func(s string) string { return "\\boxed{" + s + "}" }
	matrix := "\\begin{pmatrix}" + strings.Repeat("1&", 400) + "1\\end{pmatrix}"
	return map[string]string{
		"tower of powers":            box("9^{9^{9^{9^9}}}"),
		"plain tower":                box("9^9^9^9^9^9"),
		"negative tower":             box("2^{-9^{9^9}}"),
		"huge factorial":             box("999999999!"),
		"nested factorials":          box("9!!!!!!!"),
		"factorial of factorial":     box("(((((9!)!)!)!)!)"),
		"factorials added":           box("1500!" + strings.Repeat("+1501!", 300)),
		"fractions of factorials":    box("\\frac{1500!}{7}" + strings.Repeat("+\\frac{1499!}{1498!+1}", 150)),
		"huge binomial":              box("\\binom{999999999999}{499999999999}"),
		"huge sum":                   box("\\sum_{k=1}^{10^{12}} k"),
		"nested sums":                box("\\sum_{i=1}^{4000}\\sum_{j=1}^{4000}\\sum_{k=1}^{4000} i^{99}j^{99}k^{99}"),
		"harmonic sum":               box("\\sum_{k=1}^{4000}\\frac{1}{k}"),
		"product of factorials":      box("\\prod_{k=1}^{900} k!"),
		"nested integrals":           box("\\int_0^1\\int_0^1\\int_0^1\\int_0^1 x\\,dx\\,dx\\,dx\\,dx"),
		"endless sums nested":        box("\\sum_{n=1}^{\\infty}\\sum_{m=1}^{\\infty}\\frac{1}{n^2m^2}"),
		"a million braces":           box(strings.Repeat("{", 1<<20) + "1" + strings.Repeat("}", 1<<20)),
		"a million open braces":      "\\boxed" + strings.Repeat("{", 1<<20),
		"thousand braces":            box(strings.Repeat("{", 1000) + "1" + strings.Repeat("}", 1000)),
		"nested parentheses":         box(strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000)),
		"nested fractions":           box(strings.Repeat("\\frac{1}{", 400) + "1" + strings.Repeat("}", 400)),
		"nested roots":               box(strings.Repeat("\\sqrt{", 500) + "1" + strings.Repeat("}", 500)),
		"nested text":                box(strings.Repeat("\\text{1", 400) + strings.Repeat("}", 400)),
		"many boxes":                 strings.Repeat("\\boxed{1},", 60_000),
		"many unclosed boxes":        strings.Repeat("\\boxed{", 120_000),
		"many open displays":         strings.Repeat("\\(", 300_000),
		"many open brackets":         strings.Repeat("\\[ x ", 100_000),
		"many dollars":               strings.Repeat("$ ", 400_000),
		"many double dollars":        strings.Repeat("$$ a $ ", 100_000),
		"many answers":               strings.Repeat("answer ", 200_000),
		"many final answers":         strings.Repeat("final answer is ", 80_000),
		"megabytes of text":          strings.Repeat("lorem ipsum dolor ", 300_000),
		"megabytes of digits":        strings.Repeat("1234567890", 400_000),
		"digits in a box":            box(strings.Repeat("9", 3900)),
		"digits divided":             box(strings.Repeat("9", 1900) + "/" + strings.Repeat("7", 1900)),
		"decimal with a long tail":   box("0." + strings.Repeat("3", 3900)),
		"huge exponent":              box("1e999999999"),
		"four digit exponents":       box(strings.Repeat("1e9999+", 500) + "1"),
		"invalid UTF-8":              box("\xff\xfe\x80\x00" + strings.Repeat("\xc3", 500)),
		"nothing but backslashes":    box(strings.Repeat("\\\\", 2000)),
		"bars":                       box(strings.Repeat("|", 3000)),
		"carets":                     box(strings.Repeat("2^", 1500) + "2"),
		"signs":                      box(strings.Repeat("-+", 1500) + "2"),
		"plus-minus":                 box(strings.Repeat("\\pm 1", 500)),
		"long list":                  box(strings.Repeat("1,", 2000) + "1"),
		"long list of expressions":   box(strings.Repeat("x+\\sqrt{x},", 350) + "1"),
		"wide matrix":                box(matrix),
		"determinant":                box("\\det(" + matrix + ")"),
		"many variables":             box("a+b+c+d+f+g+h+j+k+l+m+n+o+p+q+r+s+t+u+v+w+x+y+z" + strings.Repeat("+x_{1}y^{2}", 300)),
		"polynomial tower":           box(strings.Repeat("(", 30) + "x+1" + strings.Repeat(")^{99}", 30)),
		"exponent of variables":      box("x^{x^{x^{x^x}}}"),
		"division by zero":           box("\\frac{1}{0}"),
		"zero to zero":               box("0^0"),
		"log of zero":                box("\\ln 0"),
		"repeating with long period": box("0.\\overline{" + strings.Repeat("142857", 10) + "}"),
		"gcd of giants":              box("\\gcd(" + strings.Repeat("7", 1500) + "," + strings.Repeat("3", 1500) + ")"),
		"percent of percent":         box("5" + strings.Repeat("\\%", 1800)),
		"unions":                     box(strings.Repeat("(1,2)\\cup", 300) + "(3,4)"),
		"relations":                  box(strings.Repeat("x<", 1500) + "1"),
		"null bytes":                 strings.Repeat("\x00", 1<<20) + "\\boxed{1}",
		"spaces":                     strings.Repeat(" ", 4<<20),
		"thinking without end":       "<think>" + strings.Repeat("so ", 1<<20),
		"hashes":                     strings.Repeat("#", 1<<20),
		"unit words":                 box("5 " + strings.Repeat("apples ", 550)),
		"primes":                     box("f" + strings.Repeat("'", 4000)),
	}
}

// hostileGolds meet every hostile prediction, so that all comparisons are reached.
var hostileGolds = []string{"5", "\\frac{1}{3}", "x+\\sqrt{x}", "\\{1,2,3\\}", "(1,2)\\cup(3,4)", "9^{9^9}", "x^2+y^2=1", "\\text{Yes}", "A", "0.5"}

func TestHostileInputGetsItsVerdictWithinTimeAndMemory(t *testing.T) {
	const maxTime, maxBytes = 50 * time.Millisecond, 2 << 20
	grader, err := New("math", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, response := range hostileInputs() {
		t.Run(name, func(t *testing.T) {
			for _, gold := range hostileGolds {
				took, bytes, v := cost(grader, gold, response)
				for range 3 { // the machine may have been busy: what counts is what the grader needs
					if took <= maxTime && bytes <= maxBytes {
						break
					}
					took2, bytes2, _ := cost(grader, gold, response)
					took, bytes = min(took, took2), min(bytes, bytes2)
				}
				if took > maxTime*slowdown || bytes > maxBytes*slowdown {
					t.Errorf("gold %q: %v and %d bytes for %s (%s)", gold, took, bytes, v.Outcome, v.Reason)
				}
				if v.Reason == ReasonInternal {
					t.Errorf("gold %q: the grader panicked", gold)
				}
				if v.Outcome != Right && v.Outcome != Wrong && v.Outcome != NoScore || v.Reason == "" {
					t.Errorf("gold %q: no proper verdict: %+v", gold, v)
				}
			}
		})
	}
}

// cost measures the time and the allocated bytes of one call.
func cost(g Grader, gold, response string) (time.Duration, uint64, Verdict) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	v := g.Grade(gold, response)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc, v
}

func TestHostileGoldIsNoCrash(t *testing.T) {
	grader, _ := New("math", nil)
	for name, gold := range hostileInputs() {
		for _, response := range []string{"\\boxed{5}", "\\boxed{x+1}", gold} {
			took, bytes, v := cost(grader, gold, response)
			if v.Reason == ReasonInternal {
				t.Errorf("%s: the grader panicked", name)
			}
			for try := 0; try < 4 && took > 4*50*time.Millisecond*slowdown; try++ { // the machine may be busy
				again, _, _ := cost(grader, gold, response)
				took = min(took, again)
			}
			if took > 4*50*time.Millisecond*slowdown {
				t.Errorf("%s: took %v, %d bytes", name, took, bytes)
			}
		}
	}
}

func TestEveryGraderSurvivesHostileInput(t *testing.T) {
	for _, name := range Names() {
		grader, err := New(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { surviveAll(t, grader) })
	}
	for _, profile := range Profiles() {
		grader, err := New("math", map[string]any{"profile": profile})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(profile, func(t *testing.T) { surviveAll(t, grader) })
	}
}

func surviveAll(t *testing.T, grader Grader) {
	for name, response := range hostileInputs() {
		took, _, v := cost(grader, "5", response)
		if v.Reason == "" || v.Reason == ReasonInternal {
			t.Errorf("%s: verdict %+v", name, v)
		}
		for try := 0; try < 4 && took > 500*time.Millisecond*slowdown; try++ { // the machine may be busy
			again, _, _ := cost(grader, "5", response)
			took = min(took, again)
		}
		if took > 500*time.Millisecond*slowdown {
			t.Errorf("%s: took %v", name, fmt.Sprint(took))
		}
	}
}
