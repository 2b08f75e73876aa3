package serve

import (
	"context"
	"fmt"

	"pith/policies/model"
	"pith/policies/model/lora"
	"pith/rollout/engine"
)

// merging is a publisher that takes adapters too.
type merging struct {
	engine.Publisher
	base *model.Weights
}

// Merging lets a publisher of whole policies take LoRA directories: an adapter is added to the base
// weights, and the sum is published. It costs an engine a policy's memory, not an adapter's. The
// base is the one given here, also after other weights were loaded under its name; base must not
// change.
func Merging(p engine.Publisher, base *model.Weights) engine.Publisher { return &merging{p, base} }

// Accepts is what the publisher takes, and adapters.
func (m *merging) Accepts() []engine.ArtifactKind {
	return append([]engine.ArtifactKind{engine.ArtifactLoRADir}, m.Publisher.Accepts()...)
}

// Publish merges an adapter and hands everything else on. A digest of an adapter is that of the sum.
func (m *merging) Publish(ctx context.Context, a engine.Artifact) (engine.PolicyRef, error) {
	if a.Kind != engine.ArtifactLoRADir {
		return m.Publisher.Publish(ctx, a)
	}
	fail := func(err error) (engine.PolicyRef, error) {
		return engine.PolicyRef{}, &engine.Error{Class: engine.User, Op: fmt.Sprintf("publish %q", a.Policy.ID), Err: err}
	}
	adapter, err := lora.Load(a.Path)
	if err != nil {
		return fail(err)
	}
	sum, err := lora.Merge(m.base, adapter)
	if err != nil {
		return fail(err)
	}
	a.Kind, a.Path, a.Handle = engine.ArtifactMemory, "", sum
	return m.Publisher.Publish(ctx, a)
}
