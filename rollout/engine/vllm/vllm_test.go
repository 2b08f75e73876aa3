package vllm_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/faulty"
	"pith/rollout/engine/serve/servetest"
	"pith/rollout/engine/vllm"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

var (
	_ engine.Sampler   = (*vllm.Engine)(nil)
	_ engine.Publisher = (*vllm.Engine)(nil)
	_ engine.Fencer    = (*vllm.Engine)(nil)
	_ engine.Observer  = (*vllm.Engine)(nil)
)

// without is a server that lacks a route.
func without(t *testing.T, url string, paths ...string) string {
	t.Helper()
	p, err := faulty.New(url, faulty.Only(faulty.Always(faulty.Fault{Kind: faulty.Status, Status: http.StatusNotFound}), paths...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p.URL()
}

func TestConformance(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, o *vllm.Options){
		"generate":           func(*testing.T, *vllm.Options) {},
		"completions":        func(t *testing.T, o *vllm.Options) { o.URL = without(t, o.URL, "/inference/v1/generate") },
		"generate, streamed": func(_ *testing.T, o *vllm.Options) { o.Stream = true },
		"completions, streamed": func(t *testing.T, o *vllm.Options) {
			o.URL, o.Stream = without(t, o.URL, "/inference/v1/generate"), true
		},
	} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Target {
				s := servetest.Start(t)
				o := vllm.Options{URL: s.URL}
				change(t, &o)
				e, err := vllm.New(o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = e.Close() })
				return enginetest.Target{Sampler: e, Publisher: e, First: s.First, Second: s.Second, Base: []engine.PolicyRef{s.Base},
					Prompt: servetest.Prompt, Vocab: servetest.Vocab, Stop: servetest.Stop, Tokens: 40}
			})
		})
	}
}
