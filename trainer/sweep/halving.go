package sweep

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"pith/traces"
)

// halve ranks the living arms of the search by their evaluation at a rung and stops the rest. An arm
// without a score (all its runs failed) ranks last; ties keep the order of the plan. What it decides
// follows from the run directories alone, so that a resumed sweep decides the same.
func (s *Sweep) halve(rung int, alive map[string]bool) error {
	search := s.plan.Spec.Search
	step := search.Rungs[rung]
	var names []string
	scores := map[string]float64{}
	for _, a := range s.plan.Arms {
		if a.Baseline || !alive[a.Name] {
			continue
		}
		names = append(names, a.Name)
		score, err := s.score(a.Name, step)
		if err != nil {
			return err
		}
		scores[a.Name] = score
	}
	keep := max(1, int(math.Ceil(search.Keep*float64(len(names)))))
	order := slices.Clone(names)
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(scores[b], scores[a]) })
	kept, stopped := order[:keep], order[keep:]
	for rank, name := range stopped {
		alive[name] = false
		for i := range s.state.Runs {
			if s.state.Runs[i].Arm != name {
				continue
			}
			err := s.update(i, func(x *RunState) {
				if x.Status == Failed || x.Status == Done {
					return
				}
				x.Status = Stopped
				x.Note = fmt.Sprintf("rank %d of %d by %s after step %d (%s), of which %d go on", keep+rank+1, len(order), search.By, step, written(scores[name]), keep)
			})
			if err != nil {
				return err
			}
		}
	}
	if s.events.Selected != nil {
		s.events.Selected(step, kept, stopped)
	}
	return nil
}

func written(score float64) string {
	if math.IsInf(score, -1) {
		return "no score"
	}
	return fmt.Sprintf("%.3f", math.Abs(score))
}

// score is the mean over an arm's runs at a step; higher is better. Minus infinity: none has one.
func (s *Sweep) score(arm string, step int) (float64, error) {
	sum, n := 0.0, 0
	for _, r := range s.plan.Runs {
		if r.Arm != arm || !present(s.RunDir(r.Name)) {
			continue
		}
		log, err := traces.OpenRun(s.RunDir(r.Name))
		if err != nil {
			return 0, err
		}
		evals, err := evaluations(log, s.RunDir(r.Name))
		if err != nil {
			return 0, err
		}
		base, ok := pick(evals, 0, "sampled")
		now, ok2 := pick(evals, int64(step), "sampled")
		if !ok || !ok2 {
			continue
		}
		if v := value(s.plan.Spec.Search.By, base, now); !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	if n == 0 {
		return math.Inf(-1), nil
	}
	return sum / float64(n), nil
}

// value scores one evaluation. The accuracy-efficiency score is that of O1-Pruner (arXiv 2501.12570)
// with weights 1, 3 and 5: the saving in tokens, plus 3 times a relative gain in accuracy or minus
// 5 times a loss.
func value(by string, base, now traces.Eval) float64 {
	switch by {
	case ByAccuracy:
		return now.Accuracy
	case ByTokensPerRight:
		if now.Accuracy == 0 {
			return math.Inf(-1)
		}
		return -now.TokensMean / now.Accuracy
	}
	if base.TokensMean == 0 || base.Accuracy == 0 {
		return math.NaN()
	}
	gain := (now.Accuracy - base.Accuracy) / base.Accuracy
	weight := 3.0
	if gain < 0 {
		weight = 5
	}
	return (base.TokensMean-now.TokensMean)/base.TokensMean + weight*gain
}
