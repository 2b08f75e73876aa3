package rewards

import (
	"fmt"

	"pith/policies/advantage"
)

// turnsFit says why a method cannot have an advantage for each turn; nil where it can.
func turnsFit(name string, pl *plan) error {
	if pl.spread != nil || pl.shape != nil {
		return fmt.Errorf("advantage.kind: turn gives every turn an advantage, and %s changes advantages along the response by itself; choose another kind", name)
	}
	return nil
}

// turnCount is how many turns a sample has.
func (s *Sample) turnCount() int { return max(len(s.TurnEnds), 1) }

// turnSteps gives the estimator the scores of every turn.
func (m *Method) turnSteps(v *view, g *advantage.Group) {
	sc := &m.scratch
	g.Steps, g.Along = sc.rows.take(v.n()), sc.rows.take(v.n())
	for i, s := range v.s {
		n := s.turnCount()
		g.Steps[i], g.Along[i] = sc.numbers.take(n), sc.numbers.take(n)
		for k := range n {
			g.Steps[i][k] = m.turnScore(v, i, k)
		}
	}
}

func (m *Method) turnScore(v *view, i, k int) float64 {
	switch s := v.s[i]; {
	case m.plan.turn != nil:
		return m.plan.turn(v, i, k)
	case k < len(s.TurnScores):
		return s.TurnScores[k]
	}
	return indicator(v.right[i]) // of a response that is one turn
}

// turnRanges lays a row of turn advantages over the response's tokens. A response of one turn keeps
// its scalar.
func turnRanges(s *Sample, row []float64, out []tokenRange) []tokenRange {
	if len(row) < 2 {
		return out
	}
	from := 0
	for k, a := range row {
		out = append(out, tokenRange{start: from, end: s.TurnEnds[k], value: a})
		from = s.TurnEnds[k]
	}
	return out
}

// validTurns refuses turns that no method can use.
func (s *Sample) validTurns(bad func(trace, field, format string, args ...any) error) error {
	for k, end := range s.TurnEnds {
		if end > maxCount || end < 1 || k > 0 && end <= s.TurnEnds[k-1] {
			return bad(s.ID, "turn_ends", "want ascending token counts from 1, got %v", s.TurnEnds)
		}
	}
	if s.TurnScores != nil && len(s.TurnScores) != s.turnCount() {
		return bad(s.ID, "turn_scores", "want one for each of %d turns, got %d", s.turnCount(), len(s.TurnScores))
	}
	for _, x := range s.TurnScores {
		if x < 0 || x > 1 {
			return bad(s.ID, "turn_scores", "want numbers from 0 to 1, got %v", x)
		}
	}
	return nil
}
