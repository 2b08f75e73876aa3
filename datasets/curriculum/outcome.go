package curriculum

// Outcome is what the graders said of a group: how many of its responses were right, wrong, and
// not scored. The last are evidence of nothing.
type Outcome struct {
	Right   int `json:"right"`
	Wrong   int `json:"wrong"`
	NoScore int `json:"no_score"`
}

// Scored is the number of responses that count.
func (o Outcome) Scored() int { return o.Right + o.Wrong }

// Reason says, as a short stable word, why a group was kept or not.
type Reason string

const (
	Mixed    Reason = "mixed"     // kept: some right, some wrong
	Single   Reason = "single"    // kept where singles are: one scored response says nothing of its group
	AllRight Reason = "all right" // not kept: no response is better than another
	AllWrong Reason = "all wrong" // not kept
	NoScores Reason = "no score"  // not kept: nothing was graded
)

// Kept says whether the reason is one for keeping.
func (r Reason) Kept() bool { return r == Mixed || r == Single }

// Judge applies the filter of dynamic sampling: a group teaches only if its raw correctness is mixed
// (DAPO, arXiv 2503.14476, section 3.2; DLER, arXiv 2510.15110, keeps singles too: verl's filter reads
// "standard deviation above 0, or one response").
func Judge(o Outcome, keepSingles bool) Reason {
	switch {
	case o.Scored() == 0:
		return NoScores
	case keepSingles && o.Scored() == 1 && o.NoScore == 0:
		return Single
	case o.Wrong == 0:
		return AllRight
	case o.Right == 0:
		return AllWrong
	default:
		return Mixed
	}
}
