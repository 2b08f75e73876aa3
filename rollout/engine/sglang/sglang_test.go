package sglang_test

import (
	"testing"

	"go.uber.org/goleak"

	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/serve/servetest"
	"pith/rollout/engine/sglang"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

var (
	_ engine.Sampler   = (*sglang.Engine)(nil)
	_ engine.Publisher = (*sglang.Engine)(nil)
	_ engine.Fencer    = (*sglang.Engine)(nil)
	_ engine.Observer  = (*sglang.Engine)(nil)
)

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) enginetest.Target {
		s := servetest.Start(t)
		e, err := sglang.New(sglang.Options{URL: s.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return enginetest.Target{Sampler: e, Publisher: e, First: s.First, Second: s.Second, Base: []engine.PolicyRef{s.Base},
			Prompt: servetest.Prompt, Vocab: servetest.Vocab, Stop: servetest.Stop, Tokens: 40}
	})
}
