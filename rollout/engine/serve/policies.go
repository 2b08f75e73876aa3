package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pith/rollout/engine"
)

// unlabelled is the version of the base weights until somebody names one; vLLM and SGLang say the
// same.
const unlabelled = "default"

// policy is what a name means. The server's lock guards its fields.
type policy struct {
	name    string
	ref     engine.PolicyRef // in the engine
	label   string           // version, as spans give it
	path    string
	adapter bool // loaded beside the base
	users   int  // attempts under way
	retired bool // no name means it
}

// findLocked is the policy behind a name; none means the base.
func (s *Server) findLocked(name string) (*policy, error) {
	if name == "" {
		name = s.o.Model
	}
	if p, ok := s.names[name]; ok {
		return p, nil
	}
	return nil, absentf("The model `%s` does not exist; there are: %s", name, strings.Join(s.sortedLocked(), ", "))
}

func (s *Server) sortedLocked() []string {
	names := make([]string, 0, len(s.names))
	for n := range s.names {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.names[a].ref.Step, s.names[b].ref.Step), cmp.Compare(a, b))
	})
	return names
}

// versionOf is the label that spans give a policy.
func (s *Server) versionOf(p *policy) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.label
}

// releaseLocked ends one attempt's hold, and returns the policy where it is to be retired.
func (s *Server) releaseLocked(p *policy) *policy {
	p.users--
	if p.retired && p.users == 0 {
		return p
	}
	return nil
}

// retire takes a policy out of the engine.
func (s *Server) retire(p *policy) {
	if p == nil || s.o.Publisher == nil {
		return
	}
	if err := s.o.Publisher.Retire(context.Background(), p.ref); err != nil {
		s.o.Log.Warn("serve: retire", "policy", p.ref.ID, "err", err)
	}
}

// takeName makes a name mean another policy; nil takes the name away. What it meant before is
// retired once nobody uses it.
func (s *Server) takeName(name string, p *policy) {
	s.mu.Lock()
	old := s.names[name]
	if p == nil {
		delete(s.names, name)
	} else {
		s.names[name] = p
	}
	var idle *policy
	if old != nil {
		old.retired = true
		if old.users == 0 {
			idle = old
		}
	}
	s.mu.Unlock()
	s.retire(idle)
}

// loadable says whether weights can be loaded from disk at all.
func (s *Server) loadable() bool { return s.o.Publisher != nil && len(s.o.Roots) > 0 }

// source is a directory of weights that may be loaded.
func (s *Server) source(path string) (dir string, kind engine.ArtifactKind, err error) {
	dir, err = filepath.Abs(path)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", 0, absentf("no directory %q", path)
	case err != nil:
		return "", 0, badf("path", "%v", err)
	case !slices.ContainsFunc(s.o.Roots, func(root string) bool { return within(root, dir) }):
		return "", 0, &problem{status: http.StatusForbidden, msg: fmt.Sprintf("%q is outside the directories that weights may be loaded from", path)}
	}
	for name, k := range map[string]engine.ArtifactKind{"adapter_config.json": engine.ArtifactLoRADir, "config.json": engine.ArtifactModelDir} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			if !slices.Contains(s.o.Publisher.Accepts(), k) {
				return "", 0, missing("the engine behind this server does not take %s", map[engine.ArtifactKind]string{
					engine.ArtifactLoRADir: "LoRA adapters", engine.ArtifactModelDir: "model directories"}[k])
			}
			return dir, k, nil
		}
	}
	return "", 0, absentf("%q holds neither an adapter (adapter_config.json) nor a model (config.json)", path)
}

// within says whether path is root or lies below it. Both are absolute and clean.
func within(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// publish loads a directory into the engine as a policy of its own.
func (s *Server) publish(ctx context.Context, name, label, path string, adapter bool) (*policy, error) {
	dir, kind, err := s.source(path)
	if err != nil {
		return nil, err
	}
	return s.publishArtifact(ctx, name, label, path, adapter, engine.Artifact{Kind: kind, Path: dir})
}

func (s *Server) publishArtifact(ctx context.Context, name, label, path string, adapter bool, a engine.Artifact) (*policy, error) {
	s.mu.Lock()
	s.loads++
	// A policy's id is never used again, whatever name and label it is given.
	a.Policy = engine.PolicyRef{ID: fmt.Sprintf("%s#%d", name, s.loads), Step: s.o.Base.Step + int64(s.loads)}
	s.mu.Unlock()
	ref, err := s.o.Publisher.Publish(ctx, a)
	if err != nil {
		return nil, err
	}
	s.o.Log.Info("serve: weights loaded", "name", name, "version", label, "path", path, "policy", ref.ID)
	return &policy{name: name, ref: ref, label: label, path: path, adapter: adapter}, nil
}

// lockLoads lets one change of weights happen at a time.
func (s *Server) lockLoads(ctx context.Context) (unlock func(), err error) {
	select {
	case s.loading <- struct{}{}:
		return func() { <-s.loading }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// loadAdapter makes weights available under a name of their own, beside the base.
func (s *Server) loadAdapter(ctx context.Context, name, path string, inPlace bool) error {
	unlock, err := s.lockLoads(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s.mu.Lock()
	old := s.names[name]
	s.mu.Unlock()
	switch {
	case name == "" || path == "":
		return badf("", "both 'lora_name' and 'lora_path' must be given")
	case old != nil && !old.adapter:
		return badf("lora_name", "'%s' is the base model", name)
	case old != nil && !inPlace:
		return badf("lora_name", "The lora adapter '%s' has already been loaded. If you want to load the adapter in place, set 'load_inplace' to True.", name)
	}
	p, err := s.publish(ctx, name, name, path, true)
	if err != nil {
		return err
	}
	s.takeName(name, p)
	return nil
}

// unloadAdapter takes a name away. Requests that run on it finish.
func (s *Server) unloadAdapter(name string) error {
	s.mu.Lock()
	p := s.names[name]
	s.mu.Unlock()
	if p == nil || !p.adapter {
		return absentf("The lora adapter '%s' cannot be found.", name)
	}
	s.takeName(name, nil)
	return nil
}

// reload replaces the base weights from a directory. An empty version keeps the label.
func (s *Server) reload(ctx context.Context, path, version string) error {
	unlock, err := s.lockLoads(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s.mu.Lock()
	label := cmp.Or(version, s.names[s.o.Model].label)
	s.mu.Unlock()
	p, err := s.publish(ctx, s.o.Model, label, path, false)
	if err != nil {
		return err
	}
	s.takeName(s.o.Model, p)
	return nil
}

// Replace makes the base name mean other weights, as a reload from disk does, for a caller in this
// process. Version labels the tokens that they draw; path is what clients are told.
func (s *Server) Replace(ctx context.Context, a engine.Artifact, version, path string) error {
	unlock, err := s.lockLoads(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if s.o.Publisher == nil {
		return missing("this server's weights cannot change")
	}
	p, err := s.publishArtifact(ctx, s.o.Model, version, path, false, a)
	if err != nil {
		return err
	}
	s.takeName(s.o.Model, p)
	return nil
}

// relabel names the version of the base weights.
func (s *Server) relabel(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[s.o.Model].label = version
}

// version is the label of the base weights.
func (s *Server) version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[s.o.Model].label
}
