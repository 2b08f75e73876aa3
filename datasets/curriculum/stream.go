package curriculum

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"pith/datasets"
	"pith/datasets/rng"
)

// By says what shares a belief about its solve rate.
type By string

const (
	ByProblem By = "problem" // each problem has its own; for files that are seen many times
	ByLevel   By = "level"   // all problems of a level; for generated families, which seldom repeat
)

// Options of a [Stream]. Start from [DefaultOptions].
type Options struct {
	By    By   `json:"by" mapstructure:"by"`
	Prior Beta `json:"prior" mapstructure:"prior"`
	// Pool is how many problems, in the source's order, a draw chooses from; 0 = all of a finite
	// source, and four times the draw of an endless one. Those not chosen are passed over.
	Pool int `json:"pool" mapstructure:"pool"`
	// Keep is the share of the evidence that survives each draw; 1 forgets nothing. The policy
	// changes, so what it did long ago says less.
	Keep float64 `json:"keep" mapstructure:"keep"`
	// MaxPools bounds how many pools a draw looks at where a rule excludes most problems.
	MaxPools int `json:"max_pools" mapstructure:"max_pools"`
}

// poolFactor is the default pool of an endless source, in draws.
const poolFactor = 4

// DefaultOptions: a belief a problem, from Beta(1,1), nothing forgotten.
func DefaultOptions() Options {
	return Options{By: ByProblem, Prior: UniformPrior(), Keep: 1, MaxPools: 8}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	errs := []error{o.Prior.Validate()}
	if o.By != ByProblem && o.By != ByLevel {
		errs = append(errs, fmt.Errorf("by is %q: use %q or %q", o.By, ByProblem, ByLevel))
	}
	if o.Pool < 0 {
		errs = append(errs, fmt.Errorf("pool is %d: it must not be negative", o.Pool))
	}
	if !(o.Keep >= 0 && o.Keep <= 1) {
		errs = append(errs, fmt.Errorf("keep is %v: it must be 0 to 1", o.Keep))
	}
	if o.MaxPools < 1 {
		errs = append(errs, fmt.Errorf("max_pools is %d: it must be at least 1", o.MaxPools))
	}
	return errors.Join(errs...)
}

// State is all that a stream remembers. It serialises to JSON; put it into a checkpoint.
type State struct {
	Cursor  int64           `json:"cursor"` // the next index of the source to look at
	Draws   int             `json:"draws"`
	Beliefs map[string]Beta `json:"beliefs"` // of what was observed, by problem id or level
}

// Stream draws training problems by a rule. It is a state machine: the picks are a pure function of
// source, seed, options, rule, and the observations so far, in their order.
type Stream struct {
	source datasets.Source
	seed   uint64
	rule   Rule
	o      Options
	state  State
}

// New returns the stream at its beginning.
func New(source datasets.Source, seed uint64, rule Rule, o Options) (*Stream, error) {
	if err := errors.Join(rule.Validate(), o.Validate()); err != nil {
		return nil, fmt.Errorf("curriculum: %w", err)
	}
	return &Stream{source: source, seed: seed, rule: rule, o: o, state: State{Beliefs: map[string]Beta{}}}, nil
}

// State returns a copy of what the stream remembers.
func (s *Stream) State() State {
	out := s.state
	out.Beliefs = make(map[string]Beta, len(s.state.Beliefs))
	for k, b := range s.state.Beliefs {
		out.Beliefs[k] = b
	}
	return out
}

// Restore continues from a state.
func (s *Stream) Restore(state State) error {
	if state.Cursor < 0 || state.Draws < 0 {
		return fmt.Errorf("curriculum: state with cursor %d and %d draws: they must not be negative", state.Cursor, state.Draws)
	}
	for k, b := range state.Beliefs {
		if err := b.Validate(); err != nil {
			return fmt.Errorf("curriculum: state: belief about %q: %w", k, err)
		}
	}
	s.state = state
	s.state = s.State() // a copy: the caller keeps its own
	return nil
}

// Pick is a chosen problem.
type Pick struct {
	Index   int64 // in the source's train split
	Problem datasets.Problem
	Belief  Beta // at the time of the draw
	// Excluded says that the rule would not have it, but the pools had no others: the draw is
	// complete in any case, and nothing waits for a problem that may never come.
	Excluded bool
}

// Draw chooses k problems of the pool without replacement, each next one with probability
// proportional to its weight among those that are left, and returns them in the source's order.
// A rule that excludes nearly everything does not stall it: after the allowed pools it is completed
// with excluded problems, marked as such.
func (s *Stream) Draw(k int) ([]Pick, error) {
	if k < 1 {
		return nil, fmt.Errorf("curriculum: a draw of %d problems: it must be at least 1", k)
	}
	size, limit := s.pools(k)
	r := rng.New(s.seed, rng.Text("curriculum/draw"), uint64(s.state.Draws))
	var picks, excluded []Pick
	cursor := s.state.Cursor
	for range limit {
		candidates, out, err := s.look(&r, cursor, size)
		if err != nil {
			return nil, err
		}
		cursor += int64(size)
		// The largest keys log w + Gumbel noise are a weighted sample without replacement.
		slices.SortFunc(candidates, func(a, b keyed) int {
			return cmp.Or(cmp.Compare(b.key, a.key), cmp.Compare(a.Index, b.Index))
		})
		for _, c := range candidates[:min(k-len(picks), len(candidates))] {
			picks = append(picks, c.Pick)
		}
		excluded = append(excluded, out...)
		if len(picks) == k {
			break
		}
	}
	if missing := k - len(picks); missing > 0 {
		picks = append(picks, excluded[:min(missing, len(excluded))]...)
	}
	slices.SortFunc(picks, func(a, b Pick) int { return cmp.Compare(a.Index, b.Index) })
	s.state.Cursor, s.state.Draws = cursor, s.state.Draws+1
	if s.o.Keep < 1 {
		for key, b := range s.state.Beliefs {
			s.state.Beliefs[key] = b.forget(s.o.Prior, s.o.Keep)
		}
	}
	return picks, nil
}

// pools says how many candidates are looked at together, and how many times at most: often enough
// for k picks, and up to MaxPools beyond where the rule excludes, but not past the end of a finite
// source, where the same problems come again.
func (s *Stream) pools(k int) (size, limit int) {
	n := s.source.Len(datasets.Train)
	size = s.o.Pool
	switch {
	case n > 0 && (size == 0 || size > n):
		size = n
	case size == 0:
		size = poolFactor * k
	}
	needed := (k + size - 1) / size
	limit = needed + s.o.MaxPools - 1
	if n > 0 {
		limit = max(needed, min(limit, (n+size-1)/size))
	}
	return size, limit
}

type keyed struct {
	Pick
	key float64
}

// look weighs the candidates of one pool.
func (s *Stream) look(r *rng.Stream, from int64, size int) (in []keyed, out []Pick, err error) {
	for i := range int64(size) {
		p, err := s.source.Problem(datasets.Train, from+i)
		if err != nil {
			return nil, nil, fmt.Errorf("curriculum: %w", err)
		}
		belief, seen := s.belief(p)
		w := s.rule.LogWeight(Candidate{Problem: p, Belief: belief, Seen: seen, Draw: s.state.Draws})
		noise := gumbel(r) // drawn in any case: one candidate's weight does not move another's noise
		pick := Pick{Index: from + i, Problem: p, Belief: belief}
		if math.IsInf(w, -1) || math.IsNaN(w) {
			pick.Excluded = true
			out = append(out, pick)
			continue
		}
		in = append(in, keyed{pick, w + noise})
	}
	return in, out, nil
}

// gumbel draws from the standard Gumbel distribution.
func gumbel(r *rng.Stream) float64 {
	u := r.Float64() + 0x1p-54 // in (0, 1): the middle of the grid cell
	return -math.Log(-math.Log(u))
}

// Observe adds a group's outcome to the belief about its problem. Observations count from the next draw.
func (s *Stream) Observe(p datasets.Problem, o Outcome) {
	if o.Scored() == 0 {
		return
	}
	b, _ := s.belief(p)
	s.state.Beliefs[s.key(p)] = b.Observe(o.Right, o.Wrong)
}

// Reset forgets what was observed and keeps the position, as CurES does between its outer
// iterations.
func (s *Stream) Reset() { clear(s.state.Beliefs) }

// Belief returns what is believed of a problem's solve rate; seen is false for the prior.
func (s *Stream) Belief(p datasets.Problem) (b Beta, seen bool) { return s.belief(p) }

func (s *Stream) belief(p datasets.Problem) (Beta, bool) {
	if b, ok := s.state.Beliefs[s.key(p)]; ok {
		return b, true
	}
	return s.o.Prior, false
}

func (s *Stream) key(p datasets.Problem) string {
	if s.o.By == ByLevel {
		return strconv.Itoa(p.Level)
	}
	return p.ID
}
