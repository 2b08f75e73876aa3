package wire

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pith/rollout/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventsAreReadAsTheSpecificationSays(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want []string
		err  error
	}{
		"two events":               {in: "data: a\n\ndata: b\n\n", want: []string{"a", "b"}},
		"carriage returns":         {in: "data: a\r\n\r\ndata: b\r\n\r\n", want: []string{"a", "b"}},
		"lines of one event":       {in: "data: a\ndata: b\n\n", want: []string{"a\nb"}},
		"comments, names and ids":  {in: ": ping\n\nevent: x\nid: 7\ndata: a\n\nretry: 3\n\n", want: []string{"a"}},
		"no space after the colon": {in: "data:a\n\n", want: []string{"a"}},
		"one space is taken off":   {in: "data:  a\n\n", want: []string{" a"}},
		"empty data":               {in: "data\n\n", want: []string{""}},
		"a cut line":               {in: "data: a\n\ndata: b", want: []string{"a"}, err: io.ErrUnexpectedEOF},
		"a cut event":              {in: "data: a\n\ndata: b\n", want: []string{"a"}, err: io.ErrUnexpectedEOF},
		"nothing":                  {in: "", want: nil},
		"too long":                 {in: "data: " + strings.Repeat("x", 40_000) + "\n\n", err: errTooLong},
		"too long in many lines":   {in: strings.Repeat("data: xxxxxxxxxxxxxxx\n", 2000) + "\n", err: errTooLong},
		"a long one":               {in: "data: " + strings.Repeat("x", 19_000) + "\n\n", want: []string{strings.Repeat("x", 19_000)}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := Events(strings.NewReader(tc.in), 20_000, func(d []byte) error {
				got = append(got, string(d))
				return nil
			})
			if diff := cmp.Diff(tc.want, got); diff != "" || !errors.Is(err, tc.err) {
				t.Errorf("%s; error %v, want %v", diff, err, tc.err)
			}
		})
	}
}

func FuzzEventsNeverHang(f *testing.F) {
	f.Add("data: a\n\n")
	f.Add(": x\ndata")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		_ = Events(strings.NewReader(text), 1000, func(d []byte) error {
			n += len(d)
			return nil
		})
		if n > len(text) {
			t.Errorf("%d bytes of data in a stream of %d", n, len(text))
		}
	})
}

func TestAStatusHasAClass(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   engine.Class
		wait   time.Duration
		says   string
	}{
		"vLLM, a bad parameter":    {status: 400, body: `{"error":{"message":"top_p must be in (0, 1]","type":"BadRequestError","code":400}}`, want: engine.User, says: "top_p must be in (0, 1]"},
		"vLLM, an unknown model":   {status: 404, body: `{"error":{"message":"The model ` + "`x`" + ` does not exist.","type":"NotFoundError","code":404}}`, want: engine.PolicyGone, says: "does not exist"},
		"vLLM, no adapter":         {status: 404, body: `{"error":{"message":"The lora adapter 'x' cannot be found."}}`, want: engine.PolicyGone, says: "cannot be found"},
		"FastAPI, no such route":   {status: 404, body: `{"detail":"Not Found"}`, want: engine.Unsupported, says: "Not Found"},
		"llama-server, no route":   {status: 404, body: `{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}`, want: engine.Unsupported, says: "File Not Found"},
		"pith, no route":           {status: 404, body: `{"error":{"message":"no such endpoint: POST /v1/load_lora_adapter"}}`, want: engine.Unsupported, says: "no such endpoint"},
		"FastAPI, validation":      {status: 422, body: `{"detail":[{"loc":["body"],"msg":"field required"}]}`, want: engine.User, says: "field required"},
		"a proxy's empty 400":      {status: 400, want: engine.Transient, says: "without a reason"},
		"SGLang, failed to load":   {status: 400, body: `{"success":false,"error_message":"bad rank"}`, want: engine.User, says: "bad rank"},
		"a dead engine":            {status: 500, body: `{"error":{"message":"EngineCore encountered an issue."}}`, want: engine.Transient, says: "EngineCore"},
		"a control call's failure": {status: 500, body: `{"error":"Failed to pause generation"}`, want: engine.Transient, says: "Failed to pause"},
		"too many requests":        {status: 429, header: http.Header{"Retry-After": {"7"}}, body: "slow down", want: engine.Busy, wait: 7 * time.Second, says: "slow down"},
		"loading":                  {status: 503, body: `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`, want: engine.Busy, wait: time.Second, says: "Loading model"},
		"an absurd wait":           {status: 429, header: http.Header{"Retry-After": {"86400"}}, want: engine.Busy, wait: time.Minute},
		"a wrong key":              {status: 401, body: `{"error":"Unauthorized"}`, want: engine.Fatal, says: "Unauthorized"},
		"not implemented":          {status: 501, body: `{"error":{"message":"no"}}`, want: engine.Unsupported},
		"wrong method":             {status: 405, body: `{"detail":"Method Not Allowed"}`, want: engine.Unsupported},
		"gone":                     {status: 410, want: engine.PolicyGone},
		"a redirect":               {status: 302, want: engine.User},
		"a gateway's page":         {status: 502, body: "<html>Bad\nGateway</html>", want: engine.Transient, says: "<html>Bad Gateway</html>"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := NewClient(Options{URL: "http://x"})
			if err != nil {
				t.Fatal(err)
			}
			e := c.refusal("op", tc.status, tc.header, []byte(tc.body))
			if e.Class != tc.want || e.Wait != tc.wait || !strings.Contains(e.Msg, tc.says) || e.Status != tc.status {
				t.Errorf("%+v, want class %s, wait %v and %q", e, tc.want, tc.wait, tc.says)
			}
		})
	}
}

func good() (engine.SampleRequest, engine.Sequence) {
	r := engine.SampleRequest{Prompt: []int32{1}, N: 1, Params: engine.Params{MaxTokens: 3, Temperature: 1, TopP: 1, StopTokens: []int32{2}}}
	return r, engine.Sequence{Tokens: []int32{5, 6, 2}, Logprobs: []float32{-1, -2, -3}, Kind: engine.LogprobRaw, Finish: engine.FinishStop, Spans: []engine.Span{{End: 3}}}
}

func TestASequenceWithAFaultIsRefused(t *testing.T) {
	if r, q := good(); Check(r, q, 10, 40) != nil {
		t.Fatal(Check(r, q, 10, 40))
	}
	for name, change := range map[string]func(*engine.SampleRequest, *engine.Sequence){
		"a log-probability is missing": func(_ *engine.SampleRequest, q *engine.Sequence) { q.Logprobs = q.Logprobs[:2] },
		"a token is missing":           func(_ *engine.SampleRequest, q *engine.Sequence) { q.Tokens = q.Tokens[:2] },
		"NaN":                          func(_ *engine.SampleRequest, q *engine.Sequence) { q.Logprobs[0] = float32(math.NaN()) },
		"minus infinity":               func(_ *engine.SampleRequest, q *engine.Sequence) { q.Logprobs[0] = float32(math.Inf(-1)) },
		"positive":                     func(_ *engine.SampleRequest, q *engine.Sequence) { q.Logprobs[0] = 0.01 },
		"vLLM's floor":                 func(_ *engine.SampleRequest, q *engine.Sequence) { q.Logprobs[0] = -9999 },
		"outside the vocabulary":       func(_ *engine.SampleRequest, q *engine.Sequence) { q.Tokens[0] = 40 },
		"negative":                     func(_ *engine.SampleRequest, q *engine.Sequence) { q.Tokens[0] = -1 },
		"a stop token in the middle":   func(_ *engine.SampleRequest, q *engine.Sequence) { q.Tokens[0] = 2 },
		"stopped without a stop token": func(_ *engine.SampleRequest, q *engine.Sequence) { q.Tokens[2] = 7 },
		"length with a stop token":     func(_ *engine.SampleRequest, q *engine.Sequence) { q.Finish = engine.FinishLength },
		"length too early": func(r *engine.SampleRequest, q *engine.Sequence) {
			r.Params.MaxTokens, q.Finish, q.Tokens[2] = 5, engine.FinishLength, 7
		},
		"more than asked":                    func(r *engine.SampleRequest, _ *engine.Sequence) { r.Params.MaxTokens = 2 },
		"more than the context":              func(r *engine.SampleRequest, _ *engine.Sequence) { r.Prompt = make([]int32, 8) },
		"stopped too early":                  func(r *engine.SampleRequest, _ *engine.Sequence) { r.Params.MinTokens = 3 },
		"a gap between versions":             func(_ *engine.SampleRequest, q *engine.Sequence) { q.Spans[0].Start = 1 },
		"versions that end early":            func(_ *engine.SampleRequest, q *engine.Sequence) { q.Spans[0].End = 2 },
		"nothing, but a length is the cause": func(_ *engine.SampleRequest, q *engine.Sequence) { *q = engine.Sequence{Finish: engine.FinishLength} },
		"log-probabilities of 0 throughout": func(r *engine.SampleRequest, q *engine.Sequence) {
			n := 20
			r.Params.MaxTokens = n
			r.Params.StopTokens = nil
			*q = engine.Sequence{Tokens: make([]int32, n), Logprobs: make([]float32, n), Kind: engine.LogprobRaw, Finish: engine.FinishLength, Spans: []engine.Span{{End: n}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, q := good()
			change(&r, &q)
			if Check(r, q, 10, 40) == nil && name != "log-probabilities of 0 throughout" {
				t.Errorf("%+v passes", q)
			}
			if name == "log-probabilities of 0 throughout" && Check(r, q, 0, 40) == nil {
				t.Errorf("%+v passes", q)
			}
		})
	}
}

func TestSeedsTellSamplesAndCutsApart(t *testing.T) {
	seen := map[int64]string{}
	for seed := range uint64(20) {
		for first := range 20 {
			for cut := range 20 {
				r := engine.SampleRequest{Prompt: make([]int32, 5), Prefix: make([]int32, cut), First: first, Params: engine.Params{Seed: seed}}
				s := Seed(r, 3)
				if s < 0 || seen[s] != "" {
					t.Fatalf("seed %d of (%d, %d, %d) is that of %s", s, seed, first, cut, seen[s])
				}
				seen[s] = "another"
				r.First = 0
				if Seed(r, 3+first) != s {
					t.Fatal("the index of the first sample does not shift the group")
				}
			}
		}
	}
}

// server answers every request with a handler.
func server(t *testing.T, h http.HandlerFunc, o Options) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.URL = s.URL
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func class(err error) string {
	if err == nil {
		return "none"
	}
	c, ok := engine.ClassOf(err)
	if !ok {
		return "not an engine's: " + err.Error()
	}
	return c.String()
}

func TestBoundsOfAClientHold(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<12)); err != nil {
				return
			}
		}
	}
	c := server(t, endless, Options{MaxAnswer: 1 << 16, MaxBody: 100})
	if err := c.Do(t.Context(), Request{Op: "op", Path: "/"}, nil); class(err) != "malformed" {
		t.Errorf("an endless answer: %v", err)
	}
	if err := c.Stream(t.Context(), Request{Op: "op", Path: "/"}, func([]byte) error { return nil }); class(err) != "malformed" {
		t.Errorf("an endless line: %v", err)
	}
	if err := c.Do(t.Context(), Request{Op: "op", Path: "/", Body: make([]byte, 101)}, nil); class(err) != "user" {
		t.Errorf("a request over the limit: %v", err)
	}
	hang := server(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Options{})
	if err := hang.Do(t.Context(), Request{Op: "op", Path: "/", Limit: 30 * time.Millisecond}, nil); class(err) != "transient" {
		t.Errorf("a server that hangs: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := hang.Do(ctx, Request{Op: "op", Path: "/"}, nil); class(err) != "transient" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a deadline: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- hang.Do(t.Context(), Request{Op: "op", Path: "/"}, nil) }()
	time.Sleep(20 * time.Millisecond)
	_ = hang.Close()
	if err := <-done; class(err) != "fatal" {
		t.Errorf("closed under a call: %v", err)
	}
	if err := hang.Do(t.Context(), Request{Op: "op", Path: "/"}, nil); class(err) != "fatal" {
		t.Errorf("after close: %v", err)
	}
}

func TestNoMoreRequestsAreInFlightThanAllowed(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	c := server(t, func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}, Options{MaxInFlight: 2})
	done := make(chan error, 5)
	for range 5 {
		go func() { done <- c.Do(t.Context(), Request{Op: "op", Path: "/"}, nil) }()
	}
	<-entered
	<-entered
	select {
	case <-entered:
		t.Error("a third request is in flight")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	for range 5 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestKeysGoWhereTheyBelongAndRedirectsAreNotFollowed(t *testing.T) {
	var got []string
	c := server(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path+" "+r.Header.Get("Authorization"))
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	}, Options{APIKey: "data", AdminKey: "admin"})
	_ = c.Do(t.Context(), Request{Op: "op", Path: "/a"}, nil)
	_ = c.Do(t.Context(), Request{Op: "op", Path: "/b", Admin: true}, nil)
	if err := c.Do(t.Context(), Request{Op: "op", Path: "/away"}, nil); class(err) != "user" {
		t.Errorf("a redirect: %v", err)
	}
	if diff := cmp.Diff([]string{"/a Bearer data", "/b Bearer admin", "/away Bearer data"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsAreSummedOverLabels(t *testing.T) {
	m := ParseMetrics([]byte("# HELP x\nvllm:running{engine=\"0\",m=\"a b}\"} 3\nvllm:running{engine=\"1\"} 4.5 1700000000\nplain 1e3\nbad\nnan NaN\n{x} 1\n"))
	if diff := cmp.Diff(map[string]float64{"vllm:running": 7.5, "plain": 1000}, m.Sum); diff != "" {
		t.Error(diff)
	}
	if m.Most["vllm:running"] != 4.5 {
		t.Error(m.Most)
	}
}

func TestALabelNamesIDAndStep(t *testing.T) {
	for _, p := range []engine.PolicyRef{{ID: "policy-000012", Step: 12}, {ID: "a:b", Step: 3}, {ID: "x"}} {
		if got := RefOf(LabelOf(p)); got != p {
			t.Errorf("%v is read back as %v", p, got)
		}
	}
	if got := RefOf("by hand"); got != (engine.PolicyRef{ID: "by hand"}) {
		t.Error(got)
	}
}
