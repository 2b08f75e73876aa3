package fleet

import "pith/rollout/engine"

// Account is what became of everything that was asked of a fleet. Every call to Sample ends in
// exactly one of Answered, Cancelled, Lost, Broken and Failed, so that
//
//	Calls = Answered + Cancelled + Lost + Broken + Failed + under way.
type Account struct {
	Calls     int64 `json:"calls"`
	Answered  int64 `json:"answered"`  // with every sequence
	Cancelled int64 `json:"cancelled"` // by the caller, or by the request's time-out
	Lost      int64 `json:"lost"`      // given up for the sake of honest lengths; [ErrLost]
	Broken    int64 `json:"broken"`    // the answer was malformed
	Failed    int64 `json:"failed"`    // any other error

	Repeated  int64 `json:"repeated"`  // attempts made again with the same seed
	Continued int64 `json:"continued"` // attempts continued from the tokens drawn
	Completed int64 `json:"completed"` // attempts that broke off with every token drawn: only their end was missing
	Refused   int64 `json:"refused"`   // placements answered with Busy; their calls are among Failed

	SequencesAsked    int64 `json:"sequences_asked"`
	SequencesAnswered int64 `json:"sequences_answered"` // in answered calls
	OutputTokens      int64 `json:"output_tokens"`      // in answered calls
}

// Open is how many calls are under way.
func (a Account) Open() int64 {
	return a.Calls - a.Answered - a.Cancelled - a.Lost - a.Broken - a.Failed
}

// Account is a snapshot.
func (f *Fleet) Account() Account {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.account
}

func (f *Fleet) count(change func(*Account)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.account)
}

// opened counts a call in.
func (f *Fleet) opened(n int) {
	f.count(func(a *Account) { a.Calls++; a.SequencesAsked += int64(max(n, 0)) })
}

// settled counts a call out.
func (f *Fleet) settled(n int, res engine.SampleResult, err error) {
	tokens := 0
	for _, s := range res.Seqs {
		tokens += len(s.Tokens)
	}
	f.count(func(a *Account) {
		switch {
		case err == nil:
			a.Answered++
			a.SequencesAnswered += int64(n)
			a.OutputTokens += int64(tokens)
		case isLost(err):
			a.Lost++
		case isCancelled(err):
			a.Cancelled++
		case isBroken(err):
			a.Broken++
		default:
			a.Failed++
		}
	})
}
