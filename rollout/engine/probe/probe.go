// Package probe finds out, in seconds and by asking, what holds of a live inference server: the twelve
// conformance probes, as data that a run's manifest keeps, and a check of that data against what a run
// needs. It believes neither version numbers nor documentation.
//
// Two of the twelve are about learners, not samplers, and are reported as not asked: agreement of the
// learner's log-probabilities, which a run measures every step, and its reduction.
package probe

import (
	"context"
	"fmt"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/wire"
)

// Status is what a probe found.
type Status string

// The findings. Unknown: it could not be seen. NotAsked: the probe does not apply, or lacks what it needs.
const (
	Holds    Status = "holds"
	Fails    Status = "fails"
	Unknown  Status = "unknown"
	NotAsked Status = "not asked"
)

// Result is one probe's.
type Result struct {
	Number int                `json:"number"`
	Name   string             `json:"name"`
	Status Status             `json:"status"`
	Detail string             `json:"detail"`
	Values map[string]float64 `json:"values,omitempty"`
}

// Report is what was found of a server.
type Report struct {
	URL      string             `json:"url"`
	Dialect  string             `json:"dialect"`
	Version  string             `json:"version,omitempty"`
	Policies []engine.PolicyRef `json:"policies"`
	Caps     engine.SamplerCaps `json:"capabilities"`
	// Logprobs says of which distribution log-probabilities are, for settings by name.
	Logprobs map[string]string `json:"logprobs"`
	Accepts  []string          `json:"accepts"` // kinds of artifact that can be published
	Results  []Result          `json:"results"`
	Seconds  float64           `json:"seconds"`
}

// Target is a server to be probed.
type Target struct {
	wire.Options
	Dialect string // see dialect.Names; empty is auto
	// Artifacts, up to two, are published, asked and retired again: an adapter's or a model's directory
	// that the server can read. Without two, what concerns versions is not asked.
	Artifacts []engine.Artifact
	// Prompt is continued. Default: the ids 1, 2, 3.
	Prompt []int32
	// Stop is a token to stop at for servers that take no other. Default: what the server says.
	Stop int32
}

// Run probes a server. The error is about reaching it; what it lacks is in the report.
func Run(ctx context.Context, t Target) (Report, error) {
	began := time.Now()
	e, name, err := dialect.Open(ctx, t.Dialect, t.Options)
	if err != nil {
		return Report{}, fmt.Errorf("probe %s: %w", t.URL, err)
	}
	defer func() { _ = e.Close() }()
	p := &prober{Target: t, e: e, report: Report{URL: t.URL, Dialect: name, Logprobs: map[string]string{}}}
	if p.Prompt == nil {
		p.Prompt = []int32{1, 2, 3}
	}
	r := &p.report
	if r.Caps, err = e.Caps(ctx); err != nil {
		return Report{}, fmt.Errorf("probe %s as %s: %w", t.URL, name, err)
	}
	if r.Version, err = e.Version(ctx); err != nil {
		return Report{}, fmt.Errorf("probe %s as %s: %w", t.URL, name, err)
	}
	if r.Policies, err = e.Live(ctx); err != nil {
		return Report{}, fmt.Errorf("probe %s as %s: %w", t.URL, name, err)
	}
	if len(r.Policies) == 0 {
		return Report{}, fmt.Errorf("probe %s as %s: the server has no live policy; publish one first", t.URL, name)
	}
	p.policy = r.Policies[0]
	if at, ok := e.(interface {
		EndToken(context.Context) (int32, error)
	}); ok && p.Stop == 0 {
		if p.Stop, err = at.EndToken(ctx); err != nil {
			return Report{}, fmt.Errorf("probe %s as %s: %w", t.URL, name, err)
		}
	}
	if pub, ok := e.(engine.Publisher); ok {
		for _, k := range pub.Accepts() {
			r.Accepts = append(r.Accepts, artifactNames[k])
		}
	}
	for setting, params := range settings {
		r.Logprobs[setting] = kindNames[r.Caps.LogprobKind(params)]
	}
	// What changes weights comes last: the policy that the others asked may be gone after it.
	r.Results = make([]Result, len(probes))
	for _, last := range []bool{false, true} {
		for i, pr := range probes {
			if pr.changes != last {
				continue
			}
			r.Results[i] = Result{Number: i + 1, Name: pr.name}
			pr.run(ctx, p, &r.Results[i])
			if ctx.Err() != nil {
				return p.report, fmt.Errorf("probe %s: %w", t.URL, context.Cause(ctx))
			}
		}
	}
	r.Seconds = time.Since(began).Seconds()
	return p.report, nil
}

var artifactNames = map[engine.ArtifactKind]string{engine.ArtifactMemory: "memory", engine.ArtifactModelDir: "model directory",
	engine.ArtifactLoRADir: "adapter directory", engine.ArtifactSession: "session"}

var kindNames = map[engine.LogprobKind]string{engine.LogprobUnknown: "unknown", engine.LogprobRaw: "raw",
	engine.LogprobTempered: "tempered", engine.LogprobProcessed: "processed"}

var settings = map[string]engine.Params{
	"temperature 1":   {Temperature: 1, TopP: 1},
	"temperature 0.5": {Temperature: 0.5, TopP: 1},
	"top-k 20":        {Temperature: 1, TopP: 1, TopK: 20},
	"greedy":          {Temperature: 0, TopP: 1},
}

// prober is one run of the probes.
type prober struct {
	Target
	e      dialect.Engine
	policy engine.PolicyRef
	report Report
	asked  int
}

// request asks the policy for n samples of at most tokens.
func (p *prober) request(n, tokens int, change ...func(*engine.SampleRequest)) engine.SampleRequest {
	p.asked++
	r := engine.SampleRequest{ID: fmt.Sprintf("pith-probe-%d", p.asked), Policy: p.policy, Prompt: p.Prompt, N: n,
		Params: engine.Params{MaxTokens: tokens, Temperature: 1, TopP: 1, Seed: 20_000 + uint64(p.asked)}}
	for _, f := range change {
		f(&r)
	}
	return r
}

func greedy(r *engine.SampleRequest) { r.Params.Temperature = 0 }

// set writes a finding.
func (r *Result) set(s Status, format string, args ...any) {
	r.Status, r.Detail = s, fmt.Sprintf(format, args...)
}

// value notes a number.
func (r *Result) value(name string, v float64) {
	if r.Values == nil {
		r.Values = map[string]float64{}
	}
	r.Values[name] = v
}

// failed writes that a probe could not be made, and says whether err was one.
func (r *Result) failed(err error) bool {
	if err == nil {
		return false
	}
	if class, _ := engine.ClassOf(err); class == engine.Unsupported {
		r.set(NotAsked, "%v", err)
	} else {
		r.set(Fails, "%v", err)
	}
	return true
}
