package grade

import (
	"strings"
	"testing"
)

// row is one of the 102 strings on which published graders were run side by side
// (reference "methods, budgets, tools", section 4.5). The columns are 1 accept, 0 reject,
// – not comparable: Math-Verify, DAPO, Hendrycks, DeepScaleR, prime_math. Strings that stood in
// dollars there stand in dollars here.
type row struct {
	gold, response string
	graders        string
	deviation      string // why the default policy decides otherwise than Math-Verify
}

var rows = []row{
	{`7`, `the result is 7.`, "1––––", ""},
	{`12345`, `$12,345$`, "1––––", ""},
	{`12345`, `12,345`, "11011", ""},
	{`12345`, `12 345`, "11111", ""},
	{`12345`, `$12,\!345$`, "11011", ""},
	{`0.5`, `$\frac{1}{2}$`, "10111", ""},
	{`\frac12`, `$1/2$`, "10111", ""},
	{`\dfrac{3}{8}`, `$0.375$`, "10011", ""},
	{`\frac{2}{3}`, `$\frac{4}{6}$`, "10000", ""},
	{`\frac{5}{2}`, `$2\frac{1}{2}$`, "10011", ""},
	{`-\frac{1}{3}`, `$\frac{-1}{3}$`, "10011", ""},
	{`-\frac{1}{3}`, `$\frac{1}{-3}$`, "10011", ""},
	{`\frac{1}{3}`, `$0.3333$`, "00000", ""},
	{`\frac{1}{3}`, `$0.333333$`, "10000", ""},
	{`\pi`, `$3.14$`, "00001", ""},
	{`\pi`, `$3.141593$`, "10001", ""},
	{`25\%`, `$0.25$`, "10001", ""},
	{`25\%`, `$25$`, "00111", ""},
	{`25`, `$25\%$`, "00111", ""},
	{`\frac14`, `$25\%$`, "10000", ""},
	{`15`, `$\$15$`, "1––––", ""},
	{`10`, `$10\text{ cm}$`, "11111", ""},
	{`10`, `$10\,\mathrm{m}$`, "10000", ""},
	{`30`, `$30^\circ$`, "11111", ""},
	{`10\text{ m}`, `$10\text{ cm}$`, "11111", ""},
	{`2\sqrt{3}`, `$\sqrt{12}$`, "10011", ""},
	{`\sqrt3`, `$\sqrt{3}$`, "11111", ""},
	{`\frac{1}{\sqrt{2}}`, `$\frac{\sqrt{2}}{2}$`, "10011", ""},
	{`2^{10}`, `$1024$`, "10000", ""},
	{`5!`, `$120$`, "10000", ""},
	{`\binom{5}{2}`, `$10$`, "10000", ""},
	{`\log_{2} 8`, `$3$`, "10000", ""},
	{`\ln(e^2)`, `$2$`, "10000", ""},
	{`\sin(30^\circ)`, `$\frac12$`, "00000", "a degree mark inside a trigonometric function means degrees; Math-Verify drops it and reads 30 radians"},
	{`1.5\times 10^{3}`, `$1500$`, "10000", ""},
	{`3+4i`, `$4i+3$`, "10011", ""},
	{`(1+i)^2`, `$2i$`, "00000", "i is the imaginary unit; Math-Verify takes it for a variable"},
	{`x^2-1`, `$(x-1)(x+1)$`, "10011", ""},
	{`x+1`, `$y+1$`, "00000", ""},
	{`ab`, `$AB$`, "10011", ""},
	{`a`, `$A$`, "10011", ""},
	{`x=3`, `$3$`, "11111", ""},
	{`3`, `$x=3$`, "11111", ""},
	{`x+y=2`, `$y=2-x$`, "10000", ""},
	{`x+y=2`, `$2x+2y=4$`, "10000", ""},
	{`x<1`, `$1>x$`, "10000", ""},
	{`x<1`, `$x\le 1$`, "00000", ""},
	{`\{1,2,3\}`, `$\{3,2,1\}$`, "10000", ""},
	{`\{1,2\}`, `$1,2$`, "10010", ""},
	{`1,2`, `$2,1$`, "10000", ""},
	{`\{1,2\}`, `$\{1,2,2\}$`, "10000", ""},
	{`\{1,2,3\}`, `$\{1,2\}$`, "00000", ""},
	{`(1,2)`, `$(2,1)$`, "00000", ""},
	{`(1,\frac12)`, `$(1,0.5)$`, "10011", ""},
	{`[1,2]`, `$(1,2)$`, "00000", ""},
	{`(1,2)`, `$1<x<2$`, "00000", ""},
	{`1<x<2`, `$(1,2)$`, "10000", ""},
	{`[1,2)`, `$[1,2)$`, "11111", ""},
	{`[1,2)`, `$(1,2]$`, "00000", ""},
	{`(-\infty,1)\cup(2,\infty)`, `$(2,\infty)\cup(-\infty,1)$`, "10000", ""},
	{`(-\infty,1)\cup(2,\infty)`, `$x\in(-\infty,1)\cup(2,\infty)$`, "10000", ""},
	{`\infty`, `$+\infty$`, "10000", ""},
	{`\infty`, `$-\infty$`, "00000", ""},
	{`\emptyset`, `$\{\}$`, "10000", ""},
	{`\begin{pmatrix}1&2\\3&4\end{pmatrix}`, `$\begin{bmatrix}1&2\\3&4\end{bmatrix}$`, "10000", ""},
	{`\begin{pmatrix}1&2\\3&4\end{pmatrix}`, `$\begin{pmatrix}1&2\\3&5\end{pmatrix}$`, "00000", ""},
	{`\begin{pmatrix}1\\2\end{pmatrix}`, `$(1,2)$`, "00000", ""},
	{`\pm 2`, `$\{-2,2\}$`, "10000", ""},
	{`\pm 2`, `$2,-2$`, "10000", ""},
	{`\pm 2`, `$2$ and $-2$`, "1––––", ""},
	{`5`, `so \boxed{5}`, "11111", ""},
	{`\frac{1}{2}`, `so \boxed{\frac{1}{2}}`, "11111", ""},
	{`5`, `\boxed{4}  that is what I thought at first, but then I went over every step of it again and found a slip:  \boxed{5}`, "11111", ""},
	{`4`, `\boxed{4}  that is what I thought at first, but then I went over every step of it again and found a slip:  \boxed{5}`, "00000", ""},
	{`\{4,5\}`, `\boxed{4} and \boxed{5}`, "10000", ""},
	{`5`, `\boxed{5}. Check: $2+2=4$.`, "11111", ""},
	{`5`, `We get $4$. The final answer is $5$. I hope it is correct.`, "1––––", ""},
	{`5`, `\boxed{5`, "0––––", ""},
	{`5`, `\fbox{5}`, "0––––", "a framed answer is as final as a boxed one; the issue asks for both"},
	{`5`, `\boxed 5`, "11111", ""},
	{`5`, `\boxed{x = 5 \text{ apples}}`, "10111", ""},
	{`4`, `$2+2=4$`, "11001", ""},
	{`3.14`, `$\pi \approx 3.14$`, "00000", ""},
	{`\text{Yes}`, `\boxed{\text{Yes}}`, "11111", ""},
	{`\text{(A)}`, `\boxed{A}`, "10011", ""},
	{`101_2`, `$101_{2}$`, "10011", ""},
	{`101_2`, `$101$`, "10001", ""},
	{`12:30`, `$12:30$`, "11111", ""},
	{`2:3`, `$\frac{2}{3}$`, "10000", ""},
	{`.5`, `$0.5$`, "10111", ""},
	{`1.50`, `$1.5$`, "10011", ""},
	{`3.`, `$3$`, "10011", ""},
	{`1.5`, `1,5`, "10000", ""},
	{`|-3|`, `$3$`, "10000", ""},
	{`\lfloor 3.7\rfloor`, `$3$`, "10000", ""},
	{`\sum_{i=1}^{4} i`, `$10$`, "10000", ""},
	{`\frac{d}{dx}x^2`, `$2x$`, "10000", ""},
	{`\left(\frac{1}{2},3\right)`, `$(0.5,3)$`, "10011", ""},
	{`2\cdot 3`, `$6$`, "10000", ""},
	{`2\pi r`, `$2*\pi*r$`, "10000", ""},
	{`5`, ``, "00000", ""},
	{`5`, `no idea`, "00000", ""},
}

func TestRowsUnderTheDefaultPolicy(t *testing.T) {
	if len(rows) != 102 {
		t.Fatalf("there are %d rows, want 102", len(rows))
	}
	grader := mustMath(t, nil)
	deviations := 0
	for _, r := range rows {
		want := strings.HasPrefix(r.graders, "1")
		if r.deviation != "" {
			want = !want
			deviations++
		}
		if e := grader.Explain(r.gold, r.response); (e.Outcome == Right) != want {
			t.Errorf("gold %q, response %q: got %s (%s), want right = %v", r.gold, r.response, e.Outcome, e.Reason, want)
		}
	}
	if deviations > 3 {
		t.Errorf("%d deviations from Math-Verify, want the 3 that are argued", deviations)
	}
}

func TestMathVerifyProfileReproducesEveryRow(t *testing.T) {
	grader := mustMath(t, map[string]any{"profile": "math_verify"})
	for _, r := range rows {
		want := strings.HasPrefix(r.graders, "1")
		if e := grader.Explain(r.gold, r.response); (e.Outcome == Right) != want {
			t.Errorf("gold %q, response %q: got %s (%s), want right = %v", r.gold, r.response, e.Outcome, e.Reason, want)
		}
	}
}

// TestProfilesReproduceTheirColumns feeds the answers as the table was made: the content of the
// box directly.
func TestProfilesReproduceTheirColumns(t *testing.T) {
	columns := []struct {
		profile string
		column  int
		wrap    func(string) string
	}{
		{"dapo", 1, func(s string) string { return "Answer: " + s }},
		{"hendrycks", 2, func(s string) string { return "\\boxed{" + s + "}" }},
		{"deepscaler", 3, func(s string) string { return "x</think>\\boxed{" + s + "}" }},
	}
	for _, c := range columns {
		t.Run(c.profile, func(t *testing.T) {
			grader := mustMath(t, map[string]any{"profile": c.profile})
			for _, r := range rows {
				verdict := []rune(r.graders)[c.column]
				if verdict == '–' {
					continue
				}
				want := verdict == '1'
				answer := bareAnswer(r.response)
				e := grader.Explain(r.gold, c.wrap(answer))
				if got := e.Outcome == Right; got != want {
					t.Errorf("gold %q, answer %q: got %s (%q against %q), want right = %v", r.gold, answer, e.Outcome, e.GoldRead, e.PredictionRead, want)
				}
			}
		})
	}
}

// bareAnswer takes the dollars or the last box off a row's response.
func bareAnswer(response string) string {
	if answer, reason := lastBox(response, 1<<10); reason == "" {
		return answer
	}
	return strings.Trim(response, "$")
}
