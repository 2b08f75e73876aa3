package trainer

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/configs"
	"pith/policies/builtin"
	"pith/rollout/engine"
	"pith/rollout/engine/local"
	"pith/rollout/engine/serve"
	"pith/traces"
)

// served starts what `pith serve builtin:clock --load-from DIR` runs, on a real socket.
func served(t *testing.T, root string) string {
	t.Helper()
	w, tokens, err := builtin.Open("builtin:clock")
	if err != nil {
		t.Fatal(err)
	}
	e := local.New(local.Options{Slots: 256})
	base := engine.PolicyRef{ID: "base"}
	if _, err := e.Publish(t.Context(), engine.Artifact{Policy: base, Kind: engine.ArtifactMemory, Handle: w}); err != nil {
		t.Fatal(err)
	}
	s, err := serve.New(serve.Options{Sampler: e, Publisher: e, Observer: e, Tokenizer: tokens, Model: "clock", Base: base, Roots: []string{root}, EOS: []int32{w.Config.EOS}})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		_ = s.Close()
		h.Close()
		_ = e.Close()
	})
	return h.URL
}

// short is the quickstart, cut to two small steps.
func short(t *testing.T, engine string, set ...string) configs.Config {
	t.Helper()
	c, err := configs.Load(configs.Sources{Presets: []string{"quickstart"}, Engine: engine, Set: append([]string{
		"run.steps=2", "rollout.prompts_per_step=4", "rollout.samples_per_prompt=4", "loss.mini_batches=2",
		"eval.every=0", "eval.final_problems=6", "log.report=false"}, set...)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sampledBy is what the traces of a run say was drawn, by id.
func sampledBy(t *testing.T, dir string) map[string][]traces.Trace {
	t.Helper()
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]traces.Trace{}
	for row, err := range run.Traces(traces.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		row.Entropy = nil // no server's dialect tells it
		out[row.ID] = append(out[row.ID], row)
	}
	return out
}

// The same config and seed give the same run through two servers over HTTP as in this process: every
// token, every log-probability and every reward, to the bit; but for the entropy, which no dialect tells. `pith serve` honours
// seeds exactly; other servers are not asked for this.
func TestARunOverHTTPIsTheRunInProcess(t *testing.T) {
	root := t.TempDir()
	own := filepath.Join(t.TempDir(), "own")
	trained(t, short(t, ""), own)
	want := sampledBy(t, own)
	if len(want) != 2*4*4 {
		t.Fatalf("%d traces", len(want))
	}
	for name, urls := range map[string][]string{"one server": {served(t, root)}, "two servers": {served(t, root), served(t, root)}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "http")
			trained(t, short(t, "vllm", "engine.urls=["+strings.Join(urls, ", ")+"]", "engine.publish_dir="+filepath.Join(root, name)), dir)
			if diff := cmp.Diff(want, sampledBy(t, dir)); diff != "" {
				t.Errorf("the runs differ (-in process +over HTTP):\n%.2000s", diff)
			}
			m, err := ReadManifest(dir)
			if err != nil || !m.Engine.Exact || !m.Engine.Seeded || len(m.Probes) != len(urls) {
				t.Errorf("manifest: %+v, %v", m.Engine, err)
			}
		})
	}
}

// A server of another model is found out before anything is learnt from it.
func TestAServerOfAnotherModelIsRefused(t *testing.T) {
	root := t.TempDir()
	url := served(t, root)
	for name, tc := range map[string]struct {
		set  []string
		want string
	}{
		"nobody publishes":       {[]string{"engine.publish=none"}, "engine.publish: is none"},
		"nowhere to publish":     {[]string{"engine.publish_dir=''"}, "engine.publish_dir: is empty"},
		"no such server":         {[]string{"engine.urls=['ftp://x']"}, "is no URL of a server"},
		"a fleet of twins":       {[]string{"engine.urls=['" + url + "', '" + url + "']"}, "is there twice"},
		"too large a quorum":     {[]string{"engine.urls=['" + url + "']", "engine.quorum=2"}, "more than there are servers"},
		"a dialect without load": {[]string{"engine.kind=llamacpp", "engine.urls=['" + url + "']"}, "take no weights while they run"},
	} {
		_, err := configs.Load(configs.Sources{Presets: []string{"quickstart"}, Engine: "vllm", Set: tc.set})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is %v, want one that says %q", name, err, tc.want)
		}
	}
	// Published under a root that the server may not read: refused with the server's own words.
	c := short(t, "vllm", "engine.urls=["+url+"]", "engine.publish_dir="+t.TempDir())
	tr, err := Open(t.Context(), c, Options{Dir: filepath.Join(t.TempDir(), "run")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close() }()
	if err := tr.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "publish policy-000000") {
		t.Errorf("error is %v, want one about publishing", err)
	}
}

// A rehearsal runs every part of a run but learns nothing from it.
func TestARehearsalOnSimulatedReplicasRunsToItsEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	trained(t, short(t, "sim", "engine.sim.pace=0"), dir)
	rows := sampledBy(t, dir)
	if len(rows) != 2*4*4 {
		t.Errorf("%d traces", len(rows))
	}
	m, err := ReadManifest(dir)
	if err != nil || m.Engine.Exact {
		t.Errorf("a simulation passes for exact: %+v, %v", m.Engine, err)
	}
}
