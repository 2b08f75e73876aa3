// Package servetest starts, for tests, what `pith serve` runs: the local engine with a tiny random
// policy behind an HTTP server on a real socket, and two more policies on disk that can be published
// to it. Tests of adapters, fleets and probes use it; nothing else does.
package servetest

import (
	"fmt"
	"math"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"pith/policies/model"
	"pith/policies/tokenizer"
	"pith/rollout/engine"
	"pith/rollout/engine/local"
	"pith/rollout/engine/serve"
)

// The tiny policy's properties that tests have to know.
const (
	Vocab   = 40
	Context = 96
	Stop    = 2 // the end token; drawn with a probability of some percent anywhere
	Model   = "base"
)

// Prompt is one that the policies continue in many ways.
var Prompt = []int32{1, 7, 9, 30, 12}

// Config is the tiny policy's shape.
func Config() model.Config {
	return model.Config{Arch: model.Qwen3, VocabSize: Vocab, HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 4, NumKVHeads: 2,
		HeadDim: 8, MaxContext: Context, RMSNormEps: 1e-6, RopeTheta: 10000, QKNorm: true, BOS: 1, EOS: Stop}
}

// Weights are random, with next-token distributions neither flat nor certain.
func Weights(seed uint64, c model.Config) *model.Weights {
	w := model.NewWeights(c)
	w.Init(seed, model.InitOptions{EmbeddingSD: 0.3, LinearSD: 1 / math.Sqrt(float64(c.HiddenSize))})
	return w
}

// Tokenizer has a word for every id.
func Tokenizer() *tokenizer.Words {
	names := []string{"<pad>", "<bos>", "<eos>"}
	for i := len(names); i < Vocab; i++ {
		names = append(names, fmt.Sprintf("w%d", i))
	}
	tok, err := tokenizer.NewWords(names, tokenizer.Roles{BOS: "<bos>", EOS: "<eos>", PAD: "<pad>"})
	if err != nil {
		panic(err) // the words are the ones above
	}
	return tok
}

// Server is a running server.
type Server struct {
	URL    string
	Base   engine.PolicyRef // live from the start, under the name Model
	Engine *local.Engine
	Serve  *serve.Server
	Root   string // directory that weights may be loaded from
	First  engine.Artifact
	Second engine.Artifact
}

// Option changes what is started.
type Option func(*setup)

type setup struct {
	config model.Config
	engine local.Options
	serve  serve.Options
}

// MaxContext sets the context, which is Context otherwise.
func MaxContext(n int) Option { return func(s *setup) { s.config.MaxContext = n } }

// Engine sets the local engine's bounds.
func Engine(o local.Options) Option { return func(s *setup) { s.engine = o } }

// Serve changes the server's options.
func Serve(f func(*serve.Options)) Option { return func(s *setup) { f(&s.serve) } }

// Start starts a server; it ends with the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	set := setup{config: Config(), engine: local.Options{Slots: 24}, serve: serve.Options{Model: Model, Tokenizer: Tokenizer(), EOS: []int32{Stop}, ModelPath: "/models/base"}}
	for _, f := range options {
		f(&set)
	}
	s := &Server{Engine: local.New(set.engine), Root: t.TempDir(), Base: engine.PolicyRef{ID: Model}}
	if _, err := s.Engine.Publish(t.Context(), engine.Artifact{Policy: s.Base, Kind: engine.ArtifactMemory, Handle: Weights(1, set.config)}); err != nil {
		t.Fatal(err)
	}
	save := func(id string, step int64) engine.Artifact {
		a := engine.Artifact{Policy: engine.PolicyRef{ID: id, Step: step}, Kind: engine.ArtifactModelDir, Path: filepath.Join(s.Root, id)}
		if err := Weights(uint64(step)+1, set.config).Save(a.Path); err != nil {
			t.Fatal(err)
		}
		return a
	}
	s.First, s.Second = save("policy-000001", 1), save("policy-000002", 2)
	set.serve.Sampler, set.serve.Publisher, set.serve.Observer, set.serve.Base = s.Engine, s.Engine, s.Engine, s.Base
	set.serve.Roots = append(set.serve.Roots, s.Root)
	var err error
	if s.Serve, err = serve.New(set.serve); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Serve)
	s.URL = h.URL
	t.Cleanup(func() {
		_ = s.Serve.Close()
		h.Close()
		_ = s.Engine.Close()
	})
	return s
}
