package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/serve"
)

// instant is a sampler that has every token ready, so that what is measured is the way to it.
type instant struct {
	tokens   []int32
	logprobs []float32
	chunk    int           // tokens of a piece when streaming
	gate     chan struct{} // where set, an answer waits for it
	waiting  atomic.Int64
}

func newInstant(n int) *instant {
	s := &instant{chunk: 8}
	r := rand.New(rand.NewPCG(1, 2))
	for range n {
		s.tokens = append(s.tokens, r.Int32N(150_000))
		s.logprobs = append(s.logprobs, -float32(r.ExpFloat64()))
	}
	return s
}

func (s *instant) Caps(context.Context) (engine.SamplerCaps, error) {
	return engine.SamplerCaps{Exact: true, MaxContext: 1 << 20, PromptLogprobs: true}, nil
}

func (s *instant) Sample(_ context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	if s.gate != nil {
		s.waiting.Add(1)
		<-s.gate
	}
	n := min(r.Params.MaxTokens, len(s.tokens))
	q := engine.Sequence{Tokens: s.tokens[:n], Logprobs: s.logprobs[:n], Kind: r.Kind, Finish: engine.FinishLength}
	out := engine.SampleResult{Seqs: make([]engine.Sequence, r.N), PromptTokens: len(r.Prompt)}
	for i := range out.Seqs {
		out.Seqs[i] = q
	}
	return out, nil
}

func (s *instant) Stream(ctx context.Context, r engine.SampleRequest, emit func([]engine.Piece)) (engine.SampleResult, error) {
	for at := 0; at < min(r.Params.MaxTokens, len(s.tokens)); at += s.chunk {
		to := min(at+s.chunk, r.Params.MaxTokens, len(s.tokens))
		emit([]engine.Piece{{Tokens: s.tokens[at:to], Logprobs: s.logprobs[at:to]}})
	}
	return s.Sample(ctx, r)
}

func (s *instant) Score(context.Context, engine.PolicyRef, [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, engine.LogprobUnknown, &engine.Error{Class: engine.Unsupported, Op: "score", Msg: "not here"}
}

func (s *instant) Close() error { return nil }

// questions are the bodies of requests for 512 tokens after a prompt of 128.
func questions(b testing.TB) []struct{ name, path, body string } {
	prompt := make([]int32, 128)
	for i := range prompt {
		prompt[i] = int32(i * 977 % 150_000)
	}
	text := func(v object) string {
		t, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		return string(t)
	}
	return []struct{ name, path, body string }{
		{"vLLM generate", "/inference/v1/generate", text(object{"token_ids": prompt, "sampling_params": object{"max_tokens": 512, "logprobs": 0, "seed": 1, "ignore_eos": true}})},
		{"vLLM completions", "/v1/completions", text(object{"prompt": prompt, "max_tokens": 512, "logprobs": 0, "return_token_ids": true, "return_tokens_as_token_ids": true, "seed": 1})},
		{"vLLM completions, streaming", "/v1/completions", text(object{"prompt": prompt, "max_tokens": 512, "logprobs": 0, "return_token_ids": true, "return_tokens_as_token_ids": true, "seed": 1, "stream": true})},
		{"SGLang generate", "/generate", text(object{"input_ids": prompt, "return_logprob": true, "sampling_params": object{"max_new_tokens": 512, "sampling_seed": 1}})},
		{"llama-server", "/completion", text(object{"prompt": prompt, "n_predict": 512, "n_probs": 1, "return_tokens": true, "seed": 1})},
	}
}

func serveInstant(b testing.TB, s *instant, change ...func(*serve.Options)) *serve.Server {
	b.Helper()
	o := serve.Options{Sampler: s, Model: "m", Base: engine.PolicyRef{ID: "base"}}
	for _, f := range change {
		f(&o)
	}
	server, err := serve.New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Close() })
	return server
}

// sink is a response nobody reads.
type sink struct {
	h     http.Header
	bytes int
}

func (s *sink) Header() http.Header { return s.h }
func (s *sink) WriteHeader(int)     {}
func (s *sink) Flush()              {}
func (s *sink) Write(p []byte) (int, error) {
	s.bytes += len(p)
	return len(p), nil
}

// BenchmarkHandler is the server's own part: body in, body out, no socket.
func BenchmarkHandler(b *testing.B) {
	server := serveInstant(b, newInstant(512))
	for _, q := range questions(b) {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				w := &sink{h: http.Header{}}
				r := httptest.NewRequestWithContext(b.Context(), "POST", q.path, bytes.NewReader([]byte(q.body)))
				server.ServeHTTP(w, r)
				size = w.bytes
			}
			b.ReportMetric(float64(size), "bytes/answer")
		})
	}
}

// BenchmarkRequest is a request over a kept connection on the loopback device; the client does no
// more than read the answer's bytes, and its share of the processor time is part of the figure.
func BenchmarkRequest(b *testing.B) {
	server := httptest.NewServer(serveInstant(b, newInstant(512)))
	defer server.Close()
	for _, q := range questions(b) {
		b.Run(q.name, func(b *testing.B) {
			conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReaderSize(conn, 64<<10)
			request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", q.path, len(q.body), q.body)
			before := processorTime()
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
					b.Fatal(res.Status, err)
				}
				res.Body.Close()
			}
			b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-µs/request")
		})
	}
}

func TestTwoThousandRequestsWaitInBoundedMemory(t *testing.T) {
	const requests, perRequest = 2000 / raced, 96 << 10
	s := newInstant(512)
	s.gate = make(chan struct{})
	server := httptest.NewServer(serveInstant(t, s))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: requests}}
	defer client.CloseIdleConnections()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	q := questions(t)[0]
	before := heap()
	var all sync.WaitGroup
	var failed atomic.Int64
	for range requests {
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+q.path, bytes.NewReader([]byte(q.body)))
			if err != nil {
				failed.Add(1)
				return
			}
			res, err := client.Do(req)
			if err != nil {
				failed.Add(1)
				return
			}
			defer res.Body.Close()
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
				failed.Add(1)
			}
		})
	}
	for s.waiting.Load()+failed.Load() < requests {
		time.Sleep(time.Millisecond)
	}
	if got := (heap() - before) / requests; got > perRequest && raced == 1 {
		t.Errorf("a waiting request takes %d bytes, client and server together, allowed are %d", got, perRequest)
	} else {
		t.Logf("a waiting request takes %d bytes, client and server together", got)
	}
	close(s.gate)
	all.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, requests)
	}
}
