package curriculum

import "fmt"

// Collector fills one update with groups that teach. It is a state machine over counters: offer it
// groups in a fixed order, and ask it how many more to draw. All fields are its state.
type Collector struct {
	Want        int            `json:"want"`  // kept groups an update wants
	Limit       int            `json:"limit"` // groups that may be examined for one update
	KeepSingles bool           `json:"keep_singles"`
	Kept        int            `json:"kept"`
	Examined    int            `json:"examined"`
	Reasons     map[Reason]int `json:"reasons"` // what became of the examined ones
}

// NewCollector wants `want` mixed groups and examines at most `limit`. The limit is what keeps a
// policy that solves everything, or nothing, from sampling for ever: DAPO's recipe allows ten
// rounds.
func NewCollector(want, limit int) (*Collector, error) {
	if want < 1 || limit < want {
		return nil, fmt.Errorf("dynamic sampling: want %d groups of at most %d examined: want must be at least 1 and the limit no smaller", want, limit)
	}
	return &Collector{Want: want, Limit: limit, Reasons: map[Reason]int{}}, nil
}

// Offer examines a group. A group offered to a full collector is an error of the caller's: it would be lost
// without having been counted.
func (c *Collector) Offer(o Outcome) (Reason, error) {
	if c.Full() {
		return "", fmt.Errorf("dynamic sampling: the update is full (%d of %d kept, %d of %d examined): begin the next one first", c.Kept, c.Want, c.Examined, c.Limit)
	}
	reason := Judge(o, c.KeepSingles)
	c.Examined++
	if reason.Kept() {
		c.Kept++
	}
	if c.Reasons == nil {
		c.Reasons = map[Reason]int{}
	}
	c.Reasons[reason]++
	return reason, nil
}

// Missing is how many kept groups the update still lacks.
func (c *Collector) Missing() int { return max(c.Want-c.Kept, 0) }

// Draw is how many groups to draw next, given the factor that says how many drawn groups make one
// kept: enough to fill the update if the factor holds, and never more than may be examined. 0 means
// full. pending groups, drawn already and not yet offered, are taken off.
func (c *Collector) Draw(factor float64, pending int) int {
	if c.Full() {
		return 0
	}
	n := c.Limit - c.Examined
	if want := float64(c.Missing()) * max(factor, 1); want < float64(n) {
		n = max(int(want), c.Missing()) // ⌊missing · f⌋
	}
	return max(n-pending, 0)
}

// Full says that the update has what it wants, or may look no further.
func (c *Collector) Full() bool { return c.Kept >= c.Want || c.Examined >= c.Limit }

// Share is the surviving share of the examined groups, 0 where none was.
func (c *Collector) Share() float64 {
	if c.Examined == 0 {
		return 0
	}
	return float64(c.Kept) / float64(c.Examined)
}

// Next begins the next update.
func (c *Collector) Next() {
	c.Kept, c.Examined, c.Reasons = 0, 0, map[Reason]int{}
}
