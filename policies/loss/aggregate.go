package loss

import (
	"fmt"
	"slices"
	"strings"
)

// Aggregation says how the losses of tokens become one number. It is expressed as the weight of
// each token, computed over the whole optimiser update before it is cut into parts. Sequences (and
// groups) without a trained token are not counted.
type Aggregation string

const (
	// TokenSum gives every trained token weight 1: the canonical sum.
	TokenSum Aggregation = "token_sum"
	// TokenMean divides by the trained tokens of the batch (DAPO, verl token-mean, TRL "dapo").
	TokenMean Aggregation = "token_mean"
	// SeqMeanTokenSum divides by the number of sequences.
	SeqMeanTokenSum Aggregation = "seq_mean_token_sum"
	// SeqMeanTokenMean is the mean over sequences of the mean over their tokens (the first GRPO).
	SeqMeanTokenMean Aggregation = "seq_mean_token_mean"
	// DrGRPO divides by sequences × constant (Dr. GRPO, TRL dr_grpo, verl
	// seq-mean-token-sum-norm since August 2026). The constant is usually the token limit.
	DrGRPO Aggregation = "dr_grpo"
	// TokenSumNorm divides by the constant alone (verl seq-mean-token-sum-norm until January 2026).
	TokenSumNorm Aggregation = "token_sum_norm"
	// GroupMeanTokenMean is the mean over groups of the mean over each group's tokens: a problem
	// counts once, however long its answers are.
	GroupMeanTokenMean Aggregation = "group_mean_token_mean"
	// GroupMeanTokenSum divides by the number of groups: a preference pair counts once (DPO).
	GroupMeanTokenSum Aggregation = "group_mean_token_sum"
)

var aggregations = []Aggregation{
	TokenSum, TokenMean, SeqMeanTokenSum, SeqMeanTokenMean, DrGRPO, TokenSumNorm, GroupMeanTokenMean, GroupMeanTokenSum,
}

// Aggregations lists the kinds that Aggregate knows.
func Aggregations() []Aggregation { return slices.Clone(aggregations) }

// ParseAggregation reads a kind from a config.
func ParseAggregation(name string) (Aggregation, error) {
	if slices.Contains(aggregations, Aggregation(name)) {
		return Aggregation(name), nil
	}
	names := make([]string, len(aggregations))
	for i, a := range aggregations {
		names[i] = string(a)
	}
	return "", fmt.Errorf("unknown aggregation %q; valid ones are %s", name, strings.Join(names, ", "))
}

// NeedsConstant reports whether the kind divides by a constant that the caller has to give.
func (a Aggregation) NeedsConstant() bool { return a == DrGRPO || a == TokenSumNorm }

// NeedsGroups reports whether the kind reads the group of each sequence.
func (a Aggregation) NeedsGroups() bool { return a == GroupMeanTokenMean || a == GroupMeanTokenSum }

// Aggregate turns a train mask into Batch.Weight. offsets are as in Batch; train has an entry per
// token; group has an entry per sequence and is read by the group kinds only; constant > 0 is read
// by DrGRPO and TokenSumNorm only.
//
// What is counted is what is passed in. A caller that drops sequences which carry no gradient
// (advantage 0) before the loss should aggregate first, over all of them, if they are meant to
// count in the mean.
func Aggregate(kind Aggregation, constant float64, offsets []int32, train []bool, group []int32) ([]float32, error) {
	if err := checkOffsets(offsets, len(train)); err != nil {
		return nil, err
	}
	sequences := len(offsets) - 1
	if kind.NeedsConstant() && !(constant > 0) {
		return nil, fmt.Errorf("aggregation %s: the constant is %v; it must be above 0 (usually the token limit)", kind, constant)
	}
	if kind.NeedsGroups() && len(group) != sequences {
		return nil, fmt.Errorf("aggregation %s: %d group indices for %d sequences", kind, len(group), sequences)
	}

	perSequence := make([]int, sequences)
	tokens, counted := 0, 0
	for i := range sequences {
		for _, on := range train[offsets[i]:offsets[i+1]] {
			if on {
				perSequence[i]++
			}
		}
		tokens += perSequence[i]
		if perSequence[i] > 0 {
			counted++
		}
	}
	var perGroup map[int32]int
	if kind.NeedsGroups() {
		perGroup = make(map[int32]int)
		for i, n := range perSequence {
			if n > 0 {
				perGroup[group[i]] += n
			}
		}
	}

	weights := make([]float32, len(train))
	for i := range sequences {
		if perSequence[i] == 0 {
			continue
		}
		var divisor float64
		switch kind {
		case TokenSum:
			divisor = 1
		case TokenMean:
			divisor = float64(tokens)
		case SeqMeanTokenSum:
			divisor = float64(counted)
		case SeqMeanTokenMean:
			divisor = float64(counted) * float64(perSequence[i])
		case DrGRPO:
			divisor = float64(counted) * constant
		case TokenSumNorm:
			divisor = constant
		case GroupMeanTokenMean:
			divisor = float64(len(perGroup)) * float64(perGroup[group[i]])
		case GroupMeanTokenSum:
			divisor = float64(len(perGroup))
		default:
			_, err := ParseAggregation(string(kind))
			return nil, err
		}
		weight := saturate(1 / divisor)
		for t := offsets[i]; t < offsets[i+1]; t++ {
			if train[t] {
				weights[t] = weight
			}
		}
	}
	if _, err := ParseAggregation(string(kind)); err != nil {
		return nil, err
	}
	return weights, nil
}

// checkOffsets reports what is wrong with sequence borders over a number of tokens.
func checkOffsets(offsets []int32, tokens int) error {
	if len(offsets) == 0 || offsets[0] != 0 {
		return fmt.Errorf("offsets must begin with 0 and have one entry more than there are sequences")
	}
	for i := 1; i < len(offsets); i++ {
		if offsets[i] < offsets[i-1] {
			return fmt.Errorf("offsets[%d] is %d after %d; sequences must follow each other", i, offsets[i], offsets[i-1])
		}
	}
	if last := offsets[len(offsets)-1]; int(last) != tokens {
		return fmt.Errorf("offsets end at %d but there are %d tokens", last, tokens)
	}
	return nil
}
