package advantage

// Need is an input beyond the rewards.
type Need uint8

// What an estimator may need of each [Group].
const (
	NeedTokens Need = 1 << iota
	NeedMetric
	NeedComponents
	NeedSteps
	NeedValues
	NeedTurns
)

// Scope says whose statistics an estimator uses.
type Scope string

// The scopes.
const (
	ScopeGroup Scope = "group"
	ScopeBatch Scope = "batch"
)

// Kind describes an estimator: what `advantage.kind` may be.
type Kind struct {
	Name    string
	Formula string
	Source  string
	Scope   Scope
	Needs   Need
	ZeroSum bool // the advantages of every group of two or more add up to 0
	// New gives an estimator whose tagged fields are its options, all zero; see package params.
	New func() Estimator
}

// Kinds lists every estimator, in the order in which they are documented.
func Kinds() []Kind {
	return []Kind{
		{Name: "grpo", Formula: "(r - mean) / (deviation + eps), in the group", Source: "arXiv 2402.03300; verl and TRL", Scope: ScopeGroup, ZeroSum: true, New: func() Estimator { return &GRPO{} }},
		{Name: "dr_grpo", Formula: "r - mean, in the group", Source: "arXiv 2503.20783", Scope: ScopeGroup, ZeroSum: true, New: func() Estimator { return &DrGRPO{} }},
		{Name: "rloo", Formula: "r - mean of the other responses", Source: "arXiv 2402.14740", Scope: ScopeGroup, ZeroSum: true, New: func() Estimator { return &RLOO{} }},
		{Name: "reinforce", Formula: "r", Source: "Williams 1992", Scope: ScopeGroup, New: func() Estimator { return &Reinforce{} }},
		{Name: "reinforce_pp", Formula: "discounted return of each token, whitened over the batch's tokens", Source: "arXiv 2501.03262; verl", Scope: ScopeBatch, Needs: NeedTokens, New: func() Estimator { return &ReinforcePP{} }},
		{Name: "reinforce_pp_baseline", Formula: "r - mean of the group, whitened over the batch's tokens", Source: "verl core_algos.py", Scope: ScopeBatch, Needs: NeedTokens, New: func() Estimator { return &BatchToken{} }},
		{Name: "batch_response", Formula: "r - mean of the group, scaled over the batch's responses", Source: "DLER, arXiv 2510.15110", Scope: ScopeBatch, ZeroSum: true, New: func() Estimator { return &BatchResponse{} }},
		{Name: "batch_token", Formula: "r - mean of the group, whitened over the batch's tokens", Source: "NVlabs/DLER", Scope: ScopeBatch, Needs: NeedTokens, New: func() Estimator { return &BatchToken{} }},
		{Name: "gdpo", Formula: "Σ weight · grpo(component), whitened", Source: "arXiv 2601.05242; verl", Scope: ScopeBatch, Needs: NeedTokens | NeedComponents, New: func() Estimator { return &GDPO{} }},
		{Name: "opo", Formula: "r - Σ L·r / Σ L", Source: "arXiv 2505.23585; verl", Scope: ScopeGroup, Needs: NeedTokens, New: func() Estimator { return &OPO{} }},
		{Name: "passk", Formula: "best response: (r1 - r2) / (deviation + eps); others 0", Source: "verl core_algos.py", Scope: ScopeGroup, New: func() Estimator { return &PassK{} }},
		{Name: "maxrl", Formula: "(r - mean) / mean; 0 where mean ≤ 0", Source: "arXiv 2602.02710", Scope: ScopeGroup, ZeroSum: true, New: func() Estimator { return &MaxRL{} }},
		{Name: "gpg", Formula: "(B / number of non-zero rewards) · (r - mean) / f", Source: "arXiv 2504.02546", Scope: ScopeBatch, ZeroSum: true, New: func() Estimator { return &GPG{} }},
		{Name: "canon", Formula: "mu · (r - mean of the opposite half) + (1 - mu) · (r - mean of the own half)", Source: "arXiv 2509.23962; biuboomc/CANON", Scope: ScopeGroup, Needs: NeedMetric, New: func() Estimator { return &Canon{} }},
		{Name: "brpo", Formula: "R_j - (j-1)/m · V1_j - (m-j+1)/m · V2_j along the budgets", Source: "arXiv 2505.13438", Scope: ScopeGroup, Needs: NeedSteps, New: func() Estimator { return &BRPO{} }},
		{Name: "dr_saf", Formula: "r > threshold: (r - min(mean, smallest such r)) / (deviation + eps); else (r - mean) / (deviation + eps)", Source: "sfasfaffa/DR_SAF", Scope: ScopeGroup, New: func() Estimator { return &DrSAF{} }},
		{Name: "turn", Formula: "(r - mean) / (deviation + eps), plus weight · the same of each turn's own score among the responses that have the turn", Source: "MT-GRPO, arXiv 2505.11821, from memory; for any number of turns it is ours", Scope: ScopeGroup, Needs: NeedTurns, New: func() Estimator { return &Turn{} }},
		{Name: "gae", Formula: "A_t = δ_t + γλ·A_{t+1}, δ_t = r_t + γ·V_{t+1} - V_t", Source: "arXiv 1506.02438", Scope: ScopeGroup, Needs: NeedValues, New: func() Estimator { return &GAE{} }},
	}
}
