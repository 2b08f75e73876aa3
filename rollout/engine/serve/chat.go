package serve

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ChatMessage is one turn of a conversation.
type ChatMessage struct {
	Role    string
	Content string
}

// ChatOptions say how a conversation becomes a prompt.
type ChatOptions struct {
	GenerationPrompt bool           // end with the beginning of the assistant's turn
	Continue         bool           // leave the last message open instead
	Kwargs           map[string]any // of the template, such as enable_thinking
}

// ChatTemplate turns a conversation into the tokens of a prompt. What it cannot render is an error.
type ChatTemplate func(messages []ChatMessage, o ChatOptions) ([]int32, error)

// chatTemplateRequest are the fields of a conversation, in chats and in /tokenize.
type chatTemplateRequest struct {
	Messages []struct {
		Role      string          `json:"role"`
		Content   json.RawMessage `json:"content"`
		ToolCalls json.RawMessage `json:"tool_calls"`
	} `json:"messages"`
	AddGenerationPrompt  *bool           `json:"add_generation_prompt"`
	ContinueFinalMessage bool            `json:"continue_final_message"`
	Template             json.RawMessage `json:"chat_template"`
	Kwargs               map[string]any  `json:"chat_template_kwargs"`
	Tools                json.RawMessage `json:"tools"`
	ToolChoice           json.RawMessage `json:"tool_choice"`
	Documents            json.RawMessage `json:"documents"`
}

// render is the prompt of a conversation.
func (s *Server) render(q *chatTemplateRequest) ([]int32, error) {
	if s.o.Chat == nil {
		return nil, badf("messages", "this model has no chat template: send a prompt to /v1/completions instead")
	}
	for name, raw := range map[string]json.RawMessage{"chat_template": q.Template, "documents": q.Documents} {
		if !neutral(raw, "[]") {
			return nil, badf(name, "%s is not supported by this server; leave it out", name)
		}
	}
	if !neutral(q.Tools, "[]") || !neutral(q.ToolChoice, `"none"`, `"auto"`) {
		return nil, badf("tools", "tools are not supported by this server: render the conversation yourself and send token ids to /v1/completions")
	}
	if len(q.Messages) == 0 {
		return nil, badf("messages", "messages must hold at least one message")
	}
	o := ChatOptions{GenerationPrompt: value(q.AddGenerationPrompt, true), Continue: q.ContinueFinalMessage, Kwargs: q.Kwargs}
	if o.Continue && o.GenerationPrompt && q.AddGenerationPrompt != nil {
		return nil, badf("continue_final_message", "Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
	}
	if o.Continue {
		o.GenerationPrompt = false
	}
	messages := make([]ChatMessage, len(q.Messages))
	for i, m := range q.Messages {
		if !neutral(m.ToolCalls, "[]") {
			return nil, badf("messages", "message %d: tool calls are not supported by this server", i)
		}
		text, err := contentOf(m.Content)
		if err != nil {
			return nil, badf("messages", "message %d: %v", i, err)
		}
		messages[i] = ChatMessage{Role: m.Role, Content: text}
	}
	tokens, err := s.o.Chat(messages, o)
	if err != nil {
		return nil, badf("messages", "%v", err)
	}
	if len(tokens) == 0 {
		return nil, badf("messages", "the conversation renders to no tokens")
	}
	return tokens, nil
}

// contentOf is the text of a message: a string, or a list of parts of text.
func contentOf(raw json.RawMessage) (string, error) {
	if neutral(raw) {
		return "", nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return text, nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", badf("", "content is neither text nor a list of parts")
	}
	var b strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return "", badf("", "a part of type %q is not supported, only text", p.Type)
		}
		b.WriteString(p.Text)
	}
	return b.String(), nil
}

// chatRequest is the body of POST /v1/chat/completions.
type chatRequest struct {
	vllmSampling
	chatTemplateRequest
	Model               string          `json:"model"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Logprobs            bool            `json:"logprobs"`
	TopLogprobs         *int            `json:"top_logprobs"`
	Stream              bool            `json:"stream"`
	StreamOptions       *streamOptions  `json:"stream_options"`
	RequestID           string          `json:"request_id"`
	ReturnTokenIDs      *bool           `json:"return_token_ids"`
	Echo                json.RawMessage `json:"echo"`
	XArgs               extraArgs       `json:"vllm_xargs"`
}

// chatCall is a request made ready.
type chatCall struct {
	s       *Server
	req     *chatRequest
	id      string
	model   string
	created int64
	work    *work
	skip    bool
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	c, err := s.readChat(r)
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	lives := s.live(c.work, c.req.Stop, c.skip, c.req.IncludeStop, c.req.Logprobs)
	if c.req.Stream {
		c.stream(w, r, lives)
		return
	}
	if len(c.req.Stop) > 0 {
		c.work.watch = func(i int, tokens []int32, _ []float32) (int, bool) {
			_, keep, more := lives[i].push(tokens)
			return keep, more
		}
	}
	out, err := s.run(r.Context(), c.work)
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	out.stops = stoppersOf(lives)
	writeJSON(w, http.StatusOK, c.answer(out, lives))
}

func (s *Server) readChat(r *http.Request) (*chatCall, error) {
	q := &chatRequest{}
	if err := s.read(r, q); err != nil {
		return nil, err
	}
	n := value(q.N, 1)
	switch {
	case n < 1:
		return nil, badf("n", "n must be at least 1, got %d", n)
	case value(q.TopLogprobs, 0) < 0 || value(q.TopLogprobs, 0) > 1:
		return nil, badf("top_logprobs", "Requested sample logprobs of %d, which is greater than max allowed: 1. This server gives the sampled token's", *q.TopLogprobs)
	case !neutral(q.Echo, "false"):
		return nil, badf("echo", "echo is not supported in chats by this server")
	case q.PromptLogprobs != nil:
		return nil, badf("prompt_logprobs", "prompt_logprobs are not supported in chats by this server: use /v1/completions")
	case q.XArgs.First < 0:
		return nil, badf("vllm_xargs", "pith_first must be at least 0, got %d", q.XArgs.First)
	}
	tokens, err := s.render(&q.chatTemplateRequest)
	if err != nil {
		return nil, err
	}
	maxTokens := value(q.MaxTokens, max(1, s.caps.MaxContext-len(tokens)))
	maxTokens = value(q.MaxCompletionTokens, maxTokens)
	if maxTokens < 1 {
		return nil, badf("max_tokens", "max_tokens must be at least 1, got %d.", maxTokens)
	}
	if err := s.fits(len(tokens), maxTokens); err != nil {
		return nil, err
	}
	params, err := q.params(s, maxTokens)
	if err != nil {
		return nil, err
	}
	c := &chatCall{s: s, req: q, id: "chatcmpl-" + requestID(r, q.RequestID), model: q.Model, created: time.Now().Unix(), skip: value(q.SkipSpecialTokens, true)}
	or(&c.model, s.o.Model)
	c.work = &work{id: c.id, model: q.Model, prompt: tokens, n: n, first: q.XArgs.First, params: params, kind: s.o.VLLMLogprobs}
	return c, nil
}

func (c *chatCall) head(b []byte, kind string) []byte {
	b = appendString(append(b, `{"id":`...), c.id)
	b = appendString(append(b, `,"object":`...), kind)
	b = strconv.AppendInt(append(b, `,"created":`...), c.created, 10)
	return appendString(append(b, `,"model":`...), c.model)
}

func (c *chatCall) answer(o *outcome, lives []*live) []byte {
	b := c.head(make([]byte, 0, 512+96*o.tokens()), "chat.completion")
	b = append(b, `,"choices":[`...)
	for i := range o.samples {
		if i > 0 {
			b = append(b, ',')
		}
		q := &o.samples[i]
		b = appendInt(append(b, `{"index":`...), i)
		b = appendString(append(b, `,"message":{"role":"assistant","content":`...), c.s.textOf(o, i, c.work.prompt, c.skip, c.req.IncludeStop))
		b = append(b, `,"refusal":null}`...)
		b = c.logprobs(b, lives[i], q.tokens, q.logprobs)
		b = c.finish(b, o, i, q)
		if value(c.req.ReturnTokenIDs, false) {
			b = appendIDs(append(b, `,"token_ids":`...), q.tokens)
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if value(c.req.ReturnTokenIDs, false) {
		b = appendIDs(append(b, `,"prompt_token_ids":`...), c.work.prompt)
	}
	b = appendUsage(append(b, `,"usage":`...), len(c.work.prompt), o.tokens())
	return append(b, '}')
}

func (c *chatCall) finish(b []byte, o *outcome, i int, q *sample) []byte {
	b = appendString(append(b, `,"finish_reason":`...), vllmFinish(q.finish))
	b = appendReason(append(b, `,"stop_reason":`...), c.s.stopReason(o, i, q))
	return appendSpans(append(b, `,"weight_versions":`...), q.spans)
}

// logprobs is the object of the chat dialect.
func (c *chatCall) logprobs(b []byte, l *live, tokens []int32, logprobs []float32) []byte {
	b = append(b, `,"logprobs":`...)
	if !c.req.Logprobs {
		return append(b, "null"...)
	}
	b = append(b, `{"content":[`...)
	pieces := l.pieces(tokens)
	one := func(b []byte, i int) []byte {
		name := "token_id:" + strconv.Itoa(int(tokens[i]))
		if pieces != nil {
			name = pieces[i]
		}
		b = appendString(append(b, `{"token":`...), name)
		b = appendFloat(append(b, `,"logprob":`...), logprobs[i])
		b = append(b, `,"bytes":[`...)
		for k := range len(name) {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendInt(b, int(name[k]))
		}
		return append(b, ']')
	}
	for i := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(one(b, i), `,"top_logprobs":[`...)
		if value(c.req.TopLogprobs, 0) > 0 {
			b = append(one(b, i), '}')
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...)
}

// stream sends the role, then new text, then the reason.
func (c *chatCall) stream(w http.ResponseWriter, r *http.Request, lives []*live) {
	const kind = "chat.completion.chunk"
	ev := c.s.events(w, openai)
	withIDs := value(c.req.ReturnTokenIDs, false)
	open := func(i int, text string) []byte {
		b := appendInt(append(c.head(make([]byte, 0, 512), kind), `,"choices":[{"index":`...), i)
		b = append(b, `,"delta":{`...)
		if !lives[i].begun {
			lives[i].begun = true
			b = append(b, `"role":"assistant",`...)
		}
		b = appendString(append(b, `"content":`...), text)
		return append(b, '}')
	}
	c.work.watch = func(i int, tokens []int32, logprobs []float32) (int, bool) {
		text, keep, more := lives[i].push(tokens)
		if text == "" && !withIDs && !c.req.Logprobs {
			return keep, more
		}
		b := c.logprobs(open(i, text), lives[i], tokens[:keep], logprobs[:keep])
		b = append(b, `,"finish_reason":null`...)
		if withIDs {
			b = appendIDs(append(b, `,"token_ids":`...), tokens[:keep])
		}
		ev.send(append(b, "}]}"...))
		return keep, more
	}
	out, err := c.s.run(r.Context(), c.work)
	if err != nil {
		if r.Context().Err() == nil {
			ev.fail(err)
			ev.endAfterFailure()
		}
		return
	}
	out.stops = stoppersOf(lives)
	for i := range out.samples {
		b := append(open(i, lives[i].rest()), `,"logprobs":null`...)
		b = c.finish(b, out, i, &out.samples[i])
		ev.send(append(b, "}]}"...))
	}
	if o := c.req.StreamOptions; o != nil && o.IncludeUsage {
		b := append(c.head(nil, kind), `,"choices":[],"usage":`...)
		ev.send(append(appendUsage(b, len(c.work.prompt), out.tokens()), '}'))
	}
	ev.done()
}
