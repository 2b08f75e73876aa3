package loss

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Names that settings take as values.
const (
	denominatorBehavior = "behavior"
	denominatorProximal = "proximal"

	againstReference = "reference"
	againstBehavior  = "behavior"
	againstProximal  = "proximal"

	correctionNone   = "none"
	correctionFull   = "full"
	correctionTIS    = "tis"
	correctionClip   = "clip"
	correctionMIS    = "mis"
	correctionIcePop = "icepop"

	levelToken     = "token"
	levelSequence  = "sequence"
	levelGeometric = "geometric"

	rejectNone    = "none"
	rejectToken   = "token"
	rejectSeqSum  = "seq_sum"
	rejectSeqMean = "seq_mean"
	rejectSeqMax  = "seq_max"

	conventionBand = "band"
	conventionCap  = "cap"

	divergenceTV = "tv"
	divergenceKL = "kl"

	confidenceFixed     = "fixed"
	confidenceAdvantage = "advantage"
)

// settings are the parameters of all losses; each loss reads those that its registry entry names.
type settings struct {
	ClipLow, ClipHigh, DualClip float64
	LogRatioClamp               float64
	Denominator                 string

	KLCoef, KLValueClamp  float64
	KLKind, KLAgainst     string
	EntropyCoef, SFTCoef  float64
	Correction            string
	CorrectionLevel       string
	CorrectionCap         float64
	CorrectionFloor       float64
	CorrectionVeto        float64
	CorrectionNormalize   bool
	Reject, RejectStat    string
	RejectLow, RejectHigh float64
	OffPolicyMask         float64
	Convention            string
	Cap                   float64
	LengthScale           bool
	TauPositive           float64
	TauNegative           float64
	Divergence            string
	KeepLow, KeepHigh     float64
	CovShare, CovCoef     float64
	CovLow, CovHigh       float64
	Seed                  float64
	Beta, LabelSmoothing  float64
	Confidence            string
	PositiveOnly          bool
}

// correcting reports whether the settings read π_proximal / π_behavior.
func (s *settings) correcting() bool {
	return s.Correction != correctionNone || s.Reject != rejectNone || s.CorrectionVeto != 0
}

// field describes one setting: where it lives, what it means, what it may be.
type field struct {
	doc      string
	def      any // bool, string or float64; a loss may override it
	at       func(*settings) any
	min, max float64  // inclusive, for numbers
	open     bool     // min is exclusive
	whole    bool     // whole numbers only
	options  []string // for texts
}

// huge bounds every number, so that no product of settings and float32 inputs overflows.
const huge = 1e9

// fields is the table of all settings by key.
var fields = map[string]field{
	"clip_low":   {doc: "ε_low: the ratio's lower bound is 1 - clip_low (GMPO: -clip_low on the log-ratio)", def: 0.2, at: func(s *settings) any { return &s.ClipLow }, max: 1},
	"clip_high":  {doc: "ε_high: the ratio's upper bound is 1 + clip_high (GMPO: clip_high on the log-ratio)", def: 0.28, at: func(s *settings) any { return &s.ClipHigh }, max: huge},
	"dual_clip":  {doc: "c: for A < 0 the loss is at most -A·c, that is, the ratio is capped there (verl 3, DLER and DOT 10; TRL's two-sided delta is the same); 0 = off", def: 3.0, at: func(s *settings) any { return &s.DualClip }, max: huge},
	"cap":        {doc: "absolute upper bound of the detached ratio under convention cap", def: 5.0, at: func(s *settings) any { return &s.Cap }, open: true, max: huge},
	"convention": {doc: "band: the detached ratio is clipped to [1 - clip_low, 1 + clip_high] (verl, slime); cap: it is only capped from above (TRL, hosted Tinker)", def: conventionBand, at: func(s *settings) any { return &s.Convention }, options: []string{conventionBand, conventionCap}},

	"log_ratio_clamp": {doc: "bound of |log ratio| before it is exponentiated; no gradient beyond", def: 20.0, at: func(s *settings) any { return &s.LogRatioClamp }, open: true, max: 80},
	"denominator":     {doc: "what the ratio is taken against: behavior, the policy that sampled, or proximal, the learner's policy at the start of the step", def: denominatorBehavior, at: func(s *settings) any { return &s.Denominator }, options: []string{denominatorBehavior, denominatorProximal}},

	"kl_coef":        {doc: "coefficient of the KL term in the loss; 0 = off", def: 0.0, at: func(s *settings) any { return &s.KLCoef }, max: huge},
	"kl_kind":        {doc: "estimator of the KL term: k1, k2, k3", def: string(K3), at: func(s *settings) any { return &s.KLKind }, options: []string{string(K1), string(K2), string(K3)}},
	"kl_against":     {doc: "policy that the KL term holds on to: reference, behavior, proximal", def: againstReference, at: func(s *settings) any { return &s.KLAgainst }, options: []string{againstReference, againstBehavior, againstProximal}},
	"kl_value_clamp": {doc: "bound of a token's |KL estimate|, no gradient beyond (verl: 10); 0 = off", def: 0.0, at: func(s *settings) any { return &s.KLValueClamp }, max: huge},
	"entropy_coef":   {doc: "coefficient of the entropy bonus; 0 = off", def: 0.0, at: func(s *settings) any { return &s.EntropyCoef }, min: -huge, max: huge},
	"sft_coef":       {doc: "coefficient of -log π on tokens with A > 0 (PDR: 0.1); 0 = off", def: 0.0, at: func(s *settings) any { return &s.SFTCoef }, max: huge},

	"correction":           {doc: "weight w = π_proximal / π_behavior on the loss: none; full; tis, min(w, cap); clip, to [floor, cap]; mis, 0 outside [floor, cap]; icepop, mis on tokens", def: correctionNone, at: func(s *settings) any { return &s.Correction }, options: []string{correctionNone, correctionFull, correctionTIS, correctionClip, correctionMIS, correctionIcePop}},
	"correction_level":     {doc: "token; sequence, the product over the sequence; geometric, its length-normalised root", def: levelToken, at: func(s *settings) any { return &s.CorrectionLevel }, options: []string{levelToken, levelSequence, levelGeometric}},
	"correction_cap":       {doc: "C_max (verl TIS 2, TRL sequence mask 3)", def: 2.0, at: func(s *settings) any { return &s.CorrectionCap }, open: true, max: huge},
	"correction_floor":     {doc: "C_min, for clip, mis and icepop", def: 0.5, at: func(s *settings) any { return &s.CorrectionFloor }, max: huge},
	"correction_veto":      {doc: "a sequence with a token below this log w is dropped whole (slime: -9.21034 = ln 1e-4); 0 = off", def: 0.0, at: func(s *settings) any { return &s.CorrectionVeto }, min: -huge, max: 0},
	"correction_normalize": {doc: "divide the weights by their mean over the batch", def: false, at: func(s *settings) any { return &s.CorrectionNormalize }},

	"reject":          {doc: "drop a token, or a whole sequence by the sum, mean or extremes of its tokens' statistic", def: rejectNone, at: func(s *settings) any { return &s.Reject }, options: []string{rejectNone, rejectToken, rejectSeqSum, rejectSeqMean, rejectSeqMax}},
	"reject_stat":     {doc: "k1 = -log w, k2 = log² w / 2, k3 = w - 1 - log w", def: string(K1), at: func(s *settings) any { return &s.RejectStat }, options: []string{string(K1), string(K2), string(K3)}},
	"reject_low":      {doc: "k1 only: exp(statistic), which is the inverse ratio 1/w, must be at least this; 0 = no bound", def: 0.5, at: func(s *settings) any { return &s.RejectLow }, max: huge},
	"reject_high":     {doc: "k1: exp(statistic), the inverse ratio 1/w, must be at most this; k2, k3: the statistic itself, in nats", def: 2.0, at: func(s *settings) any { return &s.RejectHigh }, open: true, max: huge},
	"off_policy_mask": {doc: "δ: drop a sequence with A < 0 whose mean log π_old - log π_θ exceeds δ (DeepSeek-V3.2; TRL suggests 0.5); 0 = off", def: 0.0, at: func(s *settings) any { return &s.OffPolicyMask }, max: huge},

	"length_scale": {doc: "multiply each sequence's loss by its trained tokens (LUSPO)", def: false, at: func(s *settings) any { return &s.LengthScale }},
	"tau_positive": {doc: "temperature of the gate where A > 0", def: 1.0, at: func(s *settings) any { return &s.TauPositive }, min: 1e-3, max: 1e3},
	"tau_negative": {doc: "temperature of the gate where A ≤ 0", def: 1.05, at: func(s *settings) any { return &s.TauNegative }, min: 1e-3, max: 1e3},

	"divergence": {doc: "tv: difference of the token's probabilities; kl: Bernoulli KL of the token", def: divergenceTV, at: func(s *settings) any { return &s.Divergence }, options: []string{divergenceTV, divergenceKL}},
	"keep_low":   {doc: "largest divergence towards lower probability that still learns (A ≤ 0)", def: 0.2, at: func(s *settings) any { return &s.KeepLow }, max: huge},
	"keep_high":  {doc: "largest divergence towards higher probability that still learns (A > 0)", def: 0.2, at: func(s *settings) any { return &s.KeepHigh }, max: huge},
	"ratio_cap":  {doc: "cap of the detached ratio", def: 20.0, at: func(s *settings) any { return &s.Cap }, open: true, max: huge},

	"cov_share": {doc: "share of the trained tokens that is picked, at least one token", def: 0.002, at: func(s *settings) any { return &s.CovShare }, open: true, max: 1},
	"cov_coef":  {doc: "coefficient of |log ratio| on the picked tokens", def: 1.0, at: func(s *settings) any { return &s.CovCoef }, max: huge},
	"cov_low":   {doc: "tokens are candidates above this covariance", def: 1.0, at: func(s *settings) any { return &s.CovLow }, min: -huge, max: huge},
	"cov_high":  {doc: "… and below this one", def: 5.0, at: func(s *settings) any { return &s.CovHigh }, min: -huge, max: huge},
	"seed":      {doc: "of the random pick, which is a pure function of it and the batch", def: 0.0, at: func(s *settings) any { return &s.Seed }, max: 1 << 53, whole: true},

	"beta":            {doc: "strength of the pull towards the other policy", def: 0.1, at: func(s *settings) any { return &s.Beta }, max: huge},
	"label_smoothing": {doc: "ε: probability that a pair is labelled the wrong way round", def: 0.0, at: func(s *settings) any { return &s.LabelSmoothing }, max: 0.5},
	"confidence":      {doc: "fixed: every pair has label_smoothing; advantage: a pair's ε is min(1 - advantage of its chosen sequence, 0.5)", def: confidenceFixed, at: func(s *settings) any { return &s.Confidence }, options: []string{confidenceFixed, confidenceAdvantage}},
	"positive_only":   {doc: "imitate only tokens with a positive advantage", def: false, at: func(s *settings) any { return &s.PositiveOnly }},
}

// Param is one setting of a loss, for listings.
type Param struct {
	Name    string `json:"name"`
	Doc     string `json:"doc"`
	Default any    `json:"default"`
	Value   any    `json:"value"` // as set; the default in a listing
	Allowed string `json:"allowed"`
}

// allowed says in words what a setting may be.
func (f field) allowed() string {
	switch f.def.(type) {
	case bool:
		return "true, false"
	case string:
		return strings.Join(f.options, ", ")
	}
	low, high := "", ""
	if f.min > -huge {
		low = fmt.Sprintf(">= %v", f.min)
		if f.open {
			low = fmt.Sprintf("> %v", f.min)
		}
	}
	if f.max < huge {
		high = fmt.Sprintf("<= %v", f.max)
	}
	kind := "a number"
	if f.whole {
		kind = "a whole number"
	}
	switch {
	case low != "" && high != "":
		return kind + " " + low + " and " + high
	case low != "" || high != "":
		return kind + " " + low + high
	}
	return kind
}

// put writes value, checked, into its place in s.
func (f field) put(s *settings, value any) error {
	wrong := func() error { return fmt.Errorf("got %v (%T); want %s", value, value, f.allowed()) }
	switch at := f.at(s).(type) {
	case *bool:
		v, ok := value.(bool)
		if !ok {
			return wrong()
		}
		*at = v
	case *string:
		v, ok := value.(string)
		if !ok || !slices.Contains(f.options, v) {
			return wrong()
		}
		*at = v
	case *float64:
		v, ok := number(value)
		if !ok || v < f.min || v > f.max || (f.open && v == f.min) || math.IsInf(v, 0) || math.IsNaN(v) || (f.whole && v != math.Trunc(v)) {
			return wrong()
		}
		*at = v
	}
	return nil
}

// number reads the number types that YAML, JSON and Go code produce.
func number(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case int:
		return float64(v), true
	case int32:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

// read returns the value of a setting.
func (f field) read(s *settings) any {
	switch at := f.at(s).(type) {
	case *bool:
		return *at
	case *string:
		return *at
	case *float64:
		return *at
	}
	return nil
}

// decode sets defaults and then params; all violations are reported at once.
func (m *method) decode(params map[string]any) (settings, error) {
	var s settings
	keys := m.keys()
	// Settings that the method does not take have their neutral defaults; one place may serve two
	// keys (cap, ratio_cap), so the method's own come last.
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if err := fields[key].put(&s, fields[key].def); err != nil {
			return s, fmt.Errorf("default of %s: %w", key, err)
		}
	}
	for _, key := range keys {
		if err := fields[key].put(&s, m.defaultOf(key)); err != nil {
			return s, fmt.Errorf("loss %s: default of %s: %w", m.name, key, err)
		}
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if !slices.Contains(keys, key) {
			problems = append(problems, fmt.Errorf("loss %s: unknown parameter %q; valid ones are %s", m.name, key, strings.Join(keys, ", ")))
			continue
		}
		if err := fields[key].put(&s, params[key]); err != nil {
			problems = append(problems, fmt.Errorf("loss %s: parameter %s: %w", m.name, key, err))
		}
	}
	if len(problems) == 0 {
		problems = append(problems, s.combination(m.name)...)
	}
	return s, errors.Join(problems...)
}

// combination reports settings that are valid alone but not together.
func (s *settings) combination(name string) (problems []error) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("loss "+name+": "+format, args...))
	}
	if s.Correction != correctionNone && s.Denominator != denominatorProximal {
		bad("correction %s multiplies π_proximal / π_behavior onto a ratio π_θ / π_proximal; set denominator to proximal", s.Correction)
	}
	if (s.Correction == correctionClip || s.Correction == correctionMIS || s.Correction == correctionIcePop) && s.CorrectionFloor > s.CorrectionCap {
		bad("correction_floor %v is above correction_cap %v; every token would be dropped", s.CorrectionFloor, s.CorrectionCap)
	}
	if s.Correction == correctionIcePop && s.CorrectionLevel != levelToken {
		bad("correction icepop works on tokens; use mis for correction_level %s", s.CorrectionLevel)
	}
	if s.CorrectionNormalize && s.Correction == correctionNone {
		bad("correction_normalize has nothing to normalise; set correction")
	}
	if s.Reject != rejectNone && s.RejectStat == string(K1) && s.RejectLow > s.RejectHigh {
		bad("reject_low %v is above reject_high %v; every token would be dropped", s.RejectLow, s.RejectHigh)
	}
	if s.DualClip != 0 && s.DualClip <= 1 {
		bad("dual_clip is %v; it must be above 1, or 0 to switch it off", s.DualClip)
	}
	if s.CovLow >= s.CovHigh {
		bad("cov_low %v must be below cov_high %v", s.CovLow, s.CovHigh)
	}
	return problems
}
