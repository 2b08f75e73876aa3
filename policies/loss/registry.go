package loss

import (
	"fmt"
	"slices"
	"strings"
)

// Tag says what a formula was read from.
type Tag string

const (
	TagCode  Tag = "code"       // seen in the official or a framework's code
	TagPaper Tag = "paper"      // seen in the paper
	TagOwn   Tag = "own"        // our own reading or extension
	TagUnver Tag = "unverified" // known, but not checked against a source
)

// Description is what there is to say about a loss, for listings and help.
type Description struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Formula string   `json:"formula"` // ρ = π_θ / π_old of a token, Δ = log ρ, w = Weight
	Source  string   `json:"source"`
	Tag     Tag      `json:"tag"`
	Scope   Scope    `json:"scope"` // under the given settings
	Needs   []string `json:"needs"` // columns of Batch, beside Offsets, LogProbs and Weight
	Params  []Param  `json:"params"`
}

// method is a registry entry.
type method struct {
	name, title, formula, source string
	tag                          Tag
	scope                        Scope
	own                          []string       // keys of its own settings, in order
	shared                       []string       // keys that it shares with others
	defaults                     map[string]any // where they differ from the table
	policy, onPolicy             bool
	build                        func(s *settings) objective
}

func (m *method) keys() []string { return slices.Concat(m.own, m.shared) }

func (m *method) defaultOf(key string) any {
	if v, ok := m.defaults[key]; ok {
		return v
	}
	return fields[key].def
}

// Settings that losses of one family share.
var (
	termKeys  = []string{"kl_coef", "kl_kind", "kl_against", "kl_value_clamp", "entropy_coef"}
	ratioKeys = slices.Concat([]string{"log_ratio_clamp", "denominator"}, termKeys, []string{
		"sft_coef", "correction", "correction_level", "correction_cap", "correction_floor", "correction_veto",
		"correction_normalize", "reject", "reject_stat", "reject_low", "reject_high", "off_policy_mask",
	})
)

// methods is everything that New can build.
var methods = []method{
	{
		name: "ppo", title: "PPO clip on tokens, separate bounds, dual clip",
		formula: "max(-A·ρ, -A·clip(ρ, 1-ε_low, 1+ε_high)); for A < 0 at most -A·c",
		source:  "arXiv 1707.06347; bounds: DAPO, arXiv 2503.14476; dual clip: arXiv 1912.09729; verl core_algos.py",
		tag:     TagCode, scope: ScopeToken, policy: true,
		own: []string{"clip_low", "clip_high", "dual_clip"}, shared: ratioKeys,
		build: func(s *settings) objective {
			return tokenwise{ppo{low: 1 - s.ClipLow, high: 1 + s.ClipHigh, dual: s.DualClip}}
		},
	},
	{
		name: "decoupled_ppo", title: "decoupled PPO for stale data",
		formula: "π_prox/π_behavior · PPO clip with ρ = π_θ/π_prox",
		source:  "Hilton, Cobbe, Schulman, arXiv 2110.00641; AReaL, arXiv 2505.24298",
		tag:     TagUnver, scope: ScopeToken, policy: true,
		own: []string{"clip_low", "clip_high", "dual_clip"}, shared: ratioKeys,
		defaults: map[string]any{"denominator": denominatorProximal, "correction": correctionFull},
		build: func(s *settings) objective {
			return tokenwise{ppo{low: 1 - s.ClipLow, high: 1 + s.ClipHigh, dual: s.DualClip}}
		},
	},
	{
		name: "gspo", title: "GSPO: one clipped ratio a sequence",
		formula: "s = exp(mean_t Δ_t); max(-A·s, -A·clip(s, 1-ε_low, 1+ε_high)), gradient through the mean",
		source:  "arXiv 2507.18071; verl core_algos.py",
		tag:     TagCode, scope: ScopeSequence, policy: true,
		own: []string{"clip_low", "clip_high", "length_scale"}, shared: ratioKeys,
		defaults: map[string]any{"clip_low": 3e-4, "clip_high": 4e-4},
		build: func(s *settings) objective {
			return gspo{low: 1 - s.ClipLow, high: 1 + s.ClipHigh, lengthScale: s.LengthScale}
		},
	},
	{
		name: "gspo_token", title: "GSPO with advantages that differ along the sequence",
		formula: "s_t = sg(s)·π_θ,t/sg(π_θ,t); as gspo, but a token's gradient comes from its own term alone",
		source:  "arXiv 2507.18071, section 4.3; verl core_algos.py",
		tag:     TagCode, scope: ScopeSequence, policy: true,
		own: []string{"clip_low", "clip_high", "length_scale"}, shared: ratioKeys,
		defaults: map[string]any{"clip_low": 3e-4, "clip_high": 4e-4},
		build: func(s *settings) objective {
			return gspo{low: 1 - s.ClipLow, high: 1 + s.ClipHigh, lengthScale: s.LengthScale, perToken: true}
		},
	},
	{
		name: "cispo", title: "CISPO: a clipped, detached importance weight on log π",
		formula: "-sg(clip(ρ))·A·log π_θ",
		source:  "MiniMax-M1, arXiv 2506.13585; band: verl, slime; cap: TRL, Tinker",
		tag:     TagCode, scope: ScopeToken, policy: true,
		own: []string{"convention", "clip_low", "clip_high", "cap"}, shared: ratioKeys,
		build: func(s *settings) objective {
			if s.Convention == conventionCap {
				return tokenwise{cispo{low: 0, high: s.Cap}}
			}
			return tokenwise{cispo{low: 1 - s.ClipLow, high: 1 + s.ClipHigh}}
		},
	},
	{
		name: "sapo", title: "SAPO: a soft gate instead of a clip",
		formula: "-A·(4/τ)·σ(τ(ρ-1)), τ by the sign of A",
		source:  "arXiv 2511.20347; verl core_algos.py",
		tag:     TagCode, scope: ScopeToken, policy: true,
		own: []string{"tau_positive", "tau_negative"}, shared: ratioKeys,
		build: func(s *settings) objective { return tokenwise{sapo{positive: s.TauPositive, negative: s.TauNegative}} },
	},
	{
		name: "gmpo", title: "GMPO: geometric mean of one-sidedly clipped ratios",
		formula: "-A·exp(mean_t Δ'_t), Δ' = min(Δ, ε_high) for A > 0, max(Δ, -ε_low) for A < 0",
		source:  "arXiv 2507.20673; verl core_algos.py",
		tag:     TagCode, scope: ScopeSequence, policy: true,
		own: []string{"clip_low", "clip_high"}, shared: ratioKeys,
		defaults: map[string]any{"clip_low": 0.4, "clip_high": 0.4},
		build:    func(s *settings) objective { return gmpo{low: -s.ClipLow, high: s.ClipHigh} },
	},
	{
		name: "dppo", title: "DPPO: a trust region on the divergence, not the ratio",
		formula: "-M·sg(min(ρ, cap))·A·log π_θ; M = 0 where A > 0 and the divergence upwards exceeds keep_high, or A ≤ 0 and the one downwards keep_low",
		source:  "arXiv 2602.04879; verl core_algos.py. The thresholds of the KL form are ours",
		tag:     TagCode, scope: ScopeToken, policy: true,
		own: []string{"divergence", "keep_low", "keep_high", "ratio_cap"}, shared: ratioKeys,
		build: func(s *settings) objective {
			return dppo{kl: s.Divergence == divergenceKL, low: s.KeepLow, high: s.KeepHigh, cap: s.Cap}
		},
	},
	{
		name: "kl_cov", title: "KL-Cov: a penalty on the tokens that drive entropy down",
		formula: "-A·ρ, plus coef·|Δ| on the share of tokens with the largest (A - mean A)(log π - mean log π); no ratio clip",
		source:  "arXiv 2505.22617; verl core_algos.py; used by DOT, arXiv 2601.03969",
		tag:     TagCode, scope: ScopeBatch, policy: true,
		own: []string{"cov_share", "cov_coef"}, shared: ratioKeys,
		build: func(s *settings) objective { return klCov{share: s.CovShare, coef: s.CovCoef} },
	},
	{
		name: "clip_cov", title: "Clip-Cov: silence on a random few of the tokens that drive entropy down",
		formula: "PPO clip, 0 on a random share of the tokens with cov_low < (A - mean A)(log π - mean log π) < cov_high that the clip has left alone",
		source:  "arXiv 2505.22617; verl core_algos.py",
		tag:     TagCode, scope: ScopeBatch, policy: true,
		own: []string{"clip_low", "clip_high", "dual_clip", "cov_share", "cov_low", "cov_high", "seed"}, shared: ratioKeys,
		defaults: map[string]any{"cov_share": 2e-4},
		build: func(s *settings) objective {
			return clipCov{
				ppo:   ppo{low: 1 - s.ClipLow, high: 1 + s.ClipHigh, dual: s.DualClip},
				share: s.CovShare, low: s.CovLow, high: s.CovHigh, seed: uint64(s.Seed),
			}
		},
	},
	{
		name: "importance_sampling", title: "REINFORCE with an importance weight, unclipped",
		formula: "-ρ·A",
		source:  "Tinker losses documentation; with correction tis: truncated importance sampling",
		tag:     TagCode, scope: ScopeToken, policy: true,
		shared: ratioKeys,
		build:  func(*settings) objective { return tokenwise{importance{}} },
	},
	{
		name: "reinforce", title: "plain REINFORCE, on policy",
		formula: "-A·log π_θ",
		source:  "Williams 1992",
		tag:     TagPaper, scope: ScopeToken, policy: true, onPolicy: true,
		shared: slices.Concat(termKeys, []string{"sft_coef"}),
		build:  func(*settings) objective { return tokenwise{reinforce{}} },
	},
	{
		name: "dro", title: "DRO: a quadratic pull instead of a clip",
		formula: "-(A·log π_θ - β/2·Δ²)",
		source:  "Tinker losses documentation; arXiv 2405.19107",
		tag:     TagCode, scope: ScopeToken, policy: true,
		own: []string{"beta"}, shared: ratioKeys,
		defaults: map[string]any{"beta": 0.05},
		build:    func(s *settings) objective { return dro{beta: s.Beta} },
	},
	{
		name: "dpo", title: "direct preference optimisation, conservative with label smoothing",
		formula: "-(1-ε)·log σ(β·D) - ε·log σ(-β·D), D = Σ log(π_θ/π_ref) of the chosen sequence - the same of the rejected one",
		source:  "arXiv 2305.18290; conservative form: MCTS-DPO, arXiv 2405.00451",
		tag:     TagCode, scope: ScopeGroup,
		own: []string{"beta", "label_smoothing", "confidence"}, shared: slices.Concat(termKeys, []string{"sft_coef"}),
		build: func(s *settings) objective {
			return dpo{beta: s.Beta, smoothing: s.LabelSmoothing, fromAdvantage: s.Confidence == confidenceAdvantage}
		},
	},
	{
		name: "sft", title: "supervised: negative log-likelihood",
		formula: "-log π_θ",
		source:  "cross entropy",
		tag:     TagPaper, scope: ScopeToken,
		own: []string{"positive_only"}, shared: termKeys,
		build: func(s *settings) objective { return sft{positiveOnly: s.PositiveOnly} },
	},
}

// Names lists the losses that New knows, in the order of the table.
func Names() []string {
	names := make([]string, len(methods))
	for i := range methods {
		names[i] = methods[i].name
	}
	return names
}

// Methods describes every loss with its defaults, in the order of the table.
func Methods() []Description {
	all := make([]Description, len(methods))
	for i := range methods {
		_, description, err := New(methods[i].name, nil)
		if err != nil {
			panic("loss: the registry's own defaults are invalid: " + err.Error()) // a test builds every entry
		}
		all[i] = description
	}
	return all
}

// New builds a loss by name. Parameters are decoded strictly over the loss's defaults: an unknown
// key, a wrong type, a value out of range or a combination that cannot work is an error that says
// what is valid, and all of them are reported at once. nil parameters mean defaults.
func New(name string, params map[string]any) (Fn, Description, error) {
	at := slices.IndexFunc(methods, func(m method) bool { return m.name == name })
	if at < 0 {
		return nil, Description{}, fmt.Errorf("unknown loss %q; valid ones are %s", name, strings.Join(Names(), ", "))
	}
	m := &methods[at]
	set, err := m.decode(params)
	if err != nil {
		return nil, Description{}, err
	}
	c := &composite{
		name: m.name, set: set, scope: widest(m.scope, set.scope()),
		objective: m.build(&set), policy: m.policy, onPolicy: m.onPolicy,
	}
	return c, m.describe(c), nil
}

func (m *method) describe(c *composite) Description {
	d := Description{
		Name: m.name, Title: m.title, Formula: m.formula, Source: m.source, Tag: m.tag, Scope: c.scope,
	}
	for _, need := range []struct {
		column string
		needed bool
	}{
		{"advantage", c.needsAdvantage()}, {"behavior", c.needsBehavior()}, {"proximal", c.needsProximal()},
		{"reference", c.needsReference()}, {"entropy", c.HasEntropy()}, {"group", m.scope == ScopeGroup},
	} {
		if need.needed {
			d.Needs = append(d.Needs, need.column)
		}
	}
	for _, key := range m.keys() {
		f := fields[key]
		d.Params = append(d.Params, Param{Name: key, Doc: f.doc, Default: m.defaultOf(key), Value: f.read(&c.set), Allowed: f.allowed()})
	}
	return d
}

// scope is what the corrections need to see at once.
func (s *settings) scope() Scope {
	switch {
	case s.CorrectionNormalize:
		return ScopeBatch
	case s.Correction != correctionNone && s.CorrectionLevel != levelToken,
		s.CorrectionVeto != 0, s.OffPolicyMask > 0,
		s.Reject != rejectNone && s.Reject != rejectToken:
		return ScopeSequence
	}
	return ScopeToken
}
