package serve_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/rollout/engine/serve"
)

type textChoice struct {
	Index      int
	Text       string
	Finish     string  `json:"finish_reason"`
	StopReason any     `json:"stop_reason"`
	TokenIDs   []int32 `json:"token_ids"`
	PromptIDs  []int32 `json:"prompt_token_ids"`
	Logprobs   *struct {
		Tokens     []string
		TextOffset []int `json:"text_offset"`
	}
}

// complete asks POST /v1/completions.
func (f *fixture) complete(body object) []textChoice {
	f.t.Helper()
	var got struct{ Choices []textChoice }
	f.post("/v1/completions", body, &got)
	return got.Choices
}

func TestTextContinuesThePrompt(t *testing.T) {
	f := start(t, 0)
	body := object{"prompt": "w7 w9", "max_tokens": 6, "seed": 3, "ignore_eos": true, "logprobs": 0, "return_token_ids": true}
	c := f.complete(body)[0]
	want := ""
	for _, id := range c.TokenIDs {
		want += " w" + fmt.Sprint(id)
	}
	if c.Text != want {
		t.Errorf("text %q, want %q", c.Text, want)
	}
	if diff := cmp.Diff([]int32{7, 9}, c.PromptIDs); diff != "" {
		t.Error(diff)
	}
	for i, name := range c.Logprobs.Tokens {
		if at := c.Logprobs.TextOffset[i]; !strings.HasPrefix(c.Text[at:], name) {
			t.Errorf("token %d is %q at %d of %q", i, name, at, c.Text)
		}
	}
	body["return_tokens_as_token_ids"] = true
	if names := f.complete(body)[0].Logprobs.Tokens; names[0] != fmt.Sprintf("token_id:%d", c.TokenIDs[0]) {
		t.Errorf("tokens are named %q", names)
	}
	body["echo"] = true
	delete(body, "logprobs")
	if got := f.complete(body)[0].Text; got != "w7 w9"+want {
		t.Errorf("with echo: %q", got)
	}
}

func TestSeveralPromptsHaveTheirChoicesInOrder(t *testing.T) {
	f := start(t, 0)
	body := object{"prompt": [][]int32{{1, 2}, {3}}, "n": 2, "max_tokens": 5, "seed": 3, "ignore_eos": true, "return_token_ids": true}
	got := f.complete(body)
	for i, c := range got {
		if c.Index != i {
			t.Errorf("choice %d has index %d", i, c.Index)
		}
	}
	body["prompt"] = []int32{3}
	if diff := cmp.Diff(f.complete(body)[1].TokenIDs, got[3].TokenIDs); diff != "" {
		t.Errorf("alone (-), with another prompt (+):\n%s", diff)
	}
}

func TestAStopTextEndsASampleAndIsCutOff(t *testing.T) {
	f := start(t, 0)
	body := func() object {
		return object{"prompt": "w5", "max_tokens": 60, "seed": 21, "n": 4, "ignore_eos": true, "return_token_ids": true}
	}
	free := f.complete(body())
	// The stop text spans the third and fourth token of the first sample.
	stop := fmt.Sprintf("%d w%d", free[0].TokenIDs[2], free[0].TokenIDs[3])
	with := body()
	with["stop"] = []string{stop}
	got := f.complete(with)
	cut := got[0]
	if cut.Finish != "stop" || cut.StopReason != stop {
		t.Errorf("finish %q, reason %v", cut.Finish, cut.StopReason)
	}
	if want := free[0].Text[:strings.Index(free[0].Text, stop)]; cut.Text != want {
		t.Errorf("text %q, want %q", cut.Text, want)
	}
	if len(cut.TokenIDs) < 4 || len(cut.TokenIDs) > 5 { // one more where the fourth could have gone on
		t.Errorf("%d tokens", len(cut.TokenIDs))
	}
	for i, c := range got[1:] {
		if !strings.Contains(free[i+1].Text, stop) && (c.Text != free[i+1].Text || c.Finish != "length") {
			t.Errorf("sample %d, which has no stop text: finish %q, text %q", i+1, c.Finish, c.Text)
		}
	}
	with["include_stop_str_in_output"] = true
	if c := f.complete(with)[0]; !strings.HasSuffix(c.Text, stop) {
		t.Errorf("the stop text is not part of %q", c.Text)
	}
	with["stream"] = true
	texts := make([]string, 4)
	events, _ := f.sse(t.Context(), "/v1/completions", with)
	for _, e := range events {
		for _, c := range into[struct{ Choices []textChoice }](t, e).Choices {
			texts[c.Index] += c.Text
		}
	}
	delete(with, "stream")
	for i, c := range f.complete(with) {
		if c.Text != texts[i] {
			t.Errorf("sample %d: the stream has %q, the whole answer %q", i, texts[i], c.Text)
		}
	}
}

func TestStopTokensAreKeptAndNamed(t *testing.T) {
	f := start(t, 0)
	for _, c := range f.complete(object{"prompt": []int{1}, "max_tokens": 90, "seed": 2, "n": 8, "stop_token_ids": []int{5, 9, 11}, "return_token_ids": true}) {
		if c.Finish != "stop" {
			continue
		}
		last := c.TokenIDs[len(c.TokenIDs)-1]
		switch {
		case last == 2 && c.StopReason == nil && !strings.Contains(c.Text, "<eos>"): // the model's own end
		case last == 5 || last == 9 || last == 11:
			if c.StopReason != float64(last) {
				t.Errorf("stop reason %v after token %d", c.StopReason, last)
			}
		default:
			t.Errorf("stopped at token %d, reason %v, text %q", last, c.StopReason, c.Text)
		}
	}
}

func TestPartsOfAGroupCanBeAskedFor(t *testing.T) {
	f := start(t, 0)
	all := f.asVLLMGenerate([]int32{1, 2}, object{"max_tokens": 10, "seed": 3, "n": 5})
	for name, ask := range asked {
		p := object{"max_tokens": 10, "seed": 3, "n": 2}
		p[map[string]string{"vLLM generate": "extra_args", "vLLM completions": "vllm_xargs", "SGLang generate": "custom_params"}[name]] = object{"pith_first": 3}
		if diff := cmp.Diff(all[3:], ask(f, []int32{1, 2}, p), bits); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTextIsTokenizedAndBack(t *testing.T) {
	f := start(t, 0, func(o *serve.Options) { o.BOS = []int32{1} })
	for _, tc := range []struct{ name, path, body, want string }{
		{"vLLM", "/tokenize", `{"prompt":"w7 w9"}`, `{"count":3,"max_model_len":96,"tokens":[1,7,9],"token_strs":null}`},
		{"vLLM, nothing added", "/tokenize", `{"prompt":"w7 w9","add_special_tokens":false,"return_token_strs":true}`, `{"count":2,"max_model_len":96,"tokens":[7,9],"token_strs":["w7","w9"]}`},
		{"llama-server", "/tokenize", `{"content":"w7 w9"}`, `{"tokens":[7,9]}`},
		{"llama-server, with pieces", "/tokenize", `{"content":"w7","add_special":true,"with_pieces":true}`, `{"tokens":[{"id":1,"piece":"\u003cbos\u003e"},{"id":7,"piece":"w7"}]}`},
		{"back", "/detokenize", `{"tokens":[7,9]}`, `{"prompt":"w7 w9","content":"w7 w9"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, f.must("POST", tc.path, tc.body)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if status, body := f.send(t.Context(), "POST", "/tokenize", `{"prompt":"nobody"}`); status != http.StatusBadRequest {
		t.Errorf("a word outside the vocabulary: status %d: %s", status, body)
	}
}

// brackets is a chat template: every turn's text, and the beginning of the next.
func brackets(f *fixture) serve.ChatTemplate {
	tok := vocabulary(f.t, small.VocabSize)
	return func(messages []serve.ChatMessage, o serve.ChatOptions) ([]int32, error) {
		var out []int32
		for _, m := range messages {
			if m.Role != "user" && m.Role != "assistant" {
				return nil, errors.New("unknown role " + m.Role)
			}
			ids, err := tok.Encode(m.Content)
			if err != nil {
				return nil, err
			}
			out = append(append(out, 3), ids...)
		}
		if o.GenerationPrompt {
			out = append(out, 4)
		}
		return out, nil
	}
}

func TestChatsAreCompletionsOfTheRenderedConversation(t *testing.T) {
	f := start(t, 0, func(o *serve.Options) { o.Chat = brackets(&fixture{t: t}) })
	messages := []object{{"role": "user", "content": "w7"}, {"role": "assistant", "content": []object{{"type": "text", "text": "w9"}}}}
	rendered := []int32{3, 7, 3, 9, 4}
	var tokenized struct{ Tokens []int32 }
	f.post("/tokenize", object{"messages": messages}, &tokenized)
	if diff := cmp.Diff(rendered, tokenized.Tokens); diff != "" {
		t.Fatal(diff)
	}
	sampling := func(more object) object {
		b := object{"max_tokens": 12, "seed": 4, "n": 2, "ignore_eos": true, "return_token_ids": true, "skip_special_tokens": false}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	want := f.complete(sampling(object{"prompt": rendered}))
	type content struct {
		Token   string
		Logprob float64
		Bytes   []int
	}
	var got struct {
		Object  string
		Choices []struct {
			Index    int
			Message  struct{ Role, Content string }
			Finish   string  `json:"finish_reason"`
			IDs      []int32 `json:"token_ids"`
			Logprobs struct{ Content []content }
		}
	}
	f.post("/v1/chat/completions", sampling(object{"messages": messages, "logprobs": true, "top_logprobs": 1}), &got)
	texts := make([]string, 2)
	for i, c := range got.Choices {
		if c.Message.Role != "assistant" || c.Message.Content != want[i].Text || !cmp.Equal(c.IDs, want[i].TokenIDs) || c.Finish != "length" {
			t.Errorf("choice %d: %+v, want %+v", i, c, want[i])
		}
		whole := ""
		for _, p := range c.Logprobs.Content {
			whole += p.Token
			if len(p.Bytes) != len(p.Token) || p.Logprob > 0 {
				t.Errorf("%+v", p)
			}
		}
		if whole != c.Message.Content {
			t.Errorf("tokens spell %q, the message is %q", whole, c.Message.Content)
		}
	}
	events, done := f.sse(t.Context(), "/v1/chat/completions", sampling(object{"messages": messages, "stream": true}))
	roles := 0
	for _, e := range events {
		for _, c := range into[struct {
			Choices []struct {
				Index int
				Delta struct{ Role, Content string }
			}
		}](t, e).Choices {
			texts[c.Index] += c.Delta.Content
			if c.Delta.Role != "" {
				roles++
			}
		}
	}
	if !done || roles != 2 || texts[0] != want[0].Text || texts[1] != want[1].Text {
		t.Errorf("stream: done %v, %d roles, texts %q", done, roles, texts)
	}
	for name, body := range map[string]object{
		"no messages":      {"messages": []object{}},
		"an unknown role":  {"messages": []object{{"role": "tool", "content": "w7"}}},
		"a picture":        {"messages": []object{{"role": "user", "content": []object{{"type": "image_url"}}}}},
		"tools":            {"messages": messages, "tools": []object{{"type": "function"}}},
		"another template": {"messages": messages, "chat_template": "{{ x }}"},
	} {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if status, got := f.send(t.Context(), "POST", "/v1/chat/completions", string(text)); status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", name, status, got)
		}
	}
}

func TestMetricsCountUnderTheNamesOfTheServers(t *testing.T) {
	f := start(t, 0)
	f.complete(object{"prompt": []int{1, 2, 3}, "max_tokens": 10, "n": 2, "ignore_eos": true})
	text := f.must("GET", "/metrics", "")
	for _, want := range []string{
		`vllm:num_requests_running{model_name="small"} 0`,
		`vllm:prompt_tokens_total{model_name="small"} 3`,
		`vllm:generation_tokens_total{model_name="small"} 20`,
		`vllm:request_success_total{model_name="small",finished_reason="length"} 2`,
		`vllm:e2e_request_latency_seconds_count{model_name="small"} 1`,
		`sglang:generation_tokens_total{model_name="small"} 20`,
		`llamacpp:tokens_predicted_total{model_name="small"} 20`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) \S+ .+|[a-zA-Z_:][a-zA-Z0-9_:]*\{[^}]*\} \S+)$`)
	for l := range strings.Lines(text) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("not Prometheus' text format: %s", l)
		}
	}
}

func TestTheServerTellsWhatItIs(t *testing.T) {
	f := start(t, 0)
	for _, tc := range []struct{ path, want string }{
		{"/health", `{"status":"ok"}`}, {"/health_generate", `{"status":"ok"}`}, {"/version", `{"version":"pith"}`},
		{"/get_world_size", `{"world_size":1}`}, {"/weight_info", `{"weight_version":"default"}`},
		{"/get_model_info", `{"has_audio_understanding":false,"has_image_understanding":false,"is_generation":true,"model_path":"small","tokenizer_path":"small","weight_version":"default"}`},
		{"/flush_cache", "Cache flushed.\n"},
	} {
		if got := f.must("GET", tc.path, ""); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.path, got, tc.want)
		}
	}
	if got := f.must("POST", "/reset_prefix_cache", ""); got != `{"success":true}` {
		t.Error(got)
	}
	var info struct {
		Context int `json:"context_length"`
		States  []struct {
			Running int `json:"num_running_reqs"`
		} `json:"internal_states"`
	}
	if err := json.Unmarshal([]byte(f.must("GET", "/server_info", "")), &info); err != nil || info.Context != small.MaxContext || len(info.States) != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	var slots []struct{ ID int }
	if err := json.Unmarshal([]byte(f.must("GET", "/slots?fail_on_no_slot=1", "")), &slots); err != nil || len(slots) != 16 {
		t.Errorf("%v, %v", slots, err)
	}
}
