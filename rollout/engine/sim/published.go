package sim

import "fmt"

// PublishedRow is one row of a published table beside what the simulator says.
type PublishedRow struct {
	Staleness int     // -1 = without bound
	Published float64 // thousands of tokens consumed per second
	Fitted    bool    // a parameter was set by this row; the others are predictions
}

// PublishedTable is a measurement of somebody else's system, with what we assume about it.
type PublishedTable struct {
	Name, Source string
	Assumptions  []string
	Rows         []PublishedRow
	Options      PlanOptions // Staleness is each row's
	// Scale is by how much less than the real number of processors and prompts is simulated: all
	// quantities of a processor stay the same.
	Scale int
}

// Comparison is a row with the simulator's answer. Throughputs are relative to the last row's.
type Comparison struct {
	PublishedRow
	PublishedRelative, SimulatedRelative float64
	Deviation                            float64 // simulated over published, less 1
	Estimate                             Estimate
}

// areal is what both tables share: AReaL (arXiv 2505.24298) trains a 1.5 B model, DeepSeek's
// distillation of Qwen2.5-Math-1.5B, with 16 samples a prompt and at most 8192 tokens, on H800 GPUs
// of which three in four sample.
func areal() (Speed, Limits, []string) {
	shape := Shape{Parameters: 1.54e9, Layers: 28, KVHeads: 2, HeadDim: 128, Bytes: 2}
	h800 := Machine{Bandwidth: 3.35e12, Compute: 990e12, Memory: 80e9, Reached: 0.6, Overhead: 0.004}
	return shape.On(h800), Limits{Slots: 1024, CacheTokens: shape.CacheTokens(h800, 0.8)}, []string{
		"The model has 1.54 B parameters, 28 layers, 2 key-value heads of 128 dimensions, in bfloat16 (its config.json).",
		"An H800 reads 3.35 TB/s, computes 990 Tflop/s and holds 80 GB (its data sheet). Kernels reach 60 % of that, a decode step costs 4 ms more, and 80 % of the memory is for weights and cache: assumed, not fitted.",
		"Responses are lognormal with a median of 3000 tokens and a sigma of 0.8, cut at 8192; prompts have 150 tokens: assumed, not fitted.",
		"Three in four GPUs sample (the paper), and at most 512 sequences run on each.",
		"Of what is finished, the oldest is trained on; running sequences go on with new weights, their cache is computed anew, and the swap takes 5 s.",
	}
}

// Published are the tables of AReaL's throughput against its bound on staleness.
func Published() []PublishedTable {
	speed, limits, shared := areal()
	options := func(replicas, groups int, tokensPerSecond, delay float64) PlanOptions {
		return PlanOptions{
			Replicas: replicas, Speed: speed, Limits: limits, Lengths: LogNormal{3000, 0.8}, Prompt: 150, MaxTokens: 8192,
			Groups: groups, Samples: 16, Order: Oldest, InFlight: 512 * replicas,
			TrainPerToken: 1 / tokensPerSecond, Delay: delay, Publish: 5, Recompute: true, Steps: 12, WarmUp: 8, Seed: 1,
		}
	}
	const scale = 4
	return []PublishedTable{
		{
			Name: "512 prompts × 16 samples", Source: "arXiv 2505.24298, figure 5c (labels of the bars)",
			Assumptions: append([]string{
				"The paper does not say how many GPUs: 64 are assumed, which makes the samples and the tokens per second of a GPU those of the smaller experiment.",
				"Fitted: the trainer takes 396,800 tokens a second (the last row), and 90 s pass between the end of a sample and its use: reward, transport, waiting for weights (the first row).",
			}, shared...),
			Options: options(48/scale, 512/scale, 396.8e3/scale, 90), Scale: scale,
			Rows: []PublishedRow{{0, 128.7, true}, {1, 269.3, false}, {2, 356.6, false}, {4, 356.6, false}, {8, 371.7, false}, {16, 382.4, false}, {-1, 396.8, true}},
		},
		{
			Name: "64 prompts × 16 samples, 8 GPUs", Source: "arXiv 2505.24298, tables 7 and 8",
			Assumptions: append([]string{
				"Fitted: the trainer takes 52,000 tokens a second (the last row). No delay is assumed: one machine.",
			}, shared...),
			Options: options(6, 64, 52e3, 0), Scale: 1,
			Rows: []PublishedRow{{0, 27.1, false}, {1, 47.8, false}, {4, 49.0, false}, {16, 52.0, true}},
		},
	}
}

// Compare simulates every row of a table.
func (t PublishedTable) Compare() ([]Comparison, error) {
	out := make([]Comparison, len(t.Rows))
	for i, r := range t.Rows {
		o := t.Options
		o.Staleness = r.Staleness
		e, err := Plan(o)
		if err != nil {
			return nil, fmt.Errorf("%s, staleness %d: %w", t.Name, r.Staleness, err)
		}
		e.TokensPerSecond *= float64(t.Scale)
		e.Replicas *= t.Scale
		out[i] = Comparison{PublishedRow: r, Estimate: e}
	}
	last := out[len(out)-1]
	for i := range out {
		c := &out[i]
		c.PublishedRelative = c.Published / last.Published
		c.SimulatedRelative = c.Estimate.TokensPerSecond / last.Estimate.TokensPerSecond
		c.Deviation = c.SimulatedRelative/c.PublishedRelative - 1
	}
	return out, nil
}
