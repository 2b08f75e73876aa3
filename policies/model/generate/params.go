package generate

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Distribution is one that log-probabilities can be of.
type Distribution uint8

// Drawn: the one drawn from; of temperature 1 where that is 0. Raw: the model's, of temperature 1 and
// before anything is removed. Tempered: after temperature (1 where that is 0), before anything is
// removed.
const (
	Drawn Distribution = iota
	Raw
	Tempered
)

// Params say how tokens are drawn and when a sequence ends.
type Params struct {
	MaxTokens   int          // sampled tokens in all, the request's prefix included; at least 1
	MinTokens   int          // stop tokens cannot be drawn before that many; prefix included
	Temperature float64      // 0 = the likeliest token; log-probabilities are then of temperature 1
	TopP        float64      // keep the smallest set of likeliest tokens with this probability; 1 = off
	TopK        int          // keep the K likeliest tokens; 0 = off
	MinP        float64      // keep tokens at least this likely relative to the likeliest; 0 = off
	Stop        []int32      // a sequence ends with the first of these, which is kept
	Seed        uint64       // key of the random stream
	Logprobs    Distribution // that the reported log-probabilities are of
}

// Filtered says whether the distribution drawn from is other than the tempered one.
func (p Params) Filtered() bool {
	return p.TopP < 1 || p.TopK > 0 || p.MinP > 0 || (p.MinTokens > 0 && len(p.Stop) > 0)
}

// check reports every violation for a vocabulary of the given size.
func (p Params) check(vocab int) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.MaxTokens < 1 {
		bad("max tokens is %d, want at least 1", p.MaxTokens)
	}
	if p.MinTokens < 0 || p.MinTokens > p.MaxTokens {
		bad("min tokens is %d, want 0 to max tokens (%d)", p.MinTokens, p.MaxTokens)
	}
	if !(p.Temperature >= 0) || math.IsInf(p.Temperature, 0) || (p.Temperature > 0 && p.Temperature < 1e-4) {
		bad("temperature is %v, want 0 (greedy) or a finite number from 0.0001", p.Temperature)
	}
	if !(p.TopP > 0 && p.TopP <= 1) {
		bad("top-p is %v, want above 0 and at most 1 (1 is off)", p.TopP)
	}
	if p.TopK < 0 {
		bad("top-k is %d, want 0 (off) or more", p.TopK)
	}
	if !(p.MinP >= 0 && p.MinP <= 1) {
		bad("min-p is %v, want 0 (off) to 1", p.MinP)
	}
	for _, t := range p.Stop {
		if t < 0 || int(t) >= vocab {
			bad("stop token %d is outside the vocabulary of %d", t, vocab)
		}
	}
	if p.MinTokens > 0 && vocab > 0 {
		distinct := slices.Clone(p.Stop)
		slices.Sort(distinct)
		if len(slices.Compact(distinct)) >= vocab {
			bad("min tokens forbids stop tokens, but every token of the vocabulary is one")
		}
	}
	return errors.Join(errs...)
}
