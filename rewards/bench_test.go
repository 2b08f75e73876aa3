package rewards_test

import (
	"fmt"
	"testing"

	"pith/rewards"
)

// BenchmarkScore measures traces a second on one core, for groups of 16 in batches of 64 groups,
// with results reused from step to step.
func BenchmarkScore(b *testing.B) {
	batch := typicalBatch(64, 16)
	for _, name := range rewards.Names() {
		b.Run(name, func(b *testing.B) {
			m, err := rewards.New(name, rewards.Options{})
			if err != nil {
				b.Fatal(err)
			}
			var results [][]rewards.Result
			if results, err = m.ScoreInto(batch, results); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if results, err = m.ScoreInto(batch, results); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*64*16/b.Elapsed().Seconds(), "traces/s")
		})
	}
}

// typicalBatch has mixed groups with every input that any method needs.
func typicalBatch(groups, size int) []rewards.Group {
	yes, no := true, false
	batch := make([]rewards.Group, groups)
	share := 0.5
	for i := range batch {
		g := &batch[i]
		g.ID = fmt.Sprintf("g%d", i)
		g.Step = 3
		g.Problem = rewards.ProblemInfo{ID: fmt.Sprintf("p%d", i), ReferenceAccuracy: &share, ReferenceTokens: 900, TokenBudget: 1000}
		for j := range size {
			k := i*31 + j*17
			entropy, loss, precision := 0.1+float64(k%13)/20, 0.5+float64(k%7)/10, float64(k%11)/10
			s := rewards.Sample{
				ID: fmt.Sprintf("t%d", j), Correct: &yes, Formatted: true, Tokens: 100 + k*37%3000, Chars: 400 + k*151%12000,
				Mode: []string{rewards.ModeThink, rewards.ModeNoThink, rewards.ModeInstant}[k%3], Turns: 1 + k%3, ToolCalls: k % 4,
				Entropy: &entropy, BudgetScores: []float64{0, 0.25, 0.5, float64(k % 2)}, BaseLoss: &loss, Precision: &precision, Recall: &precision,
				Payoff: &precision, ResponseWords: 100, ReasoningChars: 500, OutputWords: 300, Text: "PFRB: some text of a response",
			}
			if (i+j*j)%3 == 0 {
				s.Correct = &no
			}
			g.Samples = append(g.Samples, s)
		}
	}
	return batch
}

func TestScoringAllocatesNothingOnceWarm(t *testing.T) {
	batch := typicalBatch(8, 16)
	for _, name := range rewards.Names() {
		m, err := rewards.New(name, rewards.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var results [][]rewards.Result
		score := func() {
			if results, err = m.ScoreInto(batch, results); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 { // scratch memory grows to its final size
			score()
		}
		if allocs := testing.AllocsPerRun(20, score); allocs > 0 {
			t.Errorf("%s: %v allocations for %d traces", name, allocs, 8*16)
		}
	}
}
