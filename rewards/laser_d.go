package rewards

type laserDParams struct {
	Alpha        float64 `key:"alpha" default:"0.5" min:"0" doc:"size of the step"`
	TargetEasy   int     `key:"target_easy" default:"4096" min:"1" doc:"tokens, for groups with at least 2/3 right, until a monitor has run"`
	TargetMedium int     `key:"target_medium" default:"4096" min:"1" doc:"tokens, for groups with at least 1/3 right, until a monitor has run"`
	TargetHard   int     `key:"target_hard" default:"4096" min:"1" doc:"tokens, for the other groups, until a monitor has run"`
	MonitorEvery int     `key:"monitor_every" default:"20" min:"0" doc:"steps between estimates of the targets, the first after step 1; 0: the targets stay"`
	Coverage     string  `key:"coverage" default:"ceil" code:"floor" enum:"ceil|floor" doc:"how many covered samples of 8 a target has to have: ceil 6, 3, 1 as in the paper; floor 5, 2, 1 as in the code"`
	CandidateMin int     `key:"candidate_min" default:"4096" min:"1" doc:"tokens; the smallest target that an estimate may choose"`
	CandidateBy  int     `key:"candidate_step" default:"1024" min:"1" doc:"tokens between candidates"`
	CandidateMax int     `key:"candidate_max" default:"16384" min:"1" doc:"tokens; the largest candidate"`
}

type laserDEParams struct {
	laserDParams
	Guard bool `key:"repetition_guard" default:"false" code:"true" doc:"withhold the bonus of a wrong answer whose text ends in a loop"`
}

// laserSpecD is what the two difficulty-aware forms share.
func laserSpecD(name, title, formula string) *spec {
	return &spec{
		name: name, title: title, family: "difficulty", verified: InCode, formula: formula,
		source: "arXiv 2505.15612; hkust-nlp/Laser length_penalty.py, constants.py, count_length_distribution.py",
		needs:  FieldCorrect | FieldFormatted | FieldTokens,
		state:  "targets of the three levels and the lengths observed since they were last estimated",
		differences: []string{
			"the code's default coverage asks for 5, 2 and 1 of 8 samples, the paper for 6, 3 and 1",
			"the code lets the raw reward of a group of one through",
		},
		notes: []string{
			"coverage counts right and wrong responses alike",
			"a target starts at the longest response observed and only a strictly smaller candidate replaces it, so hard problems mostly keep the longest",
			"the paper monitors 500 training prompts × 8 apart from training; here the groups that were trained on since the last estimate are the monitor",
		},
		promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true},
		recommended: laserRecipe,
	}
}

var laserDSpec = func() *spec {
	sp := laserSpecD("laser_d", "LASER-D: LASER with a target for each level of difficulty",
		"q = share of right, well-formed answers in the group: easy if q ≥ 2/3, medium if q ≥ 1/3, else hard\n"+
			"r = laser's, with the level's target;  A = (r - mean) / (sd + 1e-6) over the group\n"+
			"target(level) = smallest candidate ℓ with P(L ≤ ℓ | level) · n ≥ 1, n = 6, 3, 1 at 8 samples")
	sp.params = func() any { return &laserDParams{} }
	sp.bind = func(p any, profile string) *plan {
		return laserDPlan(p.(*laserDParams), profile, func(*Sample) bool { return false })
	}
	return sp
}()

var laserDESpec = func() *spec {
	sp := laserSpecD("laser_de", "LASER-DE: LASER-D that forgives wrong answers for exploring",
		"as laser_d, and a well-formed wrong answer longer than its level's target gets +alpha")
	sp.differences = append(sp.differences, "only the code withholds that bonus when the text ends in a loop (its detector is unpublished in the paper; ours looks for a repeated ending)")
	sp.promises.PressesWrong = true
	sp.params = func() any { return &laserDEParams{} }
	sp.bind = func(p any, profile string) *plan {
		o := p.(*laserDEParams)
		pl := laserDPlan(&o.laserDParams, profile, func(s *Sample) bool { return !o.Guard || !endsInLoop(s.Text) })
		if o.Guard {
			pl.needs = FieldText
		}
		return pl
	}
	return sp
}()

// laserDPlan binds both forms; explores says whether a long wrong answer gets the bonus.
func laserDPlan(o *laserDParams, profile string, explores func(*Sample) bool) *plan {
	targets := &laserTargets{o: o}
	pl := &plan{
		terms:     []string{"correctness", "length"},
		estimator: laserEstimator(profile),
		score: func(v *view) error {
			good := 0
			for i := range v.s {
				v.terms[0][i] = laserBase(v, i)
				if v.terms[0][i] == laserRight {
					good++
				}
			}
			target := targets.at(laserLevel(good, v.n()))
			for i, s := range v.s {
				switch v.terms[0][i] {
				case laserRight:
					v.terms[1][i] = laserStep("bonus", o.Alpha, s.Tokens <= target)
				case laserWrong:
					if s.Tokens > target && explores(s) {
						v.terms[1][i] = o.Alpha
					}
				}
			}
			return nil
		},
	}
	if o.MonitorEvery > 0 {
		pl.memory = targets
	}
	return pl
}

// The levels of difficulty.
const (
	easy = iota
	medium
	hard
)

// laserLevel is the level that a reward takes: at least 2/3 and at least 1/3 right.
func laserLevel(right, n int) int {
	switch {
	case 3*right >= 2*n:
		return easy
	case 3*right >= n:
		return medium
	}
	return hard
}
