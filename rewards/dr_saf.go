package rewards

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"pith/policies/advantage"
)

var drSAFSpec = &spec{
	name: "dr_saf", title: "DR. SAF: difficulty-aware brevity with a boundary-preserving advantage", family: "difficulty", verified: InCode,
	formula: "a = right / (G + 0.001);  preferred label: CFRB if a ≥ 0.95, else PFRB\n" +
		"Λ = 5 if a ≥ 0.95, right and L ≤ median;  5 if a < 0.3, wrong and L ≥ median;  else 0\n" +
		"(median over right answers, over all where there are none)\n" +
		"r = c + 0.01 · (2·[label = preferred] + [label recognised] + Λ)\n" +
		"A = (r - min(mean, smallest r > 0.5)) / (sd + 1e-6) if r > 0.5, else (r - mean) / (sd + 1e-6)",
	source:   "arXiv 2508.11582 (abstract only); sfasfaffa/DR_SAF reward_score, reward_manager/naive.py, ppo/core_algos.py",
	needs:    FieldCorrect | FieldTokens,
	optional: []string{"label", "text"},
	differences: []string{
		"the code lets the raw reward of a group of one through",
	},
	notes: []string{
		"the label is read from label, else from the text before the end of thinking: the first CFRB or PFRB that stands alone, else any in the first 200 characters",
		"with G below 20, a ≥ 0.95 needs every answer right; such groups only push up, and their tiny bonuses are blown up by a tiny deviation",
		"a wrong answer to a hard problem is paid for length",
	},
	promises:    Promises{Monotone: true, Ordered: true, PressesWrong: true},
	recommended: Recommended{Strategy: "single", GroupSize: 12, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, Entropy: 0.001, Rate: 1e-6},
	bind: func(_ any, profile string) *plan {
		s := &drSAF{}
		return &plan{
			terms: []string{"correctness", "label", "length"},
			estimator: estimator[advantage.DrSAF](profile, func(e *advantage.DrSAF) {
				if profile == "released_code" {
					e.Singleton = advantage.SingletonRaw
				}
			}),
			score: s.score,
		}
	},
}

type drSAF struct{ sorted []float64 }

func (d *drSAF) score(v *view) error {
	v.correctness(0)
	a := float64(v.rights()) / (float64(v.n()) + 0.001)
	preferred := "PFRB"
	if a >= 0.95 {
		preferred = "CFRB"
	}
	median := d.median(v)
	for i, s := range v.s {
		if s.Label != "" && s.Label != "CFRB" && s.Label != "PFRB" {
			return &InputError{Group: v.group.ID, Trace: s.ID, Field: "label", Problem: fmt.Sprintf("want CFRB, PFRB or nothing, got %q", s.Label)}
		}
		switch label := boundaryLabel(s); label {
		case "":
		case preferred:
			v.terms[1][i] = 0.03
		default:
			v.terms[1][i] = 0.01
		}
		short := a >= 0.95 && v.right[i] && v.tokens[i] <= median
		long := a < 0.3 && !v.right[i] && v.tokens[i] >= median
		if short || long {
			v.terms[2][i] = 0.05
		}
	}
	return nil
}

// median of the right answers' lengths, or of all where none is right; the mean of the middle two
// for an even count.
func (d *drSAF) median(v *view) float64 {
	d.sorted = d.sorted[:0]
	none := v.rights() == 0
	for i, tokens := range v.tokens {
		if none || v.right[i] {
			d.sorted = append(d.sorted, tokens)
		}
	}
	slices.Sort(d.sorted)
	n := len(d.sorted)
	if n%2 == 1 {
		return d.sorted[n/2]
	}
	return (d.sorted[n/2-1] + d.sorted[n/2]) / 2
}

// boundaryLabel is the difficulty that the response declared, "" for none.
func boundaryLabel(s *Sample) string {
	if s.Label != "" || s.Text == "" {
		return s.Label
	}
	text, _, _ := strings.Cut(s.Text, "</think>")
	for at, label := range labels(text) {
		end := at + len(label)
		if (at == 0 || !wordByte(text[at-1])) && (end == len(text) || !wordByte(text[end])) {
			return label
		}
	}
	for at, label := range labels(text) {
		if utf8.RuneCountInString(text[:at]) <= 200-len(label) {
			return label
		}
		break
	}
	return ""
}

// labels yields the places of CFRB and PFRB in a text, in one pass.
func labels(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for from := 1; from < len(text); {
			at := strings.Index(text[from:], "FRB")
			if at < 0 {
				return
			}
			start := from + at - 1
			if label := text[start : start+4]; (label == "CFRB" || label == "PFRB") && !yield(start, label) {
				return
			}
			from = start + 4
		}
	}
}

func wordByte(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}
