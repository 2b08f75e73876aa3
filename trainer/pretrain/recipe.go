package pretrain

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"pith/datasets/families"
	"pith/policies/model"
	"pith/policies/tokenizer"
)

// Recipe makes a base policy from nothing, or from another policy: which model, which teachers one
// after the other, and how it is trained.
type Recipe struct {
	Name    string         `yaml:"name"`
	Seed    uint64         `yaml:"seed"`   // of the initial weights and of the examples
	Source  string         `yaml:"source"` // a family with teachers
	Params  map[string]any `yaml:"params"`
	Initial string         `yaml:"initial"` // a policy to start from; empty: fresh weights of Model
	Model   Model          `yaml:"model"`
	Init    Init           `yaml:"init"`
	Stages  []Stage        `yaml:"stages"`
	Train   Config         `yaml:"train"`
}

// Model is the shape of a fresh policy; its vocabulary is the family's.
type Model struct {
	Arch             string  `yaml:"arch"`
	HiddenSize       int     `yaml:"hidden_size"`
	IntermediateSize int     `yaml:"intermediate_size"`
	NumLayers        int     `yaml:"num_layers"`
	NumHeads         int     `yaml:"num_heads"`
	NumKVHeads       int     `yaml:"num_kv_heads"`
	HeadDim          int     `yaml:"head_dim"`
	MaxContext       int     `yaml:"max_context"`
	RMSNormEps       float64 `yaml:"rms_norm_eps"`
	RopeTheta        float64 `yaml:"rope_theta"`
	TieEmbeddings    bool    `yaml:"tie_embeddings"`
}

// Init overrides the standard deviations of fresh weights; 0 keeps the default.
type Init struct {
	EmbeddingSD   float64 `yaml:"embedding_sd"`
	LinearSD      float64 `yaml:"linear_sd"`
	ResidualScale float64 `yaml:"residual_scale"`
}

// Stage is a number of steps under one teacher. The last stage ends the run.
type Stage struct {
	Steps   int            `yaml:"steps"`
	Teacher string         `yaml:"teacher"`
	Params  map[string]any `yaml:"params"`
}

// ParseRecipe decodes a recipe strictly, over the defaults of [Config]. The number of steps is the
// sum of the stages.
func ParseRecipe(text []byte, name string) (Recipe, error) {
	r := Recipe{Train: Default()}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&r); err != nil && !errors.Is(err, io.EOF) {
		return Recipe{}, fmt.Errorf("recipe %s: %w", name, err)
	}
	r.Train.Steps = 0
	for _, s := range r.Stages {
		if s.Steps < 1 {
			return Recipe{}, fmt.Errorf("recipe %s: stage %s has %d steps; give at least 1", name, s.Teacher, s.Steps)
		}
		r.Train.Steps += s.Steps
	}
	if r.Train.Steps == 0 {
		return Recipe{}, fmt.Errorf("recipe %s: it has no stages; list at least one teacher with its steps", name)
	}
	if err := r.Train.Validate(); err != nil {
		return Recipe{}, fmt.Errorf("recipe %s: %w", name, err)
	}
	return r, nil
}

// course runs the teachers of a recipe one after the other.
type course struct {
	ends     []int
	examples []families.Example
}

// Example implements [Source].
func (c course) Example(step, row int) ([]int32, []bool, error) {
	for i, end := range c.ends {
		if step < end {
			return c.examples[i](step, row)
		}
	}
	return nil, nil, fmt.Errorf("step %d lies after the last stage", step)
}

// Open builds what a recipe names: initial weights, tokenizer and source. load opens the policy
// that Initial names; it is not called where Initial is empty.
func (r Recipe) Open(load func(string) (*model.Weights, tokenizer.Tokenizer, error)) (*model.Weights, tokenizer.Tokenizer, Source, error) {
	f, err := families.Open(r.Source, r.Seed, r.Params)
	if err != nil {
		return nil, nil, nil, err
	}
	var c course
	end := 0
	for _, s := range r.Stages {
		example, err := f.Teacher(s.Teacher, r.Seed, s.Params)
		if err != nil {
			return nil, nil, nil, err
		}
		end += s.Steps
		c.ends, c.examples = append(c.ends, end), append(c.examples, example)
	}
	if r.Initial != "" {
		w, t, err := load(r.Initial)
		return w, t, c, err
	}
	m := f.Markers
	words, err := tokenizer.NewWords(f.Vocabulary, tokenizer.Roles{BOS: m.BOS, EOS: m.EOS, PAD: m.Pad, Special: f.Special})
	if err != nil {
		return nil, nil, nil, err
	}
	config := r.Model.config(words, m)
	if err := config.Validate(); err != nil {
		return nil, nil, nil, fmt.Errorf("recipe %s: model: %w", r.Name, err)
	}
	w := model.NewWeights(config)
	w.Init(r.Seed, model.InitOptions(r.Init))
	return w, words, c, nil
}

func (m Model) config(t tokenizer.Tokenizer, k families.Markers) model.Config {
	id := func(token string) int32 {
		if n, ok := t.ID(token); ok {
			return n
		}
		return -1
	}
	return model.Config{
		Arch: m.Arch, VocabSize: t.VocabSize(), HiddenSize: m.HiddenSize, IntermediateSize: m.IntermediateSize,
		NumLayers: m.NumLayers, NumHeads: m.NumHeads, NumKVHeads: m.NumKVHeads, HeadDim: m.HeadDim,
		MaxContext: m.MaxContext, RMSNormEps: m.RMSNormEps, RopeTheta: m.RopeTheta,
		QKNorm: m.Arch == model.Qwen3, AttentionBias: m.Arch == model.Qwen2, TieEmbeddings: m.TieEmbeddings,
		BOS: id(k.BOS), EOS: id(k.EOS), PAD: id(k.Pad),
	}
}
