package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"

	"pith/analysis/metrics"
	"pith/configs"
	"pith/policies/builtin"
	"pith/rollout/engine"
	"pith/rollout/engine/local"
)

// Compression is how well a policy predicts texts, per predicted token; the first token of a text is
// not predicted. Means are over texts.
type Compression struct {
	Texts    int     `json:"texts"`
	Tokens   int     `json:"tokens"`    // predicted
	TextBits float64 `json:"text_bits"` // UTF-8 bits of the text that a predicted token stands for
	NLL      float64 `json:"nll_bits"`  // mean -log2 p
	FLOPs    float64 `json:"flops"`     // of decoding a token, over 1,024 tokens from an empty context
	Offset   float64 `json:"offset"`
	Capacity float64 `json:"information_capacity"`
}

// Compress measures the information capacity of the config's policy on texts (arXiv 2511.08066) with
// the local engine. offset is the constant of the kind of text ([metrics.CapacityMixedText] and the
// others). A text of fewer than two tokens, or one that the vocabulary cannot express, is an error
// that names it.
func Compress(ctx context.Context, c configs.Config, texts []string, offset float64) (Compression, error) {
	if len(texts) == 0 {
		return Compression{}, errors.New("no text to compress")
	}
	weights, tokens, err := builtin.Open(c.Policy.Base)
	if err != nil {
		return Compression{}, err
	}
	e := local.New(local.Options{Slots: c.Engine.Slots, MaxContext: c.Engine.MaxContext})
	defer func() { _ = e.Close() }()
	policy := engine.PolicyRef{ID: policyName(0)}
	if _, err := e.Publish(ctx, engine.Artifact{Policy: policy, Kind: engine.ArtifactMemory, Handle: weights}); err != nil {
		return Compression{}, err
	}
	m := weights.Config
	shape := metrics.Shape{Layers: m.NumLayers, Width: m.HiddenSize, Heads: m.NumHeads, KVHeads: m.NumKVHeads, Hidden: m.IntermediateSize, Vocabulary: m.VocabSize}
	const generated = 1024
	out := Compression{Texts: len(texts), Offset: offset, FLOPs: shape.DecodeFLOPs(generated, 0) / generated}
	for i, text := range texts {
		ids, err := tokens.Encode(text)
		if err != nil {
			return Compression{}, fmt.Errorf("text %d: %w", i+1, err)
		}
		if len(ids) < 2 {
			return Compression{}, fmt.Errorf("text %d has %d tokens, need at least 2: the first is not predicted", i+1, len(ids))
		}
		logprobs, _, err := e.Score(ctx, policy, [][]int32{ids})
		if err != nil {
			return Compression{}, fmt.Errorf("text %d: %w", i+1, err)
		}
		sum := 0.0
		for _, lp := range logprobs[0][1:] {
			sum -= float64(lp)
		}
		n := float64(len(ids) - 1)
		out.Tokens += len(ids) - 1
		out.NLL += sum / n / math.Ln2 / float64(len(texts))
		out.TextBits += 8 * float64(len(text)-len(tokens.Decode(ids[:1]))) / n / float64(len(texts))
	}
	out.Capacity = metrics.InformationCapacity(out.TextBits, out.NLL, offset, out.FLOPs)
	return out, nil
}
