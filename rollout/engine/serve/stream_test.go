package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sse asks for a stream and returns its events, without the last [DONE], whether there was one.
func (f *fixture) sse(ctx context.Context, path string, body any) (events []json.RawMessage, done bool) {
	f.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.http.URL+path, strings.NewReader(string(text)))
	if err != nil {
		f.t.Fatal(err)
	}
	res, err := f.http.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		f.t.Fatalf("content type %q, status %d", kind, res.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case !ok:
		case data == "[DONE]":
			done = true
		default:
			events = append(events, json.RawMessage(data))
		}
	}
	return events, done
}

func into[T any](t testing.TB, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

// story is a continuation with its text.
type story struct {
	Text  string
	Drawn drawn
}

func TestAStreamTellsWhatTheWholeAnswerTells(t *testing.T) {
	f := start(t, 2048)
	prompt := []int32{1, 7, 9}
	sampling := func() object {
		return object{"temperature": 1, "max_tokens": 600 / raced, "seed": 5, "ignore_eos": true}
	}

	t.Run("vLLM completions", func(t *testing.T) {
		type choice struct {
			Index    int
			Text     string
			Finish   *string `json:"finish_reason"`
			TokenIDs []int32 `json:"token_ids"`
			Logprobs *struct {
				TokenLogprobs []float64 `json:"token_logprobs"`
			}
		}
		body := sampling()
		body["prompt"], body["logprobs"], body["return_token_ids"], body["n"] = prompt, 1, true, 3
		gather := func(choices []choice, into []story) {
			for _, c := range choices {
				q := &into[c.Index]
				q.Text += c.Text
				q.Drawn.Tokens = append(q.Drawn.Tokens, c.TokenIDs...)
				if c.Logprobs != nil {
					for _, l := range c.Logprobs.TokenLogprobs {
						q.Drawn.Logprobs = append(q.Drawn.Logprobs, float32(l))
					}
				}
				if c.Finish != nil {
					q.Drawn.Finish = *c.Finish
				}
			}
		}
		var whole struct{ Choices []choice }
		f.post("/v1/completions", body, &whole)
		want, got := make([]story, 3), make([]story, 3)
		gather(whole.Choices, want)
		body["stream"], body["stream_options"] = true, object{"include_usage": true}
		events, done := f.sse(t.Context(), "/v1/completions", body)
		usage := 0
		for _, e := range events {
			c := into[struct {
				Choices []choice
				Usage   *struct {
					Completion int `json:"completion_tokens"`
				}
			}](t, e)
			gather(c.Choices, got)
			if c.Usage != nil {
				usage = c.Usage.Completion
			}
		}
		if diff := cmp.Diff(want, got, bits); diff != "" {
			t.Errorf("whole (-), stream (+):\n%s", diff)
		}
		if !done || usage != 3*(600/raced) || len(events) < 6 {
			t.Errorf("done %v, usage %d, %d events", done, usage, len(events))
		}
	})

	t.Run("vLLM generate", func(t *testing.T) {
		want := f.asVLLMGenerate(prompt, sampling())
		p := sampling()
		p["logprobs"] = 0
		events, done := f.sse(t.Context(), "/inference/v1/generate", object{"token_ids": prompt, "stream": true, "sampling_params": p})
		got := make([]drawn, 1)
		for _, e := range events {
			c := into[struct {
				Choices []struct {
					TokenIDs []int32 `json:"token_ids"`
					Finish   *string `json:"finish_reason"`
					Logprobs struct{ Content []struct{ Logprob float64 } }
				}
			}](t, e).Choices[0]
			got[0].Tokens = append(got[0].Tokens, c.TokenIDs...)
			for _, l := range c.Logprobs.Content {
				got[0].Logprobs = append(got[0].Logprobs, float32(l.Logprob))
			}
			if c.Finish != nil {
				got[0].Finish = *c.Finish
			}
		}
		if diff := cmp.Diff(want, got, bits); diff != "" || !done {
			t.Errorf("done %v; whole (-), stream (+):\n%s", done, diff)
		}
	})

	t.Run("SGLang repeats everything so far", func(t *testing.T) {
		body := object{"input_ids": prompt, "return_logprob": true, "stream": true,
			"sampling_params": object{"max_new_tokens": 200, "sampling_seed": 5, "ignore_eos": true}}
		events, done := f.sse(t.Context(), "/generate", body)
		delete(body, "stream")
		type answer struct {
			Text      string
			OutputIDs []int32 `json:"output_ids"`
			Meta      struct {
				Logprobs [][]*float64               `json:"output_token_logprobs"`
				Finish   *struct{ Type string }     `json:"finish_reason"`
				Versions []struct{ Start, End int } `json:"weight_versions"`
			} `json:"meta_info"`
		}
		var whole answer
		f.post("/generate", body, &whole)
		last := into[answer](t, events[len(events)-1])
		if diff := cmp.Diff(whole, last); diff != "" || !done {
			t.Errorf("done %v; whole (-), last event (+):\n%s", done, diff)
		}
		before := ""
		for _, e := range events[:len(events)-1] {
			a := into[answer](t, e)
			if !strings.HasPrefix(a.Text, before) || a.Meta.Finish != nil || len(a.OutputIDs) != len(a.Meta.Logprobs) {
				t.Fatalf("event %s after the text %q", e, before)
			}
			before = a.Text
		}
	})

	t.Run("llama-server", func(t *testing.T) {
		body := object{"prompt": prompt, "n_predict": 200, "temperature": 1, "samplers": []string{"temperature"}, "seed": 5, "ignore_eos": true,
			"n_probs": 1, "return_tokens": true}
		type answer struct {
			Content       string
			Tokens        []int32
			Stop          bool
			StopType      string `json:"stop_type"`
			Probabilities []struct {
				ID      int32
				Logprob float64
			} `json:"completion_probabilities"`
		}
		var whole answer
		f.post("/completion", body, &whole)
		body["stream"] = true
		events, _ := f.sse(t.Context(), "/completion", body)
		var got answer
		for _, e := range events {
			a := into[answer](t, e)
			got.Content += a.Content
			got.Tokens = append(got.Tokens, a.Tokens...)
			got.Probabilities = append(got.Probabilities, a.Probabilities...)
			got.Stop, got.StopType = a.Stop, a.StopType
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("whole (-), stream (+):\n%s", diff)
		}
	})
}

func TestAClientThatLeavesFreesItsSlot(t *testing.T) {
	f := start(t, 200_000)
	for _, tc := range []struct {
		name, path string
		body       object
	}{
		{"vLLM completions", "/v1/completions", object{"prompt": []int{1}, "max_tokens": 190_000, "ignore_eos": true, "n": 3}},
		{"vLLM completions, streaming", "/v1/completions", object{"prompt": []int{1}, "max_tokens": 190_000, "ignore_eos": true, "n": 3, "stream": true}},
		{"vLLM generate", "/inference/v1/generate", object{"token_ids": []int{1}, "sampling_params": object{"max_tokens": 190_000, "ignore_eos": true, "n": 3}}},
		{"SGLang", "/generate", object{"input_ids": []int{1}, "sampling_params": object{"max_new_tokens": 190_000, "ignore_eos": true, "n": 3}}},
		{"llama-server", "/completion", object{"prompt": []int{1}, "n_predict": 190_000, "ignore_eos": true, "n_cmpl": 3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := json.Marshal(tc.body)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan struct{})
			go func() {
				defer close(left)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.http.URL+tc.path, strings.NewReader(string(text)))
				if err != nil {
					t.Error(err)
					return
				}
				if res, err := f.http.Client().Do(req); err == nil {
					<-ctx.Done()
					res.Body.Close()
				}
			}()
			f.until("three sequences run", func(running, _ int) bool { return running == 3 })
			cancel()
			<-left
			f.until("the slots are free", func(running, waiting int) bool { return running+waiting == 0 })
		})
	}
}

// until waits for a state of the engine.
func (f *fixture) until(what string, reached func(running, waiting int) bool) {
	f.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		st, err := f.engine.Stats(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if reached(st[0].Running, st[0].Waiting) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("waited in vain until %s: %d run, %d wait", what, st[0].Running, st[0].Waiting)
		}
	}
}
