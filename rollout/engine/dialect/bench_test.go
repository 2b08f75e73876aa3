package dialect_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/wire"
)

const benchTokens = 512

// canned answers every sampling request at once with 512 tokens, under the request's own id, so that
// nothing but the client's side costs. It runs in a process of its own, so that its processor time
// is not the client's.
func canned(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	id := r.Header.Get("X-Request-Id")
	switch r.URL.Path {
	case "/v1/models":
		_, _ = io.WriteString(w, `{"data":[{"id":"base","owned_by":"vllm","max_model_len":4096}]}`)
		return
	case "/model_info":
		_, _ = io.WriteString(w, `{"model_path":"m","weight_version":"default"}`)
		return
	case "/props":
		_, _ = io.WriteString(w, `{"default_generation_settings":{"n_ctx":4096},"model_alias":"base"}`)
		return
	case "/slow": // tells that it is up
		return
	}
	n := benchTokens
	for _, one := range []string{`"max_tokens":1,`, `"max_new_tokens":1,`, `"n_predict":1,`} {
		if strings.Contains(string(body), one) {
			n = 1
		}
	}
	if d := r.Header.Get("User-Agent"); d == "" {
		return
	}
	time.Sleep(benchDelay)
	text := answers(r.URL.Path, id, n)
	if text == "" {
		http.Error(w, `{"detail":"Not Found"}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = io.WriteString(w, text)
}

var benchDelay time.Duration

var (
	cannedMu   sync.Mutex
	cannedText = map[string]string{}
)

// answers is an answer as the real servers write it: in full, with what this client does not need.
func answers(path, id string, n int) string {
	cannedMu.Lock()
	defer cannedMu.Unlock()
	key := fmt.Sprint(path, n)
	text, ok := cannedText[key]
	if !ok {
		var ids, probs []string
		for i := range n {
			t, l := 1000+i*37%30000, fmt.Sprintf("-%d.%015d", i%9, 123456789012345-int64(i)*987654321)
			ids = append(ids, fmt.Sprint(t))
			switch path {
			case "/inference/v1/generate":
				probs = append(probs, fmt.Sprintf(`{"token_id":%d,"logprob":%s,"rank":%d,"top_logprobs":[{"token_id":%d,"logprob":%s,"rank":%d}]}`, t, l, i%5+1, t, l, i%5+1))
			case "/generate":
				probs = append(probs, fmt.Sprintf(`[%s,%d,null]`, l, t))
			case "/completion":
				probs = append(probs, fmt.Sprintf(`{"id":%d,"token":" tok","bytes":[32,116,111,107],"logprob":%s,"top_logprobs":[{"id":%d,"token":" tok","bytes":[32,116,111,107],"logprob":%s}]}`, t, l, t, l))
			}
		}
		all, each := strings.Join(ids, ","), strings.Join(probs, ",")
		switch path {
		case "/inference/v1/generate":
			text = `{"request_id":"generate-tokens-@ID","model":"base","created":1,"usage":{"prompt_tokens":@P,"completion_tokens":512},"prompt_logprobs":null,"choices":[{"index":0,"finish_reason":"length","token_ids":[` + all + `],"logprobs":{"content":[` + each + `]},"weight_versions":[{"version":"default","start":0,"end":@N}]}]}`
		case "/generate":
			text = `{"text":"","output_ids":[` + all + `],"meta_info":{"id":"@ID","finish_reason":{"type":"length","length":512},"prompt_tokens":@P,"weight_version":"default","output_token_logprobs":[` + each + `]}}`
		case "/completion":
			text = `{"tokens":[` + all + `],"completion_probabilities":[` + each + `],"stop_type":"limit","tokens_predicted":@N,"tokens_evaluated":@P}`
		default:
			return ""
		}
		cannedText[key] = text
	}
	p := "128"
	if n == 1 {
		p = "1"
	}
	return strings.NewReplacer("@ID", id, "@P", p, "@N", fmt.Sprint(n)).Replace(text)
}

const cannedVariable = "PITH_CANNED_DELAY"

// TestCannedServer is the server's process.
func TestCannedServer(t *testing.T) {
	text, ok := os.LookupEnv(cannedVariable)
	if !ok {
		t.Skip("run by the benchmarks")
	}
	var err error
	if benchDelay, err = time.ParseDuration(text); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("http://%s\n", l.Addr())
	s := &http.Server{Handler: http.HandlerFunc(canned)}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		_ = s.Close()
	}()
	_ = s.Serve(l)
}

// serveCanned starts the server's process.
func serveCanned(b testing.TB, delay time.Duration) string {
	b.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestCannedServer$")
	c.Env = append(os.Environ(), cannedVariable+"="+delay.String())
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return strings.TrimSpace(line)
}

// processor is the time that this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchRequest(i int) engine.SampleRequest {
	prompt := make([]int32, 128)
	for k := range prompt {
		prompt[k] = int32(1000 + k*k%30000)
	}
	return engine.SampleRequest{ID: fmt.Sprint("bench-", i), Policy: engine.PolicyRef{ID: "base"}, Prompt: prompt, N: 1,
		Params: engine.Params{MaxTokens: benchTokens, Temperature: 1, TopP: 1, Seed: uint64(i)}}
}

// BenchmarkRequest measures what one request costs on the client's side: writing it, HTTP over a
// kept connection, reading 512 tokens with log-probabilities, checking them; 64 at a time, as a worker
// sends them.
func BenchmarkRequest(b *testing.B) {
	for name := range sampling {
		b.Run(name, func(b *testing.B) {
			e, _, err := dialect.Open(b.Context(), name, wire.Options{URL: serveCanned(b, 0), Model: "base", MaxContext: 4096})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			if _, err := e.Sample(b.Context(), benchRequest(0)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			began := processor()
			var next atomic.Int64
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := e.Sample(b.Context(), benchRequest(int(next.Add(1)))); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((processor()-began).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkBareHTTP is what net/http alone costs for the same bytes: a request, and reading the answer
// into nothing.
func BenchmarkBareHTTP(b *testing.B) {
	for name, route := range sampling {
		b.Run(name, func(b *testing.B) {
			url := serveCanned(b, 0) + route
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
			defer client.CloseIdleConnections()
			body := strings.Repeat("1000,", 128)
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			began := processor()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					resp, err := client.Post(url, "application/json", strings.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
			b.ReportMetric(float64((processor()-began).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// manyInFlight keeps n requests in flight at once and returns the most memory that it took, in bytes.
func manyInFlight(ctx context.Context, e dialect.Engine, n, rounds int) (uint64, error) {
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse+now.StackInuse)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	errs := make(chan error, n)
	for i := range n {
		go func() {
			var err error
			for k := range rounds {
				if _, err = e.Sample(ctx, benchRequest(i*rounds+k)); err != nil {
					break
				}
			}
			errs <- err
		}()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	close(stop)
	<-watched
	return most - min(most, before.HeapInuse+before.StackInuse), first
}

func TestTwoThousandRequestsInFlightTakeBoundedMemory(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 300
	}
	e, _, err := dialect.Open(t.Context(), dialect.VLLM, wire.Options{URL: serveCanned(t, 500*time.Millisecond), Model: "base", MaxContext: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Sample(t.Context(), benchRequest(0)); err != nil {
		t.Fatal(err)
	}
	most, err := manyInFlight(t.Context(), e, n, 1)
	if err != nil {
		t.Fatal(err)
	}
	if each := most / uint64(n); each > 256<<10 {
		t.Errorf("%d requests in flight took %d MiB, %d KiB each", n, most>>20, each>>10)
	}
	t.Logf("%d requests in flight: %d MiB at most, %d KiB each", n, most>>20, most/uint64(n)>>10)
	if a := e.Account(); a.Answered != a.Asked {
		t.Errorf("%+v", a)
	}
}
