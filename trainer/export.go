package trainer

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"pith/configs"
	"pith/policies/model"
	"pith/policies/model/lora"
	"pith/policies/model/safetensors"
	"pith/rollout/engine"
)

// exporter turns the policies of the learner, which are in memory, into what a server can read.
type exporter struct {
	kind string // full, lora
	dir  string // absolute
	base *model.Weights
	name string // of the base, for adapter_config.json
	rank int
	log  *slog.Logger
}

// newExporter is nil where the engine takes weights from memory.
func newExporter(c configs.Config, base *model.Weights, log *slog.Logger) (*exporter, error) {
	if !c.Engine.Remote() || c.Engine.Publish == "none" {
		return nil, nil
	}
	dir, err := filepath.Abs(filepath.Join(c.Engine.PublishDir, c.Run.Name))
	if err != nil {
		return nil, fmt.Errorf("engine.publish_dir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("engine.publish_dir: %w", err)
	}
	x := &exporter{kind: c.Engine.Publish, dir: dir, name: c.Policy.Base, rank: c.Engine.LoRARank, log: log}
	if x.kind == "lora" {
		x.base = base.Clone() // the learner improves the weights in place
	}
	return x, nil
}

// prepare writes a policy into a directory of its own, whole or not at all.
func (x *exporter) prepare(a engine.Artifact) (engine.Artifact, error) {
	w, ok := a.Handle.(*model.Weights)
	if !ok {
		return a, fmt.Errorf("publish %s: the learner hands over %T; this engine needs weights", a.Policy.ID, a.Handle)
	}
	path := filepath.Join(x.dir, a.Policy.ID)
	out := engine.Artifact{Policy: a.Policy, Kind: engine.ArtifactModelDir, Path: path, Digest: a.Digest}
	if err := os.RemoveAll(path); err != nil { // of a run that was killed, or is being resumed
		return a, fmt.Errorf("publish %s: %w", a.Policy.ID, err)
	}
	if x.kind == "full" {
		tmp := path + ".tmp"
		if err := os.RemoveAll(tmp); err != nil {
			return a, fmt.Errorf("publish %s: %w", a.Policy.ID, err)
		}
		if err := w.Save(tmp); err != nil {
			return a, fmt.Errorf("publish %s: %w", a.Policy.ID, err)
		}
		return out, os.Rename(tmp, path)
	}
	found, err := lora.Extract(x.base, w, lora.Options{Rank: x.rank, Base: x.name})
	if err != nil {
		return a, fmt.Errorf("publish %s as an adapter: %w", a.Policy.ID, err)
	}
	x.tell(a.Policy.ID, found)
	if err := lora.Save(path, found.Adapter, safetensors.F32); err != nil {
		return a, fmt.Errorf("publish %s: %w", a.Policy.ID, err)
	}
	out.Kind, out.Digest = engine.ArtifactLoRADir, ""
	return out, nil
}

// tell logs how much of the change an adapter holds. What it lacks makes the sampled policy another
// than the learner's: behaviour log-probabilities stay right, and the mismatch of the step shows it.
func (x *exporter) tell(id string, found *lora.Extraction) {
	left := 0.0
	for _, f := range found.Fits {
		left = max(left, f.Left)
	}
	if left > 0.05 || len(found.Missed) > 0 {
		x.log.Warn("engine: the adapter lacks part of the change", "policy", id, "rank", x.rank, "worst module lacks", left, "tensors not in an adapter", len(found.Missed))
	}
}

// retire removes the files of a policy that is no longer served.
func (x *exporter) retire(p engine.PolicyRef) error { return os.RemoveAll(filepath.Join(x.dir, p.ID)) }

// ours says that a policy has a name that a run gives, and is not something the server came with.
func ours(p engine.PolicyRef) bool {
	return strings.HasPrefix(p.ID, "policy-") && p.ID == policyName(p.Step)
}

// show makes the artifact servable: on disk first, where the engine reads from there.
func (t *Trainer) show(ctx context.Context, a engine.Artifact) error {
	if t.publisher == nil {
		return nil // evaluation of what the servers serve
	}
	if t.exporter != nil {
		var err error
		if a, err = t.exporter.prepare(a); err != nil {
			return err
		}
	}
	if _, err := t.publisher.Publish(ctx, a); err != nil {
		return fmt.Errorf("publish %s: %w", a.Policy.ID, err)
	}
	return nil
}
