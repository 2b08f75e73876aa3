package serve_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pith/rollout/engine/serve"
)

// save writes another policy where the server may load it.
func (f *fixture) save(name string, seed uint64, context int) string {
	f.t.Helper()
	c := small
	c.MaxContext = context
	dir := filepath.Join(f.root, name)
	if err := weights(seed, c).Save(dir); err != nil {
		f.t.Fatal(err)
	}
	return dir
}

type spanned struct {
	Version    string
	Start, End int
}

// long asks for many tokens in the background.
func (f *fixture) long(id string, tokens int) <-chan struct {
	Tokens []int32
	Finish string
	Spans  []spanned
} {
	out := make(chan struct {
		Tokens []int32
		Finish string
		Spans  []spanned
	}, 1)
	go func() {
		defer close(out)
		var got struct {
			Choices []struct {
				TokenIDs []int32   `json:"token_ids"`
				Finish   string    `json:"finish_reason"`
				Spans    []spanned `json:"weight_versions"`
			}
		}
		f.post("/inference/v1/generate", object{"token_ids": []int{1, 2, 3}, "request_id": id,
			"sampling_params": object{"max_tokens": tokens, "ignore_eos": true, "seed": 9}}, &got)
		c := got.Choices[0]
		out <- struct {
			Tokens []int32
			Finish string
			Spans  []spanned
		}{c.TokenIDs, c.Finish, c.Spans}
	}()
	return out
}

func TestAFrozenRequestGoesOnWithTheNextWeightsAndSaysSo(t *testing.T) {
	for _, tc := range []struct {
		name                                string
		pause, load, label, resume, payload string
	}{
		{"vLLM", "/pause?mode=keep", "/update_weights", `{"weight_dir":%q}`, "/resume", ""},
		{"SGLang", "/pause_generation", "/update_weights_from_disk", `{"model_path":%q,"weight_version":"v2"}`, "/continue_generation", `{"mode":"retract"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const tokens = 2400 / raced
			f := start(t, 4096)
			dir := f.save("second", 2, 4096)
			answer := f.long("r", tokens)
			f.until("it runs", func(running, _ int) bool { return running == 1 })
			f.drawnSome(20)
			f.must("POST", tc.pause, tc.payload)
			f.until("nothing runs", func(running, waiting int) bool { return running+waiting == 0 })
			f.must("POST", tc.load, fmt.Sprintf(tc.label, dir))
			f.must("POST", "/update_weight_version", `{"new_version":"v2"}`)
			f.must("POST", tc.resume, "{}")
			got := <-answer
			if len(got.Tokens) != tokens || got.Finish != "length" {
				t.Fatalf("%d tokens, finish %q", len(got.Tokens), got.Finish)
			}
			if len(got.Spans) != 2 {
				t.Skipf("the request ended before the pause: %v", got.Spans)
			}
			cut := got.Spans[0].End
			want := []spanned{{"default", 0, cut}, {"v2", cut, tokens}}
			if diff := cmp.Diff(want, got.Spans); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
			// The second part is what the second policy draws after the first.
			rest := f.asVLLMGenerate(slices.Concat([]int32{1, 2, 3}, got.Tokens[:cut]), object{"max_tokens": tokens - cut, "ignore_eos": true, "seed": 9})
			if !slices.Equal(rest[0].Tokens, got.Tokens[cut:]) {
				t.Error("the tokens after the pause are not the second policy's")
			}
		})
	}
}

// drawnSome waits until the engine has drawn that many tokens.
func (f *fixture) drawnSome(tokens int64) {
	f.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		st, err := f.engine.Stats(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if st[0].OutputTokens >= tokens {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%d tokens were drawn, waited for %d", st[0].OutputTokens, tokens)
		}
	}
}

// must makes a control call that has to succeed.
func (f *fixture) must(method, path, body string) string {
	f.t.Helper()
	status, got := f.send(f.t.Context(), method, path, body)
	if status != http.StatusOK {
		f.t.Fatalf("%s %s: status %d: %s", method, path, status, got)
	}
	return string(got)
}

func TestAPauseThatAbortsReturnsWhatThereIs(t *testing.T) {
	f := start(t, 200_000)
	answer := f.long("r", 190_000)
	f.until("it runs", func(running, _ int) bool { return running == 1 })
	f.must("POST", "/pause", "")
	got := <-answer
	if got.Finish != "abort" || len(got.Tokens) == 190_000 {
		t.Errorf("%d tokens, finish %q", len(got.Tokens), got.Finish)
	}
	if s := f.must("GET", "/is_paused", ""); s != `{"is_paused":true}` {
		t.Error(s)
	}
	held := f.long("held", 5)
	select {
	case <-held:
		t.Fatal("a request ran during the pause")
	case <-time.After(30 * time.Millisecond):
	}
	f.must("POST", "/resume", "")
	if got := <-held; got.Finish != "length" || len(got.Tokens) != 5 {
		t.Errorf("after the pause: %+v", got)
	}
}

func TestAPauseThatWaitsLetsRequestsFinish(t *testing.T) {
	f := start(t, 4096)
	answer := f.long("r", 500)
	f.until("it runs", func(running, _ int) bool { return running == 1 })
	f.must("POST", "/pause?mode=wait", "")
	f.until("nothing runs", func(running, waiting int) bool { return running+waiting == 0 })
	if got := <-answer; got.Finish != "length" || len(got.Tokens) != 500 {
		t.Errorf("%d tokens, finish %q", len(got.Tokens), got.Finish)
	}
}

func TestOneRequestCanBeAborted(t *testing.T) {
	f := start(t, 200_000)
	first, second := f.long("first", 190_000), f.long("second", 2000/raced)
	f.until("both run", func(running, _ int) bool { return running == 2 })
	if s := f.must("POST", "/inference/v1/abort_requests", `{"request_ids":["generate-tokens-first"]}`); s != `{"aborted":1,"status":"aborted"}` {
		t.Error(s)
	}
	if got := <-first; got.Finish != "abort" {
		t.Errorf("finish %q, want abort", got.Finish)
	}
	if got := <-second; got.Finish != "length" || len(got.Tokens) != 2000/raced {
		t.Errorf("the other: %d tokens, finish %q", len(got.Tokens), got.Finish)
	}
}

func TestSGLangsAbortReturnsPartialTokensWithTheirLogProbabilities(t *testing.T) {
	f := start(t, 200_000)
	type answer struct {
		OutputIDs []int32 `json:"output_ids"`
		Meta      struct {
			Finish   struct{ Type, Message string } `json:"finish_reason"`
			Logprobs [][]*float64                   `json:"output_token_logprobs"`
		} `json:"meta_info"`
	}
	done := make(chan answer, 1)
	go func() {
		var got answer
		f.post("/generate", object{"input_ids": []int{1}, "rid": "r17", "return_logprob": true,
			"sampling_params": object{"max_new_tokens": 190_000, "ignore_eos": true}}, &got)
		done <- got
	}()
	f.until("it runs", func(running, _ int) bool { return running == 1 })
	f.drawnSome(20)
	f.must("POST", "/abort_request", `{"rid":"r17"}`)
	got := <-done
	if got.Meta.Finish.Type != "abort" || len(got.OutputIDs) == 0 || len(got.OutputIDs) != len(got.Meta.Logprobs) {
		t.Errorf("finish %+v, %d tokens, %d log-probabilities", got.Meta.Finish, len(got.OutputIDs), len(got.Meta.Logprobs))
	}
}

func TestDrainingFinishesWhatRunsAndRefusesTheRest(t *testing.T) {
	f := start(t, 4096)
	answer := f.long("r", 1500/raced)
	f.until("it runs", func(running, _ int) bool { return running == 1 })
	drained := make(chan error, 1)
	go func() { drained <- f.server.Drain(t.Context()) }()
	refused := func() bool {
		status, _ := f.send(t.Context(), "GET", "/health", "")
		return status == http.StatusServiceUnavailable
	}
	for !refused() {
		time.Sleep(time.Millisecond)
	}
	if status, body := f.send(t.Context(), "POST", "/v1/completions", `{"prompt":[1]}`); status != http.StatusServiceUnavailable {
		t.Errorf("a new request: status %d: %s", status, body)
	}
	if got := <-answer; got.Finish != "length" || len(got.Tokens) != 1500/raced {
		t.Errorf("%d tokens, finish %q", len(got.Tokens), got.Finish)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestClosingEndsWhatRuns(t *testing.T) {
	f := start(t, 200_000)
	status := make(chan int, 1)
	go func() {
		s, _ := f.send(t.Context(), "POST", "/v1/completions", `{"prompt":[1],"max_tokens":190000,"ignore_eos":true}`)
		status <- s
	}()
	f.until("it runs", func(running, _ int) bool { return running == 1 })
	if err := f.server.Close(); err != nil {
		t.Error(err)
	}
	if s := <-status; s != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", s)
	}
	f.until("nothing runs", func(running, waiting int) bool { return running+waiting == 0 })
}

func TestDrainingEndsWhatAPauseHoldsBack(t *testing.T) {
	f := start(t, 0)
	f.must("POST", "/pause", "")
	status := make(chan int, 1)
	go func() {
		s, _ := f.send(t.Context(), "POST", "/v1/completions", `{"prompt":[1]}`)
		status <- s
	}()
	for !strings.Contains(f.must("GET", "/metrics", ""), "vllm:num_requests_waiting{model_name=\"small\"} 1\n") {
		time.Sleep(time.Millisecond)
	}
	if err := f.server.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if s := <-status; s != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", s)
	}
}

func TestServeStopsGracefully(t *testing.T) {
	f := start(t, 4096)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l, err := f.server.Listen(ctx, serve.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.server.Serve(ctx, l, serve.ListenOptions{}) }()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Post("http://"+l.Addr().String()+"/v1/completions", "application/json", strings.NewReader(fmt.Sprintf(`{"prompt":[1],"max_tokens":%d,"ignore_eos":true}`, 1500/raced))) //nolint:noctx // the server's end is under test
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		answer <- res.Status
	}()
	f.until("it runs", func(running, _ int) bool { return running == 1 })
	stop()
	if got := <-answer; got != "200 OK" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAServerWithoutAKeyStaysOnThisMachine(t *testing.T) {
	f := start(t, 0)
	if _, err := f.server.Listen(t.Context(), serve.ListenOptions{Host: "0.0.0.0"}); err == nil || !strings.Contains(err.Error(), "API key") {
		t.Errorf("error is %v", err)
	}
	for _, o := range []serve.ListenOptions{{Host: "0.0.0.0", AllowOpen: true}, {Host: "localhost"}, {}} {
		l, err := f.server.Listen(t.Context(), o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		l.Close()
	}
}
