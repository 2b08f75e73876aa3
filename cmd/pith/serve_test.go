package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pith/policies/chat"
	"pith/policies/tokenizer"
	"pith/rollout/engine/serve"
)

// serving runs `pith serve` until the test ends and returns its URL.
func serving(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var said bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"serve", "--port", "0"}, args...), stdio{in: strings.NewReader(""), out: w, err: &said})
		w.Close()
	}()
	url, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("pith serve printed no URL: exit %d\n%s", <-ended, said.String())
	}
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("pith serve ended with %d\n%s", code, said.String())
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return strings.TrimSpace(url)
}

func TestTheOpenAIClientLibraryWorksAgainstServe(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not here")
	}
	client := os.Getenv("PITH_OPENAI_CLIENT")
	if client == "" {
		t.Skip("PITH_OPENAI_CLIENT is not set: PITH_OPENAI_CLIENT=$(.ci/openai-client.sh) go test ./cmd/pith -run OpenAI")
	}
	t.Setenv("PITH_TEST_KEY", "open sesame")
	url := serving(t, "builtin:clock", "--api-key-env", "PITH_TEST_KEY")
	script, err := filepath.Abs(filepath.Join("testdata", "openai-client", "client.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, script)
	cmd.Env = append(os.Environ(), "PITH_URL="+url, "PITH_KEY=open sesame", "PITH_MODEL=clock", "OPENAI_CLIENT="+client, "PITH_PROMPT=<bos>")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	type choice struct {
		Text, Finish string
		Logprobs     []float64
		Tokens       int
	}
	type failure struct {
		Kind, Type string
		Status     int
		Param      *string
	}
	var got struct {
		Models []string
		Usage  struct {
			Completion int `json:"completion_tokens"`
		}
		Failures      map[string]*failure
		Whole, Stream []choice
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if diff := cmp.Diff([]string{"clock"}, got.Models); diff != "" {
		t.Errorf("models (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got.Whole, got.Stream); diff != "" {
		t.Errorf("whole (-), stream (+):\n%s", diff)
	}
	tokens := 0
	for i, c := range got.Whole {
		tokens += c.Tokens
		if c.Text == "" || c.Finish != "stop" && c.Finish != "length" || c.Tokens == 0 || len(c.Logprobs) != c.Tokens {
			t.Errorf("choice %d: %+v", i, c)
		}
		for _, l := range c.Logprobs {
			if l > 0 {
				t.Errorf("choice %d has log-probability %v", i, l)
			}
		}
	}
	if len(got.Whole) != 2 || got.Usage.Completion != tokens {
		t.Errorf("%d choices, usage of the stream %d, %d tokens", len(got.Whole), got.Usage.Completion, tokens)
	}
	maxTokens, messages := "max_tokens", "messages"
	want := map[string]*failure{
		"model":   {Kind: "NotFoundError", Type: "NotFoundError", Status: 404},
		"request": {Kind: "BadRequestError", Type: "BadRequestError", Status: 400, Param: &maxTokens},
		"key":     {Kind: "AuthenticationError", Type: "AuthenticationError", Status: 401},
		"chat":    {Kind: "BadRequestError", Type: "BadRequestError", Status: 400, Param: &messages},
	}
	if diff := cmp.Diff(want, got.Failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no policy", nil, exitUsage, "needs a policy"},
		{"two policies", []string{"builtin:clock", "--watch", "runs/x"}, exitUsage, "not both"},
		{"an unknown policy", []string{"builtin:nobody"}, exitUsage, "nobody"},
		{"no checkpoint", []string{"nowhere"}, exitFailed, "not a Hugging Face directory"},
		{"an empty key", []string{"builtin:clock", "--api-key-env", "PITH_NO_SUCH_VARIABLE"}, exitUsage, "PITH_NO_SUCH_VARIABLE"},
		{"beyond this machine without a key", []string{"builtin:clock", "--host", "0.0.0.0", "--port", "0"}, exitFailed, "API key"},
		{"an unknown kind of log-probability", []string{"builtin:clock", "--logprobs-mode", "raw"}, exitUsage, "processed_logprobs"},
		{"a root that is not there", []string{"builtin:clock", "--load-from", "no/such/dir"}, exitFailed, "no/such/dir"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, _, stderr := pith(t, append([]string{"serve"}, tc.args...)...)
			if code != tc.code || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit %d, want %d; %s", code, tc.code, stderr)
			}
		})
	}
}

func TestServeFollowsARun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustPith(t, append([]string{"train", "--out", dir}, tiny()...)...)
	newest, aside := filepath.Join(dir, "checkpoints", "step-000004"), filepath.Join(dir, "later")
	if err := os.Rename(newest, aside); err != nil {
		t.Fatal(err)
	}
	url := serving(t, "--watch", dir, "--watch-every", "100ms")
	version := func() string {
		res, err := http.Post(url+"/generate", "application/json", strings.NewReader(`{"input_ids":[1],"sampling_params":{"max_new_tokens":1}}`)) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var got struct {
			Meta struct {
				Version string `json:"weight_version"`
			} `json:"meta_info"`
		}
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		return got.Meta.Version
	}
	if got := version(); got != "step-000002" {
		t.Fatalf("version is %q", got)
	}
	if err := os.Rename(aside, newest); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); version() != "step-000004"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still serving %s", version())
		}
	}
}

func TestChatsAreRenderedByTheModelsTemplate(t *testing.T) {
	tmpl, err := chat.Named("qwen3")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(filepath.Join("..", "..", "policies", "tokenizer", "testdata", "bpe", "qwen"))
	if err != nil {
		t.Fatal(err)
	}
	messages := []serve.ChatMessage{{Role: "user", Content: "hello"}}
	for _, tc := range []struct {
		name   string
		kwargs map[string]any
		want   string
	}{
		{"as it is", nil, "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"},
		{"without thinking", map[string]any{"enable_thinking": false}, "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"},
	} {
		got, err := renderChat(tmpl, tok, messages, serve.ChatOptions{GenerationPrompt: true, Kwargs: tc.kwargs})
		if err != nil {
			t.Fatal(err)
		}
		if text := tok.Decode(got); text != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, text, tc.want)
		}
	}
	for name, o := range map[string]serve.ChatOptions{
		"a wish that is not known": {Kwargs: map[string]any{"verbosity": "low"}},
		"an open last message":     {Continue: true},
	} {
		if _, err := renderChat(tmpl, tok, messages, o); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

func TestAModelMayHaveSeveralEnds(t *testing.T) {
	for text, want := range map[string][]int32{`{"eos_token_id":[7,9]}`: {7, 9}, `{"eos_token_id":7}`: {7}, `{}`: nil} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := generationEnds(dir)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}
