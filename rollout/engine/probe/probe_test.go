package probe_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/faulty"
	"pith/rollout/engine/probe"
	"pith/rollout/engine/serve/servetest"
	"pith/rollout/engine/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

// findings maps the number of a probe to what it found, for the probes that were asked.
func findings(r probe.Report) map[int]probe.Status {
	out := map[int]probe.Status{}
	for _, res := range r.Results {
		if res.Status != probe.NotAsked {
			out[res.Number] = res.Status
		}
	}
	return out
}

func TestEverythingHoldsOfPithServeInEveryDialect(t *testing.T) {
	want := map[string]map[int]probe.Status{
		dialect.Auto:     {1: probe.Holds, 2: probe.Holds, 3: probe.Holds, 4: probe.Holds, 5: probe.Holds, 6: probe.Holds, 7: probe.Holds, 8: probe.Holds, 11: probe.Holds, 12: probe.Holds},
		dialect.SGLang:   {1: probe.Holds, 2: probe.Holds, 3: probe.Holds, 4: probe.Holds, 5: probe.Holds, 6: probe.Holds, 7: probe.Holds, 8: probe.Holds, 11: probe.Holds, 12: probe.Holds},
		dialect.LlamaCPP: {1: probe.Holds, 2: probe.Holds, 3: probe.Holds, 4: probe.Holds, 5: probe.Holds, 6: probe.Holds, 11: probe.Holds, 12: probe.Holds},
	}
	for name, found := range want {
		t.Run(name, func(t *testing.T) {
			s := servetest.Start(t, servetest.MaxContext(4096))
			r, err := probe.Run(t.Context(), probe.Target{Options: wire.Options{URL: s.URL}, Dialect: name, Artifacts: []engine.Artifact{s.First, s.Second}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(found, findings(r)); diff != "" {
				t.Errorf("%s\n%+v", diff, r.Results)
			}
			if err := probe.Require(r, probe.Needs{Train: true, Params: engine.Params{Temperature: 1, TopP: 1}}); err != nil {
				t.Error(err)
			}
			text, err := json.Marshal(r)
			var back probe.Report
			if err == nil {
				err = json.Unmarshal(text, &back)
			}
			if diff := cmp.Diff(r.Results, back.Results); err != nil || diff != "" {
				t.Errorf("as JSON: %v %s", err, diff)
			}
		})
	}
}

func TestAServerThatBreaksPromisesIsSeen(t *testing.T) {
	s := servetest.Start(t)
	p, err := faulty.New(s.URL, faulty.Nothing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	// Log-probabilities go bad once the server has been connected to.
	seen := 0
	p.Set(func(n int64, r *http.Request) faulty.Fault {
		if r.URL.Path == "/inference/v1/generate" {
			if seen++; seen > 20 {
				return faulty.Fault{Kind: faulty.NaN}
			}
		}
		return faulty.Fault{}
	})
	r, err := probe.Run(t.Context(), probe.Target{Options: wire.Options{URL: p.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, res := range r.Results {
		if res.Status == probe.Fails {
			failed++
		}
	}
	if failed == 0 {
		t.Errorf("nothing fails: %+v", r.Results)
	}
	err = probe.Require(r, probe.Needs{Train: true, Params: engine.Params{Temperature: 1, TopP: 1}})
	if err == nil || !strings.Contains(err.Error(), "probe") {
		t.Errorf("training is allowed: %v", err)
	}
}

func TestWhatARunNeedsAndAServerLacksIsNamedWithARemedy(t *testing.T) {
	raw := func(engine.Params) engine.LogprobKind { return engine.LogprobRaw }
	good := probe.Report{URL: "http://x", Dialect: dialect.VLLM, Accepts: []string{"adapter directory"},
		Caps: engine.SamplerCaps{LogprobKind: raw, Exact: true, MaxContext: 4096, PromptLogprobs: true, StopTokens: true, MinTokens: true, PartialOnAbort: true, PerTokenVersion: true, ConcurrentPolicy: 4}}
	needs := probe.Needs{Train: true, Params: engine.Params{Temperature: 1, TopP: 1, StopTokens: []int32{2}, MinTokens: 1}, Kind: engine.LogprobTempered,
		Publish: []engine.ArtifactKind{engine.ArtifactLoRADir}, Policies: 2, Context: 4096, Scores: true, Partial: true, Versions: true}
	if err := probe.Require(good, needs); err != nil {
		t.Fatalf("nothing is lacking: %v", err)
	}
	for name, tc := range map[string]struct {
		change func(*probe.Report, *probe.Needs)
		want   []string
	}{
		"ids":          {func(r *probe.Report, _ *probe.Needs) { r.Caps.Exact = false }, []string{"token ids", "--enable-scale-out"}},
		"raw at T 0.6": {func(_ *probe.Report, n *probe.Needs) { n.Params.Temperature = 0.6 }, []string{"tempered", "--logprobs-mode processed_logprobs"}},
		"whole models": {func(_ *probe.Report, n *probe.Needs) { n.Publish = []engine.ArtifactKind{engine.ArtifactModelDir} }, []string{"model directory", "VLLM_SERVER_DEV_MODE=1"}},
		"policies":     {func(r *probe.Report, _ *probe.Needs) { r.Caps.ConcurrentPolicy = 1 }, []string{"2 policies", "--max-loras"}},
		"context":      {func(_ *probe.Report, n *probe.Needs) { n.Context = 8192 }, []string{"8192", "--max-model-len"}},
		"stop tokens":  {func(r *probe.Report, _ *probe.Needs) { r.Caps.StopTokens = false }, []string{"stop tokens"}},
		"least length": {func(r *probe.Report, _ *probe.Needs) { r.Caps.MinTokens = false }, []string{"least length", "min_tokens"}},
		"scores":       {func(r *probe.Report, _ *probe.Needs) { r.Caps.PromptLogprobs = false }, []string{"scores"}},
		"partial":      {func(r *probe.Report, _ *probe.Needs) { r.Caps.PartialOnAbort = false }, []string{"cancelled", "stream"}},
		"versions":     {func(r *probe.Report, _ *probe.Needs) { r.Caps.PerTokenVersion = false }, []string{"which weights"}},
		"a probe": {func(r *probe.Report, _ *probe.Needs) {
			r.Results = []probe.Result{{Number: 6, Name: "n", Status: probe.Fails, Detail: "d"}}
		}, []string{"probe 6"}},
		"llama-server":      {func(r *probe.Report, _ *probe.Needs) { r.Dialect, r.Accepts = dialect.LlamaCPP, nil }, []string{"takes none", "holds one file"}},
		"several at a time": {func(r *probe.Report, n *probe.Needs) { r.Caps.PromptLogprobs = false; n.Context = 9000 }, []string{"scores", "9000"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, n := good, needs
			tc.change(&r, &n)
			err := probe.Require(r, n)
			for _, w := range tc.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
		})
	}
}

func TestAServerThatIsNotThereIsAnError(t *testing.T) {
	_, err := probe.Run(t.Context(), probe.Target{Options: wire.Options{URL: "http://127.0.0.1:1"}})
	if class, _ := engine.ClassOf(err); class != engine.Transient {
		t.Error(err)
	}
}
