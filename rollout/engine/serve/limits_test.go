package serve_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pith/rollout/engine/serve"
)

func TestErrorsHaveTheShapeOfTheirDialect(t *testing.T) {
	f := start(t, 0)
	for _, tc := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"vLLM, an unknown model", "/v1/completions", `{"model":"nobody","prompt":[1]}`, 404,
			"{\"error\":{\"message\":\"The model `nobody` does not exist; there are: small\",\"type\":\"NotFoundError\",\"param\":null,\"code\":404}}"},
		{"vLLM, over the context", "/v1/completions", `{"prompt":[1,2],"max_tokens":95}`, 400,
			`{"error":{"message":"This model's maximum context length is 96 tokens. However, you requested 97 tokens (2 in the prompt, 95 in the completion). Please reduce the length of the prompt or the completion.","type":"BadRequestError","param":"max_tokens","code":400}}`},
		{"vLLM, a parameter that is not there", "/v1/completions", `{"prompt":[1],"presence_penalty":0.5}`, 400,
			`{"error":{"message":"presence_penalty is not supported by this server; leave it out","type":"BadRequestError","param":"presence_penalty","code":400}}`},
		{"vLLM, a token outside the vocabulary", "/inference/v1/generate", `{"token_ids":[40],"sampling_params":{"max_tokens":1}}`, 400, ""},
		{"vLLM, a wrong type", "/v1/completions", `{"prompt":[1],"max_tokens":"many"}`, 400,
			`{"error":{"message":"field \"max_tokens\": got a string, want int","type":"BadRequestError","param":"max_tokens","code":400}}`},
		{"vLLM, a prompt that is none", "/v1/completions", `{"prompt":{"a":1}}`, 400, ""},
		{"vLLM, no prompt", "/v1/completions", `{}`, 400, ""},
		{"vLLM, more alternatives than are kept", "/v1/completions", `{"prompt":[1],"logprobs":5}`, 400, ""},
		{"vLLM, no tokens", "/v1/completions", `{"prompt":[1],"max_tokens":0}`, 400, ""},
		{"vLLM, no temperature", "/v1/completions", `{"prompt":[1],"temperature":-1}`, 400, ""},
		{"vLLM, too many samples", "/v1/completions", `{"prompt":[1],"n":100000}`, 400, ""},
		{"vLLM, a chat without a template", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`, 400, ""},
		{"vLLM, no JSON", "/v1/completions", `prompt=1`, 400, ""},
		{"vLLM, no body", "/v1/completions", ``, 400, ""},
		{"vLLM's control", "/pause?mode=sideways", ``, 400, `{"error":"mode is \"sideways\", want abort, wait or keep"}`},
		{"SGLang, an unknown parameter", "/generate", `{"input_ids":[1],"sampling_params":{"max_tokens":5}}`, 400,
			`{"error":{"message":"sampling_params: json: unknown field \"max_tokens\""}}`},
		{"SGLang, both kinds of prompt", "/generate", `{"input_ids":[1],"text":"w3"}`, 400, `{"error":{"message":"give either text or input_ids"}}`},
		{"SGLang, over the context", "/generate", `{"input_ids":[1],"sampling_params":{"max_new_tokens":96}}`, 400, ""},
		{"SGLang, an unknown adapter", "/generate", `{"input_ids":[1],"lora_path":"x","sampling_params":{"max_new_tokens":1}}`, 404, ""},
		{"SGLang's control", "/update_weights_from_disk", `{}`, 400, `{"success":false,"message":"model_path is required","error_message":"model_path is required"}`},
		{"llama-server", "/completion", `{"prompt":[1],"grammar":"root ::= x"}`, 400,
			`{"error":{"code":400,"message":"grammar is not supported by this server; leave it out","type":"invalid_request_error"}}`},
		{"llama-server, over the context", "/completion", `{"prompt":"` + strings.Repeat("w3 ", 96) + `"}`, 400, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, got := f.send(t.Context(), "POST", tc.path, tc.body)
			if status != tc.status {
				t.Errorf("status %d, want %d: %s", status, tc.status, got)
			}
			if tc.want != "" {
				if diff := cmp.Diff(tc.want, string(got)); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestUnknownFieldsAreIgnoredWhereTheRealServersIgnoreThem(t *testing.T) {
	f := start(t, 0)
	for path, body := range map[string]string{
		"/v1/completions":        `{"prompt":[1],"max_tokens":2,"session_id":"s","cache_salt":"12","priority":0,"nobody_knows":true,"user":"u"}`,
		"/inference/v1/generate": `{"token_ids":[1],"cache_salt":"12","sampling_params":{"max_tokens":2,"detokenize":false},"nobody_knows":1}`,
		"/generate":              `{"input_ids":[1],"sampling_params":{"max_new_tokens":2},"nobody_knows":1}`,
		"/completion":            `{"prompt":[1],"n_predict":2,"cache_prompt":true,"id_slot":-1}`,
	} {
		f.must("POST", path, body)
	}
}

func TestTheKeyIsAsked(t *testing.T) {
	f := start(t, 0, func(o *serve.Options) { o.APIKey = "sesame" })
	for _, tc := range []struct {
		name, path, header string
		status             int
	}{
		{"none", "/v1/models", "", 401},
		{"wrong", "/v1/models", "Bearer open", 401},
		{"not a bearer", "/v1/models", "sesame", 401},
		{"a beginning", "/v1/models", "Bearer sesam", 401},
		{"right", "/v1/models", "Bearer sesame", 200},
		{"control calls too", "/is_paused", "", 401},
		{"health is open", "/health", "", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.http.URL+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.header != "" {
				req.Header.Set("Authorization", tc.header)
			}
			res, err := f.http.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tc.status {
				t.Errorf("status %d, want %d", res.StatusCode, tc.status)
			}
		})
	}
}

func TestAFullServerPushesBack(t *testing.T) {
	f := start(t, 200_000, func(o *serve.Options) { o.MaxSequences, o.MaxRequests, o.RetryAfter = 4, 3, 3*time.Second })
	long := `{"prompt":[1],"max_tokens":190000,"ignore_eos":true,"n":2}`
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { f.send(t.Context(), "POST", "/v1/completions", long) })
	}
	f.until("the room is taken", func(running, waiting int) bool { return running+waiting == 4 })
	ask := func() (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.http.URL+"/v1/completions", strings.NewReader(`{"prompt":[1]}`))
		if err != nil {
			t.Fatal(err)
		}
		res, err := f.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header.Get("Retry-After")
	}
	if status, wait := ask(); status != http.StatusTooManyRequests || wait != "3" {
		t.Errorf("more sequences: status %d, retry after %q", status, wait)
	}
	if status, body := f.send(t.Context(), "POST", "/v1/completions", `{"prompt":[1],"n":5}`); status != http.StatusBadRequest {
		t.Errorf("more than could ever fit: status %d: %s", status, body)
	}
	f.must("POST", "/pause", "") // aborts
	all.Wait()
	// Requests that a pause holds back are in flight, too; control calls get through nevertheless.
	refused := make(chan struct{}, 4)
	for range 4 {
		all.Go(func() {
			if status, _ := f.send(t.Context(), "POST", "/v1/completions", `{"prompt":[1]}`); status == http.StatusServiceUnavailable {
				refused <- struct{}{}
			}
		})
	}
	<-refused
	f.must("GET", "/health", "")
	f.must("POST", "/resume", "")
	all.Wait()
	if len(refused) != 0 {
		t.Error("more than one of four was refused, three may be in flight")
	}
}

func TestBodiesAreBounded(t *testing.T) {
	f := start(t, 0, func(o *serve.Options) { o.MaxBody, o.MaxBodies = 1000, 1500 })
	if status, body := f.send(t.Context(), "POST", "/v1/completions", `{"prompt":"`+strings.Repeat("w", 1000)+`"}`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d: %s", status, body)
	}
	// Without a length, the body is cut where it passes the limit.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.http.URL+"/v1/completions", io.MultiReader(strings.NewReader(`{"prompt":"`), strings.NewReader(strings.Repeat("w", 2000))))
	if err != nil {
		t.Fatal(err)
	}
	res, err := f.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("without a length: status %d", res.StatusCode)
	}
	// One sender that never ends takes its share of the memory and no more than that.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	big := `{"prompt":[1],"max_tokens":1` + strings.Repeat(" ", 700) + `}`
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if status, _ := f.send(t.Context(), "POST", "/v1/completions", big); status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the bodies together are not bounded")
		}
	}
	f.must("POST", "/v1/completions", `{"prompt":[1],"max_tokens":1}`)
	conn.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if status, _ := f.send(t.Context(), "POST", "/v1/completions", big); status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the memory was never given back")
		}
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func TestEveryRequestHasAnIDAndALine(t *testing.T) {
	var log lockedBuffer
	f := start(t, 0, func(o *serve.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.http.URL+"/v1/completions", strings.NewReader(`{"prompt":[1],"max_tokens":2}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Request-Id", "mine-17")
	res, err := f.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.Header.Get("X-Request-Id") != "mine-17" || !bytes.Contains(body, []byte(`"id":"cmpl-mine-17"`)) {
		t.Errorf("%v, header %q, body %s", err, res.Header.Get("X-Request-Id"), body)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // it is written after the answer
		if l := log.String(); strings.Contains(l, "id=mine-17 method=POST path=/v1/completions status=200") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("log: %s", log.String())
		}
	}
}
