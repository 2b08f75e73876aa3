package grade

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"pith/rewards/grade/compare"
	"pith/rewards/grade/expr"
	"pith/rewards/grade/extract"
	"pith/rewards/grade/latex"
)

// TestSoak feeds mutated answers to extraction, parsing and comparison. PITH_GRADE_SOAK gives
// the number of executions (calls of one of the three); without it a short run keeps the test
// honest. It fails on a panic, on a broken invariant, and on a call that needs more than 50 ms
// three times in a row.
func TestSoak(t *testing.T) {
	executions := 60_000
	if v := os.Getenv("PITH_GRADE_SOAK"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			t.Fatalf("PITH_GRADE_SOAK is %q; it must be a number of executions", v)
		}
		executions = n
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("PITH_GRADE_SOAK_SEED"); v != "" {
		seed, _ = strconv.ParseUint(v, 10, 64)
	}
	s := &soak{t: t, rng: rand.New(rand.NewPCG(seed, 1)), options: extract.DefaultOptions()}
	for _, c := range readCases(t) {
		s.texts = append(s.texts, c.gold, c.response)
	}
	t.Logf("seed %d, %d seed texts", seed, len(s.texts))
	start := time.Now()
	for s.done < executions {
		s.step()
	}
	t.Logf("%d executions in %v: extraction %d, parsing %d (read as mathematics %d), comparison %d (equal %d); slowest %v",
		s.done, time.Since(start).Round(time.Millisecond), s.count[0], s.count[1], s.read, s.count[2], s.equal, s.slowest)
}

type soak struct {
	t       *testing.T
	rng     *rand.Rand
	options extract.Options
	texts   []string
	buf     []byte
	done    int
	count   [3]int
	read    int
	equal   int
	slowest time.Duration
}

// pieces are spliced into answers: everything the parser treats specially.
var pieces = []string{
	"\\frac", "\\sqrt", "\\boxed", "{", "}", "(", ")", "[", "]", "\\{", "\\}", "|", "^", "_", "!", "!!", "%", "\\%", "°", "^\\circ", ",", ";", ":", "=", "<", ">", "\\le",
	"\\ne", "\\pm", "\\mp", "+", "-", "*", "/", "\\cdot", "\\cup", "\\cap", "\\setminus", "\\in", "\\text{ or }", "\\text{ cm}", "\\text{", "\\mathrm{d}", "\\sum_{i=1}^{9}", "\\int_0^1", "\\lim_{x\\to 0}",
	"\\begin{pmatrix}", "\\end{pmatrix}", "&", "\\\\", "\\left", "\\right", "\\log_2", "\\ln", "\\sin", "\\arctan", "\\max", "\\binom{5}{2}", "\\pi", "\\infty", "\\emptyset", "e", "i", "x", "y", "n", "0", "1", "2", "9", "99", "1,000", "0.5", "1e9",
	"\\overline{3}", "$", "$$", "\\(", "\\)", "\\[", "\\]", "####", "answer is", "The final answer is", "</think>", "<think>", "\n", " ", "²", "√", "½", "π", "∞", "≤", "\xff", "\u00a0", "答案", "d", "dx", "\\frac{d}{dx}", "9^9^9", "1000!", "...", "\\dots", "\\bmod", "\\choose", "\\over", "'", "~", "\\approx", "\\|",
}

// mutate returns a seed text with one to six edits.
func (s *soak) mutate() string {
	s.buf = append(s.buf[:0], s.texts[s.rng.IntN(len(s.texts))]...)
	for range 1 + s.rng.IntN(6) {
		b := s.buf
		at := 0
		if len(b) > 0 {
			at = s.rng.IntN(len(b) + 1)
		}
		switch s.rng.IntN(6) {
		case 0, 1:
			p := pieces[s.rng.IntN(len(pieces))]
			b = append(b, p...)
			copy(b[at+len(p):], b[at:])
			copy(b[at:], p)
		case 2: // delete
			end := min(len(b), at+1+s.rng.IntN(4))
			b = append(b[:at], b[end:]...)
		case 3: // repeat a stretch
			end := min(len(b), at+1+s.rng.IntN(12))
			b = append(b, b[at:end]...)
		case 4: // cross with another text
			other := s.texts[s.rng.IntN(len(s.texts))]
			b = append(b[:at], other[s.rng.IntN(len(other)+1):]...)
		case 5:
			if at < len(b) {
				b[at] = byte(s.rng.Uint32())
			}
		}
		s.buf = b[:min(len(b), 512)]
	}
	return string(s.buf)
}

func (s *soak) step() {
	a, b := s.mutate(), s.mutate()
	s.timed(0, a, b, func() {
		f, reason := extract.Find(a, s.options)
		if reason == "" && f.Rule == "" {
			s.t.Errorf("extraction of %q gives neither an answer nor a reason", a)
		}
	})
	s.timed(0, b, a, func() { extract.Find(b, s.options) })
	var left, right latex.Parsed
	var errLeft, errRight error
	budget := func() *expr.Budget { return expr.NewBudget(200_000, time.Now().Add(25*time.Millisecond)) }
	s.timed(1, a, "", func() { left, errLeft = latex.Parse(a, latex.Options{}, budget()) })
	s.timed(1, b, "", func() {
		right, errRight = latex.Parse(b, latex.Options{ListCommas: s.done%2 == 0, UnitLetters: s.done%3 == 0}, budget())
	})
	if errLeft == nil {
		s.read++
		s.timed(2, a, a, func() {
			ok, _, err := compare.Equal(left.Node, left.Node, compare.DefaultPolicy(), budget())
			if ok {
				s.equal++
			}
			if err == nil && !ok {
				s.t.Errorf("%q is not equal to itself (%s)", a, left.Node)
			}
		})
	}
	if errLeft == nil && errRight == nil {
		s.timed(2, a, b, func() {
			if ok, _, _ := compare.Equal(left.Node, right.Node, compare.DefaultPolicy(), budget()); ok {
				s.equal++
			}
		})
	}
}

// timed runs one execution; one that is slow is repeated, because the machine may have been busy.
func (s *soak) timed(kind int, a, b string, run func()) {
	defer func() {
		if r := recover(); r != nil {
			s.t.Fatalf("panic on %q and %q: %v", a, b, r)
		}
	}()
	s.done++
	s.count[kind]++
	best := time.Hour
	for range 3 {
		start := time.Now()
		run()
		if best = min(best, time.Since(start)); best < 50*time.Millisecond*slowdown {
			break
		}
	}
	if best > s.slowest {
		s.slowest = best
	}
	if best >= 50*time.Millisecond*slowdown {
		s.t.Errorf("slow: %v on %q and %q", best, a, b)
	}
}
