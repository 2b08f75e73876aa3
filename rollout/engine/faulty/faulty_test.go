package faulty_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pith/rollout/engine/faulty"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Answers in the dialects that the proxy knows; %d is a number that tells them apart.
var answers = map[string]string{
	"/inference/v1/generate": `{"request_id":"r%d","choices":[{"index":0,"token_ids":[7,8,9],"logprobs":{"content":[{"token_id":7,"logprob":-0.5,"top_logprobs":[]},{"token_id":8,"logprob":-0.25,"top_logprobs":[]},{"token_id":9,"logprob":-1e-3,"top_logprobs":[]}]}}]}`,
	"/v1/completions":        `{"id":"r%d","choices":[{"token_ids":[7,8,9],"logprobs":{"tokens":["a","b","c"],"token_logprobs":[-0.5, -0.25, -1e-3]}}]}`,
	"/generate":              `{"text":"r%d","output_ids":[7,8,9],"meta_info":{"output_token_logprobs":[[-0.5,7,null],[-0.25,8,null],[-1e-3,9,null]]}}`,
	"/completion":            `{"content":"r%d","tokens":[7,8,9],"completion_probabilities":[{"id":7,"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[]},{"id":8,"token":"b","bytes":[98],"logprob":-0.25,"top_logprobs":[]}]}`,
}

func upstream(t *testing.T) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, answers[r.URL.Path], n.Add(1))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func start(t *testing.T, plan faulty.Plan) *faulty.Proxy {
	t.Helper()
	p, err := faulty.New(upstream(t), plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// ask returns the body, or the error's text.
func ask(t *testing.T, c *http.Client, url string) (int, string, error) {
	t.Helper()
	resp, err := c.Post(url, "application/json", strings.NewReader(`{"prompt":[1]}`))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 5 * time.Second}
}

func TestLogProbabilitiesAndTokensAreSpoiledInEveryDialect(t *testing.T) {
	for path := range answers {
		for kind, mark := range map[faulty.Kind]string{faulty.NaN: "NaN", faulty.Null: "null", faulty.Positive: "0.5", faulty.Infinite: "-Infinity", faulty.ExtraToken: "[7,7,8,9]"} {
			p := start(t, faulty.Always(faulty.Fault{Kind: kind}))
			_, got, err := ask(t, client(t), p.URL()+path)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Contains(got, mark) && (kind == faulty.ExtraToken || !strings.Contains(got, "-0.5"))
			if !changed || p.Counts()[kind] != 1 {
				t.Errorf("%s, %s: %s; counts %v", path, kind, got, p.Counts())
			}
		}
		p := start(t, faulty.Always(faulty.Fault{Kind: faulty.Missing}))
		_, got, err := ask(t, client(t), p.URL()+path)
		if err != nil || strings.Contains(got, "-0.5") || !strings.Contains(got, "-0.25") || !json.Valid([]byte(got)) {
			t.Errorf("%s: a missing log-probability gives %s, %v", path, got, err)
		}
	}
}

func TestTransportFaultsAreSeenByAClient(t *testing.T) {
	const path = "/generate"
	for kind, want := range map[faulty.Kind]string{faulty.Refused: "error", faulty.Reset: "error", faulty.Short: "error",
		faulty.Cut: "invalid", faulty.Garbage: "invalid", faulty.Slow: "valid", faulty.None: "valid", faulty.Status: "503", faulty.Empty400: "400"} {
		p := start(t, faulty.Always(faulty.Fault{Kind: kind}))
		status, body, err := ask(t, client(t), p.URL()+path)
		got := "valid"
		switch {
		case err != nil:
			got = "error"
		case status != http.StatusOK:
			got = fmt.Sprint(status)
		case !json.Valid([]byte(body)):
			got = "invalid"
		}
		if got != want || p.Counts()[kind] != 1 {
			t.Errorf("%s: %s (%q, %v), want %s; counts %v", kind, got, body, err, want, p.Counts())
		}
	}
	p := start(t, faulty.Always(faulty.Fault{Kind: faulty.Hang}))
	c := client(t)
	c.Timeout = 100 * time.Millisecond
	if _, _, err := ask(t, c, p.URL()+path); err == nil {
		t.Error("a server that hangs answered")
	}
}

func TestAnEarlierAnswerIsReplayed(t *testing.T) {
	p := start(t, faulty.Always(faulty.Fault{Kind: faulty.Replayed}))
	c := client(t)
	var got []string
	for range 3 {
		_, body, err := ask(t, c, p.URL()+"/completion")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body[12:14])
	}
	if diff := cmp.Diff([]string{"r1", "r1", "r2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAReplicaDiesAndReturnsAtItsAddress(t *testing.T) {
	p := start(t, faulty.Nothing)
	c := client(t)
	url := p.URL() + "/generate"
	for round := range 3 {
		if _, _, err := ask(t, c, url); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		p.Down()
		if _, _, err := ask(t, c, url); err == nil {
			t.Fatal("a dead replica answers")
		}
		if err := p.Up(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMixedPlanIsRepeatableAndKeepsItsRates(t *testing.T) {
	rates := map[faulty.Kind]float64{faulty.Reset: 0.1, faulty.NaN: 0.05, faulty.Status: 0.2}
	a, b := faulty.Mixed(3, rates), faulty.Mixed(3, rates)
	counts := map[faulty.Kind]int{}
	const n = 20_000
	for i := range int64(n) {
		f := a(i, nil)
		if f.Kind != b(i, nil).Kind {
			t.Fatalf("request %d has two fates", i)
		}
		counts[f.Kind]++
	}
	for k, p := range rates {
		if got := float64(counts[k]) / n; got < p*0.9 || got > p*1.1 {
			t.Errorf("%s happens to %.3f of the requests, want %.3f", k, got, p)
		}
	}
}
