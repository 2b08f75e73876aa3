package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"pith/configs"
	"pith/policies/kernel"
	"pith/rollout/engine"
	"pith/rollout/engine/probe"
	"pith/traces"
)

// Manifest says what a run is: enough to know whether a resumed run would compute the same.
type Manifest struct {
	Run     string `json:"run"`  // run.name
	ID      string `json:"id"`   // namespaces the stream
	Hash    string `json:"hash"` // of what the run computes; configs.Config.Hash
	Seed    uint64 `json:"seed"`
	Version string `json:"version"` // of pith
	Go      string `json:"go"`
	// Kernel is the arithmetic that started the run. All kernels give the same bits, so another one
	// may resume it; Arithmetic names the order of summation, which may not differ.
	Kernel     string             `json:"kernel"`
	Arithmetic string             `json:"arithmetic"`
	Dataset    string             `json:"dataset"`
	Data       string             `json:"data_fingerprint"`
	Base       string             `json:"base_digest"` // of the base policy's tensors
	Parameters int64              `json:"parameters"`
	Engine     engine.SamplerCaps `json:"engine"`
	// Probes are what was found of each server, in the order of engine.urls.
	Probes []probe.Report `json:"probes,omitempty"`
	Config configs.Config `json:"config"`
}

// Arithmetic names the summation order and polynomials of the local engine and learner.
const Arithmetic = "fixed-order-1"

// Version is the version of pith, from the build.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			version += "+" + s.Value[:12]
		}
	}
	return version
}

func newManifest(c configs.Config) Manifest {
	return Manifest{
		Run: c.Run.Name, Hash: c.Hash(), Seed: c.Run.Seed, Version: Version(), Go: runtime.Version(),
		Kernel: kernel.Name(), Arithmetic: Arithmetic, Config: c.WithoutSecrets(),
	}
}

func (m Manifest) write(run string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return writeFileSync(filepath.Join(run, traces.ManifestFile), append(text, '\n'))
}

// ReadManifest reads the manifest of a run directory.
func ReadManifest(run string) (Manifest, error) {
	path := filepath.Join(run, traces.ManifestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("%s is not a run directory: it has no %s", run, traces.ManifestFile)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// compatible says why a run that was started as old cannot be continued as now.
func (old Manifest) compatible(now Manifest) error {
	for _, f := range []struct{ what, was, is, fix string }{
		{"config", old.Hash, now.Hash, "resume with the config it was started with (config.yaml in the run directory), or start another run with --out"},
		{"data", old.Data, now.Data, "the problems have changed since; restore them, or start another run"},
		{"base policy", old.Base, now.Base, "policy.base has changed since; restore it, or start another run"},
		{"arithmetic", old.Arithmetic, now.Arithmetic, "resume with the version of pith that started it (" + old.Version + ")"},
	} {
		if f.was != f.is {
			return fmt.Errorf("cannot resume: the %s is not the run's (%.12s, now %.12s); %s", f.what, f.was, f.is, f.fix)
		}
	}
	return nil
}
