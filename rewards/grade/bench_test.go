package grade

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// realResponses are the reference solutions and the models' solutions of GSM8K, and worked
// solutions of competition problems, joined until they are 1 to 4 kB long and ending in an answer.
func realResponses(b *testing.B) (golds, responses []string) {
	b.Helper()
	var pad strings.Builder
	gsm8kSolutions(b, func(gold string, s solution) {
		pad.WriteString(s.Solution + "\n\n")
		if pad.Len() > 1000+len(responses)%3000 {
			golds = append(golds, strings.TrimSpace(gold))
			responses = append(responses, pad.String())
			pad.Reset()
		}
	})
	eachLine(b, sharedFile(b, "olympiadbench.jsonl"), func(p struct {
		Solution []string `json:"solution"`
		Answer   []string `json:"final_answer"`
	}) {
		if len(p.Solution) == 0 || len(p.Answer) == 0 || len(p.Solution[0]) < 900 || len(p.Solution[0]) > 4000 {
			return
		}
		golds = append(golds, p.Answer[0])
		responses = append(responses, p.Solution[0]+"\nTherefore the answer is \\boxed{"+strings.ReplaceAll(p.Answer[0], "$", "")+" }.")
	})
	return golds, responses
}

// BenchmarkRealResponses grades responses of 1 to 4 kB and reports the median and the 99th
// percentile of single calls, beside the mean.
func BenchmarkRealResponses(b *testing.B) {
	golds, responses := realResponses(b)
	grader := mustMath(b, nil)
	var times []time.Duration
	bytes := 0
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		k := i % len(responses)
		start := time.Now()
		grader.Grade(golds[k], responses[k])
		times = append(times, time.Since(start))
		bytes += len(responses[k])
		i++
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "median-ns")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(times[len(times)-1].Nanoseconds()), "max-ns")
	b.ReportMetric(float64(bytes)/float64(i), "bytes/response")
}

// BenchmarkParallel shows how grading scales over cores; run it with -cpu 1,2,4.
func BenchmarkParallel(b *testing.B) {
	golds, responses := realResponses(b)
	grader := mustMath(b, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			k := i % len(responses)
			grader.Grade(golds[k], responses[k])
		}
	})
}

// BenchmarkByKind grades one boxed answer of every kind of comparison.
func BenchmarkByKind(b *testing.B) {
	for _, c := range []struct{ name, gold, answer string }{
		{"identical", "42", "42"},
		{"integers", "42", "43"},
		{"fraction", "\\frac{1}{2}", "0.5"},
		{"root", "2\\sqrt{3}", "\\sqrt{12}"},
		{"polynomial", "(x+1)^3", "x^3+3x^2+3x+1"},
		{"function", "\\sin 2x", "2\\sin x\\cos x"},
		{"tuple", "(1,\\frac12)", "(1,0.5)"},
		{"set", "\\{1,2,3,4\\}", "4,3,2,1"},
		{"union", "(-\\infty,1)\\cup(2,\\infty)", "(2,\\infty)\\cup(-\\infty,1)"},
		{"equation", "2x+3y=6", "4x+6y=12"},
		{"matrix", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}"},
		{"words", "\\text{Tuesday}", "tuesday"},
	} {
		b.Run(c.name, func(b *testing.B) {
			grader := mustMath(b, nil)
			response := "so \\boxed{" + c.answer + "}"
			b.ReportAllocs()
			for b.Loop() {
				grader.Grade(c.gold, response)
			}
		})
	}
}

// As in docs/grader.md.
func ExampleNew() {
	grader, err := New("math", map[string]any{"percent": "either"})
	if err != nil {
		panic(err)
	}
	verdict := grader.Grade(`\frac{1}{2}`, "… so \\boxed{0.5}")
	fmt.Println(verdict.Outcome, verdict.Reason)
	fmt.Println(grader.Grade("25", `\boxed{25\%}`).Outcome)
	// Output:
	// right equal: number
	// right
}

func ExampleMath_Explain() {
	grader, _ := New("math", nil)
	e := grader.(*Math).Explain("\\frac{1}{2}", "Half of them, so \\boxed{0.50}.")
	text, _ := json.Marshal(e.Verdict)
	fmt.Println(string(text))
	fmt.Println(e.Rule, "|", e.GoldRead, "|", e.PredictionRead, "|", e.DecidedBy)
	// Output:
	// {"verdict":"right","extracted":"0.50","reason":"equal: number","formatted":true}
	// boxed | (1/2) | 1/2 | number
}
