package dialect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/faulty"
	"pith/rollout/engine/local"
	"pith/rollout/engine/serve/servetest"
	"pith/rollout/engine/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

// sampling is the route that each dialect samples through.
var sampling = map[string]string{dialect.VLLM: "/inference/v1/generate", dialect.SGLang: "/generate", dialect.LlamaCPP: "/completion"}

// open starts a server behind a proxy and connects an adapter through it.
func open(t *testing.T, name string, o wire.Options, options ...servetest.Option) (*servetest.Server, *faulty.Proxy, dialect.Engine) {
	t.Helper()
	s := servetest.Start(t, options...)
	p, err := faulty.New(s.URL, faulty.Nothing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	o.URL = p.URL()
	e, _, err := dialect.Open(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if _, err := e.Caps(t.Context()); err != nil { // connects
		t.Fatal(err)
	}
	return s, p, e
}

func request(s *servetest.Server, n, tokens int) engine.SampleRequest {
	return engine.SampleRequest{ID: "drill", Policy: s.Base, Prompt: servetest.Prompt, N: n,
		Params: engine.Params{MaxTokens: tokens, Temperature: 1, TopP: 1, Seed: 3}}
}

func TestEveryFaultHasItsClass(t *testing.T) {
	cases := map[string]struct {
		fault faulty.Fault
		want  engine.Class
	}{
		"status 500":      {faulty.Fault{Kind: faulty.Status, Status: 500}, engine.Transient},
		"status 502":      {faulty.Fault{Kind: faulty.Status, Status: 502}, engine.Transient},
		"status 503":      {faulty.Fault{Kind: faulty.Status, Status: 503, Header: http.Header{"Retry-After": {"2"}}}, engine.Busy},
		"status 429":      {faulty.Fault{Kind: faulty.Status, Status: 429}, engine.Busy},
		"status 401":      {faulty.Fault{Kind: faulty.Status, Status: 401}, engine.Fatal},
		"status 400":      {faulty.Fault{Kind: faulty.Status, Status: 400}, engine.User},
		"an empty 400":    {faulty.Fault{Kind: faulty.Empty400}, engine.Transient},
		"reset before":    {faulty.Fault{Kind: faulty.Refused}, engine.Transient},
		"reset midway":    {faulty.Fault{Kind: faulty.Reset}, engine.Transient},
		"a wrong length":  {faulty.Fault{Kind: faulty.Short}, engine.Transient},
		"cut JSON":        {faulty.Fault{Kind: faulty.Cut}, engine.Malformed},
		"a page of HTML":  {faulty.Fault{Kind: faulty.Garbage}, engine.Malformed},
		"NaN":             {faulty.Fault{Kind: faulty.NaN}, engine.Malformed},
		"null":            {faulty.Fault{Kind: faulty.Null}, engine.Malformed},
		"-Infinity":       {faulty.Fault{Kind: faulty.Infinite}, engine.Malformed},
		"above 0":         {faulty.Fault{Kind: faulty.Positive}, engine.Malformed},
		"one missing":     {faulty.Fault{Kind: faulty.Missing}, engine.Malformed},
		"one token twice": {faulty.Fault{Kind: faulty.ExtraToken}, engine.Malformed},
	}
	for name, route := range sampling {
		t.Run(name, func(t *testing.T) {
			s, p, e := open(t, name, wire.Options{Vocab: servetest.Vocab})
			for what, tc := range cases {
				before := e.Account()
				p.Set(faulty.Only(faulty.Always(tc.fault), route))
				res, err := e.Sample(t.Context(), request(s, 3, 20))
				p.Set(faulty.Nothing)
				if class, ok := engine.ClassOf(err); err == nil || !ok || class != tc.want {
					t.Errorf("%s: error is %v, want one of class %s", what, err, tc.want)
				}
				for i, q := range res.Seqs {
					if q.Finish != engine.FinishAborted || len(q.Tokens) > 0 {
						t.Errorf("%s: sample %d was kept: %+v", what, i, q)
					}
				}
				after := e.Account()
				if after.Asked-before.Asked != 3 || after.Failed[tc.want.String()]-before.Failed[tc.want.String()] != 3 {
					t.Errorf("%s: accounts %+v and %+v", what, before, after)
				}
				if e, ok := errors.AsType[*engine.Error](err); ok && what == "status 503" && e.Wait != 2*time.Second {
					t.Errorf("%s: wait is %v", what, e.Wait)
				}
			}
			if _, err := e.Sample(t.Context(), request(s, 2, 20)); err != nil {
				t.Errorf("after all of it: %v", err)
			}
		})
	}
}

func TestSlowBytesArriveWholeAndADeadlineEndsThem(t *testing.T) {
	for name, route := range sampling {
		t.Run(name, func(t *testing.T) {
			s, p, e := open(t, name, wire.Options{})
			want, err := e.Sample(t.Context(), request(s, 2, 20))
			if err != nil {
				t.Fatal(err)
			}
			p.Set(faulty.Only(faulty.Always(faulty.Fault{Kind: faulty.Slow, Piece: 40}), route))
			got, err := e.Sample(t.Context(), request(s, 2, 20))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Seqs, got.Seqs); diff != "" {
				t.Error(diff)
			}
			for what, f := range map[string]faulty.Fault{"slow": {Kind: faulty.Slow, Piece: 1, Pause: 50 * time.Millisecond}, "hanging": {Kind: faulty.Hang}} {
				p.Set(faulty.Only(faulty.Always(f), route))
				r := request(s, 2, 20)
				r.Timeout = 100 * time.Millisecond
				began := time.Now()
				_, err := e.Sample(t.Context(), r)
				if class, _ := engine.ClassOf(err); class != engine.Transient || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 4*time.Second {
					t.Errorf("%s: %v after %v", what, err, time.Since(began))
				}
			}
		})
	}
}

func TestAnAnswerToAnotherRequestIsRefused(t *testing.T) {
	for _, name := range []string{dialect.VLLM, dialect.SGLang} { // llama-server's answers name no request
		t.Run(name, func(t *testing.T) {
			s, p, e := open(t, name, wire.Options{})
			p.Set(faulty.Only(faulty.Always(faulty.Fault{Kind: faulty.Replayed}), sampling[name]))
			r := request(s, 1, 20)
			if _, err := e.Sample(t.Context(), r); err != nil {
				t.Fatal(err) // the first is its own
			}
			_, err := e.Sample(t.Context(), r)
			if class, _ := engine.ClassOf(err); err == nil || class != engine.Malformed {
				t.Errorf("error is %v, want class malformed", err)
			}
		})
	}
}

func TestAReplicaThatDiesAndReturnsIsUsedAgain(t *testing.T) {
	for name := range sampling {
		t.Run(name, func(t *testing.T) {
			s, p, e := open(t, name, wire.Options{})
			p.Down()
			_, err := e.Sample(t.Context(), request(s, 2, 20))
			if class, _ := engine.ClassOf(err); err == nil || class != engine.Transient {
				t.Errorf("dead: error is %v, want class transient", err)
			}
			if stats, err := e.Stats(t.Context()); err != nil || stats[0].Healthy {
				t.Errorf("dead: stats %+v, %v", stats, err)
			}
			if err := p.Up(); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Sample(t.Context(), request(s, 2, 20)); err != nil {
				t.Errorf("returned: %v", err)
			}
			if stats, err := e.Stats(t.Context()); err != nil || !stats[0].Healthy {
				t.Errorf("returned: stats %+v, %v", stats, err)
			}
		})
	}
}

// A publish that fails never leaves a policy that is half there: it is asked for in vain until it is
// published again.
func TestAPublishThatFailsHalfWayLeavesNothingServable(t *testing.T) {
	for name, route := range map[string]string{dialect.VLLM: "/v1/load_lora_adapter", dialect.SGLang: "/load_lora_adapter"} {
		for what, kind := range map[string]faulty.Kind{"refused": faulty.Status, "without an answer": faulty.Refused, "with the answer lost": faulty.Reset} {
			t.Run(name+" "+what, func(t *testing.T) {
				s, p, e := open(t, name, wire.Options{})
				pub := e.(engine.Publisher)
				p.Set(faulty.Only(faulty.Always(faulty.Fault{Kind: kind, Status: 500}), route))
				_, err := pub.Publish(t.Context(), s.First)
				if class, _ := engine.ClassOf(err); err == nil || class != engine.Transient {
					t.Fatalf("error is %v, want class transient", err)
				}
				p.Set(faulty.Nothing)
				r := request(s, 1, 20)
				r.Policy = s.First.Policy
				_, err = e.Sample(t.Context(), r)
				if class, _ := engine.ClassOf(err); err != nil && class != engine.PolicyGone {
					t.Errorf("sampled before it was published again: %v", err)
				}
				if ref, err := pub.Publish(t.Context(), s.First); err != nil || ref != s.First.Policy {
					t.Fatalf("published again: %v, %v", ref, err)
				}
				res, err := e.Sample(t.Context(), r)
				if err != nil || res.Seqs[0].Spans[0].Policy != s.First.Policy {
					t.Errorf("sampled: %+v, %v", res, err)
				}
			})
		}
	}
}

// In place, a reload that fails may have changed some of the weights: nothing is sampled until a
// publish succeeds, whoever asks.
func TestWeightsOfUnknownOriginAreNotSampled(t *testing.T) {
	s, p, _ := open(t, dialect.VLLM, wire.Options{})
	// Without adapters a model replaces the base weights.
	none := faulty.Always(faulty.Fault{Kind: faulty.Status, Status: http.StatusNotFound})
	plan := func(reload faulty.Plan) faulty.Plan {
		return func(n int64, r *http.Request) faulty.Fault {
			switch r.URL.Path {
			case "/v1/load_lora_adapter":
				return none(n, r)
			case "/collective_rpc":
				return reload(n, r)
			}
			return faulty.Fault{}
		}
	}
	p.Set(plan(faulty.Nothing))
	connect := func() dialect.Engine {
		e, _, err := dialect.Open(t.Context(), dialect.VLLM, wire.Options{URL: p.URL()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	one, two := connect(), connect()
	if _, err := one.(engine.Publisher).Publish(t.Context(), s.First); err != nil {
		t.Fatal(err)
	}
	ask := func(e dialect.Engine, p engine.PolicyRef) error {
		r := request(s, 1, 20)
		r.Policy = p
		res, err := e.Sample(t.Context(), r)
		if err == nil && res.Seqs[0].Spans[0].Policy != p {
			t.Errorf("asked for %v, got %v", p, res.Seqs[0].Spans)
		}
		return err
	}
	for i, e := range []dialect.Engine{one, two} {
		if err := ask(e, s.First.Policy); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
	}
	p.Set(plan(faulty.Always(faulty.Fault{Kind: faulty.Status, Status: 500})))
	if _, err := one.(engine.Publisher).Publish(t.Context(), s.Second); err == nil {
		t.Fatal("the reload failed and the publish did not")
	}
	p.Set(plan(faulty.Nothing))
	three := connect()
	for i, e := range []dialect.Engine{one, three} {
		for _, ref := range []engine.PolicyRef{s.First.Policy, s.Second.Policy} {
			if class, _ := engine.ClassOf(ask(e, ref)); class != engine.PolicyGone {
				t.Errorf("client %d samples %s from weights of unknown origin", i, ref.ID)
			}
		}
	}
	if _, err := three.(engine.Publisher).Publish(t.Context(), s.Second); err != nil {
		t.Fatal(err)
	}
	for i, e := range []dialect.Engine{one, two, three} {
		if err := ask(e, s.Second.Policy); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
}

// Everything at once: what the proxy did is what the client counted, and no sample is lost or doubled.
func TestEverySampleIsAccountedFor(t *testing.T) {
	calls, n := 60, 8
	if testing.Short() {
		calls = 20
	}
	for name, route := range sampling {
		t.Run(name, func(t *testing.T) {
			s, p, e := open(t, name, wire.Options{Vocab: servetest.Vocab}, servetest.Engine(local.Options{Slots: 32}))
			before := e.Account()
			began := p.Counts()
			p.Set(faulty.Only(faulty.Mixed(5, map[faulty.Kind]float64{faulty.Status: 0.05, faulty.Empty400: 0.05, faulty.Reset: 0.05, faulty.Refused: 0.05,
				faulty.Short: 0.05, faulty.Cut: 0.05, faulty.NaN: 0.05, faulty.Null: 0.05, faulty.Missing: 0.05, faulty.Garbage: 0.05, faulty.Slow: 0.05}), route))
			var mu sync.Mutex
			kept, lost := 0, 0
			gate := make(chan struct{}, 8)
			var wg sync.WaitGroup
			for i := range calls {
				gate <- struct{}{}
				wg.Go(func() {
					defer func() { <-gate }()
					r := request(s, n, 24)
					r.ID, r.Params.Seed = fmt.Sprint(i), uint64(i)
					if name != dialect.LlamaCPP { // there stop tokens need a stream, in which a cut answer is one that did not arrive
						r.Params.StopTokens = []int32{servetest.Stop}
					}
					res, _ := e.Sample(t.Context(), r)
					mu.Lock()
					defer mu.Unlock()
					if len(res.Seqs) != n {
						t.Errorf("call %d has %d sequences", i, len(res.Seqs))
					}
					for _, q := range res.Seqs {
						if q.Finish == engine.FinishAborted {
							lost++
						} else if err := wire.Check(r, q, servetest.Context, servetest.Vocab); err != nil {
							t.Error(err)
						} else {
							kept++
						}
					}
				})
			}
			wg.Wait()
			after, did := e.Account(), p.Counts()
			asked, answered := after.Asked-before.Asked, after.Answered-before.Answered
			failed := int64(0)
			for class, k := range after.Failed {
				failed += k - before.Failed[class]
			}
			if asked != int64(calls*n) || asked != answered+failed || int64(kept) != answered || int64(lost) != failed {
				t.Errorf("asked %d, answered %d (kept %d), failed %d (lost %d)", asked, answered, kept, failed, lost)
			}
			done := func(kinds ...faulty.Kind) (k int64) {
				for _, kind := range kinds {
					k += did[kind] - began[kind]
				}
				return k
			}
			for class, want := range map[engine.Class]int64{
				engine.Malformed: done(faulty.Cut, faulty.NaN, faulty.Null, faulty.Missing, faulty.Garbage),
				engine.Transient: done(faulty.Empty400, faulty.Reset, faulty.Refused, faulty.Short),
				engine.Busy:      done(faulty.Status),
			} {
				if got := after.Failed[class.String()] - before.Failed[class.String()]; got != want {
					t.Errorf("%d samples failed as %s, the proxy spoiled %d that way", got, class, want)
				}
			}
		})
	}
}
