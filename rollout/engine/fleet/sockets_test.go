package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/faulty"
	"pith/rollout/engine/fleet"
	"pith/rollout/engine/serve"
	"pith/rollout/engine/sim"
	"pith/rollout/engine/wire"
)

// The drill again, over sockets: three servers, each behind a proxy that spoils its answers, are
// sampled from through an adapter and a fleet while policies are published, one publish fails half
// way, and a server dies and returns without what was published to it.

// brief is the distribution of lengths of the socket drill: short, since every token is written and
// read twice.
var brief = sim.LogNormal{Median: 30, Sigma: 0.8}

const (
	briefLimit   = 120 // tokens; about 4 % are cut
	briefVocab   = 1000
	lengthy      = 2000 // bytes: of an answer of some 40 tokens, in a stream of fewer
	promptLength = 3
	inFlight     = 16 // on one server, at most
)

// host is a server of simulated answers behind a proxy. The address outlives the server.
type host struct {
	t       *testing.T
	root    string
	current atomic.Pointer[serve.Server]
	http    *httptest.Server
	proxy   *faulty.Proxy
	control sync.Map // *atomic.Int64 by kind: faults of the control plane
}

// streaming is the simulated engine as one that hands its tokens over one by one, whose
// log-probabilities are of whichever kind is asked for (they are made up all the same), and that
// takes what comes after the prompt of a drill for what a model takes it for: the beginning of the
// answer, which no protocol tells apart.
type streaming struct{ *sim.Engine }

func (s streaming) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	if n := len(r.Prompt); n > promptLength {
		r.Prompt, r.Prefix = r.Prompt[:promptLength], r.Prompt[promptLength:]
		r.Params.MaxTokens += n - promptLength
	}
	res, err := s.Engine.Sample(ctx, r)
	for i := range res.Seqs {
		if r.Kind != engine.LogprobUnknown {
			res.Seqs[i].Kind = r.Kind
		}
	}
	return res, err
}

func (s streaming) Stream(ctx context.Context, r engine.SampleRequest, emit func([]engine.Piece)) (engine.SampleResult, error) {
	res, err := s.Sample(ctx, r)
	for i, q := range res.Seqs {
		for k := range q.Tokens {
			emit([]engine.Piece{{Sample: i, Tokens: q.Tokens[k : k+1], Logprobs: q.Logprobs[k : k+1]}})
		}
	}
	return res, err
}

func newHost(t *testing.T, root string) *host {
	h := &host{t: t, root: root}
	h.boot()
	h.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.current.Load().ServeHTTP(w, r) }))
	t.Cleanup(h.http.Close)
	var err error
	if h.proxy, err = faulty.New(h.http.URL, faulty.Nothing); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.proxy.Close)
	return h
}

// boot starts a server that has nothing but its base.
func (h *host) boot() {
	e, err := sim.New(sim.Options{Vocab: briefVocab, Lengths: brief, Speed: sim.Speed{Step: 0.01}})
	if err != nil {
		h.t.Fatal(err)
	}
	base := engine.PolicyRef{ID: "base"}
	if _, err := e.Publish(h.t.Context(), engine.Artifact{Policy: base}); err != nil {
		h.t.Fatal(err)
	}
	s, err := serve.New(serve.Options{Sampler: streaming{e}, Publisher: e, Observer: e, Model: "base", Base: base, Roots: []string{h.root}, RetryAfter: time.Millisecond})
	if err != nil {
		h.t.Fatal(err)
	}
	h.current.Store(s)
	h.t.Cleanup(func() { _ = s.Close(); _ = e.Close() })
}

// spoil sets what goes wrong: on the route of samples what plan says, on that of publishing always
// the given fault.
func (h *host) spoil(sample string, plan faulty.Plan, publish string, fault faulty.Fault) {
	h.proxy.Set(func(n int64, r *http.Request) faulty.Fault {
		switch r.URL.Path {
		case sample:
			return plan(n, r)
		case publish:
			if fault.Kind != faulty.None {
				c, _ := h.control.LoadOrStore(fault.Kind, new(atomic.Int64))
				c.(*atomic.Int64).Add(1)
			}
			return fault
		}
		return faulty.Fault{}
	})
}

// did counts the samples that the proxy spoiled in any of these ways.
func (h *host) did(kinds ...faulty.Kind) (n int64) {
	counts := h.proxy.Counts()
	for _, k := range kinds {
		n += counts[k]
		if c, ok := h.control.Load(k); ok {
			n -= c.(*atomic.Int64).Load()
		}
	}
	return n
}

// socketDrill is one adapter under the drill.
type socketDrill struct {
	dialect         string
	sample, publish string // routes
	stream          bool
	requests        int
	naive           bool // no repeating: the caller draws anew, as a plain retry loop does
}

// rates are what goes wrong with samples. Resets hit long answers only, as crashes and time-outs do.
var rates = map[faulty.Kind]float64{
	faulty.Status: 0.03, faulty.Empty400: 0.03, faulty.Refused: 0.03, faulty.Short: 0.03, faulty.Reset: 0.4, faulty.Slow: 0.01,
	faulty.Cut: 0.01, faulty.Garbage: 0.01, faulty.NaN: 0.01, faulty.Null: 0.01, faulty.Missing: 0.01, faulty.ExtraToken: 0.01, faulty.Replayed: 0.01,
}

// plan is Mixed with resets that spare short answers.
func (d socketDrill) plan(seed uint64) faulty.Plan {
	mixed := faulty.Mixed(seed, rates)
	return func(n int64, r *http.Request) faulty.Fault {
		f := mixed(n, r)
		switch f.Kind {
		case faulty.Reset:
			f.Over = lengthy
		case faulty.Slow:
			f.Piece = 512
		}
		return f
	}
}

// drilledOver is what came of it.
type drilledOver struct {
	lengths      []int // by request; 0 = not kept
	broken       atomic.Int64
	account      fleet.Account
	wire         []wire.Account // of each client, since the drill began
	hosts        []*host
	calls        atomic.Int64
	resurrected  int64 // answers of the server that died, after its return
	halfPublish  error
	halfSampling error
	half         int64 // calls for the policy that was taken back, and those of them whose answers were broken
	halfBroken   int64
}

func (d socketDrill) run(t *testing.T) *drilledOver {
	t.Helper()
	root := t.TempDir()
	artifact := func(step int64) engine.Artifact {
		a := engine.Artifact{Policy: engine.PolicyRef{ID: fmt.Sprintf("policy-%06d", step), Step: step}, Kind: engine.ArtifactModelDir}
		a.Path = filepath.Join(root, a.Policy.ID)
		if err := os.MkdirAll(a.Path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(a.Path, "config.json"), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		return a
	}
	out := &drilledOver{lengths: make([]int, d.requests)}
	var rs []fleet.Replica
	var clients []dialect.Engine
	var before []wire.Account
	for i := range 3 {
		h := newHost(t, root)
		e, _, err := dialect.Open(t.Context(), d.dialect, wire.Options{URL: h.proxy.URL(), Vocab: briefVocab, Stream: d.stream, Name: fmt.Sprint("s", i), ControlTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Caps(t.Context()); err != nil {
			t.Fatal(err)
		}
		out.hosts, clients, before = append(out.hosts, h), append(clients, e), append(before, e.Account())
		rs = append(rs, fleet.Replica{Name: fmt.Sprint("s", i), Sampler: e, Publisher: e.(engine.Publisher), Observer: e})
	}
	o := fleet.Options{Attempts: 200, First: time.Millisecond, Longest: 20 * time.Millisecond, Poll: 20 * time.Millisecond,
		Breaker: fleet.BreakerOptions{Failures: 8, First: 5 * time.Millisecond, Longest: 50 * time.Millisecond}, Controller: fleet.ControllerOptions{Start: inFlight, Most: inFlight}}
	if d.naive {
		o.Attempts = 1
	}
	f, err := fleet.New(rs, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Caps(t.Context()); err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[engine.PolicyRef]
	publish := func(step int64) { // as a trainer does: again where the trouble may pass
		a := artifact(step)
		for try := 0; ; try++ {
			_, err := f.Publish(t.Context(), a)
			if err == nil {
				current.Store(&a.Policy)
				return
			}
			if class, _ := engine.ClassOf(err); class != engine.Transient || try > 100 {
				t.Errorf("publish %s: %v", a.Policy.ID, err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	publish(1)
	for i, h := range out.hosts {
		h.spoil(d.sample, d.plan(uint64(i+1)), d.publish, faulty.Fault{})
	}
	// What happens on the way, at eighths of the requests.
	events := map[int]func(){
		1: func() { // one server refuses: nobody keeps it
			out.hosts[1].spoil(d.sample, d.plan(2), d.publish, faulty.Fault{Kind: faulty.Status, Status: http.StatusBadRequest})
			for try := range int64(100) { // a server that is out of service just now is not asked
				a := artifact(100 + try)
				if _, out.halfPublish = f.Publish(t.Context(), a); out.halfPublish != nil {
					out.halfSampling = d.refused(t.Context(), f, a.Policy, out)
					break
				}
				if err := f.Retire(t.Context(), a.Policy); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			out.hosts[1].spoil(d.sample, d.plan(2), d.publish, faulty.Fault{})
		},
		2: func() { // one server's answers to the publish are lost: it catches up
			out.hosts[2].spoil(d.sample, d.plan(3), d.publish, faulty.Fault{Kind: faulty.Refused})
			publish(3)
			out.hosts[2].spoil(d.sample, d.plan(3), d.publish, faulty.Fault{})
		},
		4: func() { // one dies
			out.hosts[0].proxy.Down()
			out.hosts[0].boot()
		},
		5: func() { publish(4) }, // which it misses
		6: func() { // and it returns, with nothing but its base
			out.resurrected = clients[0].Account().Answered
			if err := out.hosts[0].proxy.Up(); err != nil {
				t.Error(err)
			}
		},
	}
	happened := map[int]chan struct{}{}
	for at := range events {
		happened[at] = make(chan struct{})
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < d.requests; i = int(next.Add(1)) - 1 {
				at := i * 8 / d.requests
				for before, done := range happened { // one thing after the other
					if before < at {
						<-done
					}
				}
				if event := events[at]; event != nil && at != (i-1)*8/d.requests {
					if !d.naive {
						event()
					}
					close(happened[at])
				}
				n, err := d.ask(t.Context(), f, i, &current, &out.calls)
				switch class, _ := engine.ClassOf(err); {
				case err == nil:
					out.lengths[i] = n
				case class == engine.Malformed:
					out.broken.Add(1)
				default:
					t.Errorf("request %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	out.resurrected = clients[0].Account().Answered - out.resurrected
	out.account = f.Account()
	for i, e := range clients {
		a := e.Account()
		a.Asked, a.Answered, a.Aborted = a.Asked-before[i].Asked, a.Answered-before[i].Answered, a.Aborted-before[i].Aborted
		for class, n := range before[i].Failed {
			a.Failed[class] -= n
		}
		out.wire = append(out.wire, a)
	}
	return out
}

func (d socketDrill) request(i int, p engine.PolicyRef) engine.SampleRequest {
	return engine.SampleRequest{ID: fmt.Sprint("d", i), Policy: p, Prompt: []int32{5, int32(i % 997), 7}, N: 1,
		Params: engine.Params{MaxTokens: briefLimit, Temperature: 1, TopP: 1, Seed: uint64(i), StopTokens: []int32{drillStop}}}
}

// refused asks for a policy that no server should have, until the answer is none of the proxy's making.
func (d socketDrill) refused(ctx context.Context, f *fleet.Fleet, p engine.PolicyRef, out *drilledOver) error {
	for {
		out.half++
		r := d.request(0, p)
		r.ID = fmt.Sprint("half", out.half)
		_, err := f.Sample(ctx, r)
		if class, _ := engine.ClassOf(err); class != engine.Malformed || out.half > 100 {
			return err
		}
		out.halfBroken++
	}
}

// ask makes one request. Only a naive caller asks again.
func (d socketDrill) ask(ctx context.Context, f *fleet.Fleet, i int, current *atomic.Pointer[engine.PolicyRef], calls *atomic.Int64) (int, error) {
	for try := 0; ; try++ {
		r := d.request(i, *current.Load())
		if d.naive {
			r.Params.Seed += uint64(try) << 32
		}
		calls.Add(1)
		res, err := f.Sample(ctx, r)
		if class, _ := engine.ClassOf(err); err != nil && d.naive && class != engine.Malformed && try < 1000 {
			continue
		}
		if err != nil {
			return 0, err
		}
		q := res.Seqs[0]
		if err := wire.Check(r, q, 0, briefVocab); err != nil {
			return 0, err
		}
		if slices.ContainsFunc(q.Spans, func(s engine.Span) bool { return s.Policy != r.Policy }) {
			return 0, fmt.Errorf("asked %s, got %v", r.Policy.ID, q.Spans)
		}
		return len(q.Tokens), nil
	}
}

// briefly are the lengths that each seed gives without a server, a socket or a fault.
func (d socketDrill) briefly(t *testing.T) []int {
	e, err := sim.New(sim.Options{Vocab: briefVocab, Lengths: brief})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	p := engine.PolicyRef{ID: "p"}
	if _, err := e.Publish(t.Context(), engine.Artifact{Policy: p}); err != nil {
		t.Fatal(err)
	}
	out := make([]int, d.requests)
	for i := range out {
		res, err := e.Sample(t.Context(), d.request(i, p))
		if err != nil {
			t.Fatal(err)
		}
		out[i] = len(res.Seqs[0].Tokens)
	}
	return out
}

// socketSize keeps enough requests for a server that returns to be used again.
func socketSize(full int) int {
	few := full
	if testing.Short() {
		few /= 5
	}
	return max(few/raced, min(full, 150))
}

func TestDrillOverSocketsEveryRequestIsAccountedFor(t *testing.T) {
	t.Parallel() // what takes long is waiting
	for name, d := range map[string]socketDrill{
		"vllm":          {dialect: dialect.VLLM, sample: "/inference/v1/generate", publish: "/v1/load_lora_adapter"},
		"vllm, streams": {dialect: dialect.VLLM, sample: "/inference/v1/generate", publish: "/v1/load_lora_adapter", stream: true},
		"sglang":        {dialect: dialect.SGLang, sample: "/generate", publish: "/load_lora_adapter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.requests = socketSize(600)
			out := d.run(t)
			d.check(t, out)
		})
	}
}

// check holds the three accounts against each other, and what was kept against what was asked for.
func (d socketDrill) check(t *testing.T, out *drilledOver) {
	t.Helper()
	a, want := out.account, d.briefly(t)
	var kept []int
	for i, n := range out.lengths {
		if n == 0 {
			continue
		}
		kept = append(kept, n)
		if n != want[i] {
			t.Errorf("request %d has %d tokens, its seed gives %d", i, n, want[i])
		}
	}
	n, broken := int64(len(kept)), out.broken.Load()
	if a.Open() != 0 || n+broken != int64(d.requests) || a.Calls != out.calls.Load()+out.half || a.Answered != n ||
		a.Broken != broken+out.halfBroken || a.Failed != out.half-out.halfBroken || a.Lost+a.Cancelled != 0 {
		t.Errorf("of %d requests %d were kept and %d broken; the fleet's account: %+v", d.requests, n, broken, a)
	}
	var answered, malformed, passing int64
	for i, w := range out.wire {
		failed := int64(0)
		for _, k := range w.Failed {
			failed += k
		}
		if w.Asked != w.Answered+w.Aborted+failed {
			t.Errorf("client %d: %+v does not add up", i, w)
		}
		answered += w.Answered
		malformed += w.Failed[engine.Malformed.String()]
		passing += w.Failed[engine.Transient.String()] + w.Failed[engine.Busy.String()] + w.Aborted
		spoiled, broke := out.hosts[i].did(d.malformed()...), out.hosts[i].did(d.transient()...)
		busy := out.hosts[i].did(faulty.Status)
		slack := int64(0)
		if i == 0 {
			slack = inFlight // the proxy had counted these when it broke their connections
		}
		if got := w.Failed[engine.Malformed.String()]; got > spoiled || got < spoiled-slack {
			t.Errorf("client %d saw %d malformed answers, its proxy made %d", i, got, spoiled)
		}
		if got := w.Failed[engine.Busy.String()]; got > busy || got < busy-slack {
			t.Errorf("client %d was told to wait %d times, its proxy said so %d times", i, got, busy)
		}
		if got := w.Failed[engine.Transient.String()]; i > 0 && got != broke || got < broke-slack {
			t.Errorf("client %d saw %d broken answers, its proxy broke %d", i, got, broke)
		}
	}
	if answered+a.Completed != a.Answered || malformed != a.Broken {
		t.Errorf("clients have %d answers and %d malformed ones, the fleet %d (%d of broken attempts) and %d", answered, malformed, a.Answered, a.Completed, a.Broken)
	}
	// An attempt may fail before it asks for a sample: the server that died is asked for its policies.
	if mended := a.Repeated + a.Continued + a.Completed; passing > mended || mended-passing > 4*inFlight {
		t.Errorf("%d passing failures, after which %d attempts went on", passing, mended)
	}
	if d.stream != (a.Continued > 0) {
		t.Errorf("%d attempts were continued", a.Continued)
	}
	if out.halfPublish == nil {
		t.Error("a server refused a policy, and the publish succeeded")
	}
	if class, _ := engine.ClassOf(out.halfSampling); out.halfSampling == nil || class != engine.PolicyGone {
		t.Errorf("a policy that one server refused is sampled from: %v", out.halfSampling)
	}
	if out.resurrected == 0 {
		t.Error("the server that died was not used after its return")
	}
	gap := distance(kept, want)
	if gap > critical(len(kept)) {
		t.Errorf("lengths differ by %.4f from what was asked for, allowed are %.4f", gap, critical(len(kept)))
	}
	t.Logf("%d requests: %d kept, %d broken, %d repeated, %d continued, %d completed; %d passing failures seen by clients; distance %.4f of %.4f allowed; mean %.1f, asked %.1f",
		d.requests, n, broken, a.Repeated, a.Continued, a.Completed, passing, gap, critical(len(kept)), mean(kept), mean(want))
}

// malformed are the faults after which an answer is there and wrong. A stream that is cut, or that is
// none, is an answer that did not arrive.
func (d socketDrill) malformed() []faulty.Kind {
	out := []faulty.Kind{faulty.NaN, faulty.Null, faulty.Missing, faulty.ExtraToken, faulty.Replayed}
	if !d.stream {
		out = append(out, faulty.Cut, faulty.Garbage)
	}
	return out
}

func (d socketDrill) transient() []faulty.Kind {
	out := []faulty.Kind{faulty.Empty400, faulty.Refused, faulty.Short, faulty.Reset}
	if d.stream {
		out = append(out, faulty.Cut, faulty.Garbage)
	}
	return out
}

// The power of the test: the same faults under a caller that draws anew.
func TestDrillOverSocketsSeesARetryThatDrawsAnew(t *testing.T) {
	t.Parallel()
	d := socketDrill{dialect: dialect.VLLM, sample: "/inference/v1/generate", publish: "/v1/load_lora_adapter", requests: socketSize(600), naive: true}
	if d.requests < 600 {
		t.Skip("too few requests to see it")
	}
	out := d.run(t)
	var kept []int
	for _, n := range out.lengths {
		if n > 0 {
			kept = append(kept, n)
		}
	}
	gap := distance(kept, d.briefly(t))
	if gap <= critical(len(kept)) {
		t.Errorf("distance %.4f, %.4f is allowed: the test cannot tell a biased policy from an honest one", gap, critical(len(kept)))
	}
	t.Logf("distance %.4f of %.4f allowed; mean %.1f, asked %.1f", gap, critical(len(kept)), mean(kept), mean(d.briefly(t)))
}
