package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"pith/rollout/engine"
)

// completionRequest is the body of POST /v1/completions.
type completionRequest struct {
	vllmSampling
	Model                   string          `json:"model"`
	Prompt                  json.RawMessage `json:"prompt"`
	Logprobs                *int            `json:"logprobs"`
	Echo                    bool            `json:"echo"`
	Stream                  bool            `json:"stream"`
	StreamOptions           *streamOptions  `json:"stream_options"`
	RequestID               string          `json:"request_id"`
	AddSpecialTokens        *bool           `json:"add_special_tokens"`
	ReturnTokenIDs          *bool           `json:"return_token_ids"`
	ReturnTokensAsTokenIDs  *bool           `json:"return_tokens_as_token_ids"`
	ReturnWeightVersions    *bool           `json:"return_weight_versions"`
	Suffix                  *string         `json:"suffix"`
	BestOf                  *int            `json:"best_of"`
	XArgs                   extraArgs       `json:"vllm_xargs"`
	ThinkingTokenBudget     json.RawMessage `json:"thinking_token_budget"`
	PromptEmbeds            json.RawMessage `json:"prompt_embeds"`
	LogprobTokenIDs         json.RawMessage `json:"logprob_token_ids"`
	RepetitionDetectionOpts json.RawMessage `json:"repetition_detection"`
}

// extraArgs is where vLLM takes arguments that are not its own.
type extraArgs struct {
	// First is the index of the first sample in the random stream of the seed, so that samples i to
	// j of a group can be asked for by themselves.
	First int `json:"pith_first"`
}

type streamOptions struct {
	IncludeUsage         bool `json:"include_usage"`
	ContinuousUsageStats bool `json:"continuous_usage_stats"`
}

// completion is a request made ready.
type completion struct {
	s       *Server
	id      string
	model   string
	created int64
	req     *completionRequest
	skip    bool
	prompts [][]int32
	params  engine.Params
	n       int
}

// defaultMaxTokens is what vLLM's completions generate where the request does not say.
const defaultMaxTokens = 16

func (s *Server) completions(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCompletion(r)
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	if c.req.Stream {
		c.stream(w, r)
		return
	}
	outs := make([]*outcome, len(c.prompts))
	err = parallel(len(c.prompts), func(i int) error {
		wk := c.work(i)
		stops := s.watchStops(wk, c.req.Stop, c.skip)
		var err error
		if outs[i], err = s.run(r.Context(), wk); err != nil {
			return err
		}
		outs[i].stops = stops
		return nil
	})
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	writeJSON(w, http.StatusOK, c.answer(outs))
}

func (s *Server) readCompletion(r *http.Request) (*completion, error) {
	req := &completionRequest{}
	if err := s.read(r, req); err != nil {
		return nil, err
	}
	switch {
	case req.Suffix != nil && *req.Suffix != "":
		return nil, badf("suffix", "suffix is not supported by this server")
	case value(req.BestOf, 1) != value(req.N, 1) && req.BestOf != nil:
		return nil, badf("best_of", "best_of is not supported by this server")
	case value(req.N, 1) < 1:
		return nil, badf("n", "n must be at least 1, got %d", *req.N)
	case req.Logprobs != nil && (*req.Logprobs < 0 || *req.Logprobs > 1):
		return nil, badf("logprobs", "Requested sample logprobs of %d, which is greater than max allowed: 1. This server gives the sampled token's", *req.Logprobs)
	case value(req.PromptLogprobs, 0) > 0 && req.Stream:
		return nil, badf("prompt_logprobs", "`prompt_logprobs` are not available when `stream=True`.")
	case len(req.Stop) > 0 && s.o.Tokenizer == nil:
		return nil, badf("stop", "this server has no tokenizer: stop by stop_token_ids")
	case req.XArgs.First < 0:
		return nil, badf("vllm_xargs", "pith_first must be at least 0, got %d", req.XArgs.First)
	}
	for name, raw := range map[string]json.RawMessage{
		"thinking_token_budget": req.ThinkingTokenBudget, "prompt_embeds": req.PromptEmbeds, "logprob_token_ids": req.LogprobTokenIDs,
		"repetition_detection": req.RepetitionDetectionOpts,
	} {
		if !neutral(raw) {
			return nil, badf(name, "%s is not supported by this server; leave it out", name)
		}
	}
	c := &completion{s: s, req: req, model: req.Model, created: time.Now().Unix(), n: value(req.N, 1), skip: value(req.SkipSpecialTokens, true)}
	or(&c.model, s.o.Model)
	c.id = "cmpl-" + requestID(r, req.RequestID)
	given, err := prompts(req.Prompt, "prompt")
	if err != nil {
		return nil, err
	}
	if len(given) > s.o.MaxPrompts || len(given) == 0 {
		return nil, badf("prompt", "%d prompts in one request, 1 to %d are served", len(given), s.o.MaxPrompts)
	}
	longest := 0
	for _, p := range given {
		ids, err := s.tokens(p, !value(req.AddSpecialTokens, true))
		if err != nil {
			return nil, err
		}
		c.prompts = append(c.prompts, ids)
		longest = max(longest, len(ids))
	}
	maxTokens := value(req.MaxTokens, defaultMaxTokens)
	if c.params, err = req.params(s, maxTokens); err != nil {
		return nil, err
	}
	if maxTokens < 1 && !(req.Echo && maxTokens == 0) {
		return nil, badf("max_tokens", "max_tokens must be at least 1, got %d.", maxTokens)
	}
	return c, s.fits(longest, maxTokens)
}

// fits refuses what the context cannot hold.
func (s *Server) fits(prompt, maxTokens int) error {
	if limit := s.caps.MaxContext; limit > 0 && prompt+maxTokens > limit {
		return badf("max_tokens", "This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the prompt, %d in the completion). "+
			"Please reduce the length of the prompt or the completion.", limit, prompt+maxTokens, prompt, maxTokens)
	}
	return nil
}

// work is prompt i as the runner takes it.
func (c *completion) work(i int) *work {
	return &work{id: c.id, model: c.req.Model, prompt: c.prompts[i], n: c.n, first: c.req.XArgs.First, params: c.params, kind: c.s.o.VLLMLogprobs,
		score: c.req.PromptLogprobs != nil || c.req.Echo && c.req.Logprobs != nil}
}

// watchStops makes the work end its samples at stop texts.
func (s *Server) watchStops(wk *work, texts []string, skip bool) []*stopper {
	stops := s.stoppers(wk, texts, skip)
	if stops != nil {
		wk.watch = func(i int, tokens []int32, _ []float32) (int, bool) {
			for k, t := range tokens {
				if stops[i].push(t) {
					return k + 1, false
				}
			}
			return len(tokens), true
		}
	}
	return stops
}

// stoppers look for stop texts, one for each sample.
func (s *Server) stoppers(wk *work, stops []string, skip bool) []*stopper {
	if len(stops) == 0 {
		return nil
	}
	wk.alone = true
	out := make([]*stopper, wk.n)
	for i := range out {
		out[i] = &stopper{detokenizer: s.detokenizer(wk.prompt, skip), stops: stops, end: -1}
	}
	return out
}

// textOf is the text of a sample, cut at a stop text.
func (c *completion) textOf(out *outcome, i int, prompt []int32) (text string, reason any) {
	q := &out.samples[i]
	return c.s.textOf(out, i, prompt, c.skip, c.req.IncludeStop), c.s.stopReason(out, i, q)
}

func (s *Server) textOf(out *outcome, i int, prompt []int32, skip, include bool) string {
	if out.stops != nil && out.samples[i].cut {
		st := out.stops[i]
		end := st.end
		if include {
			end += len(st.found)
		}
		return st.text.String()[:end]
	}
	return s.decode(prompt, out.samples[i].tokens, skip)
}

// stopReason is what vLLM says ended a sample: a text, a token that is not the model's own end, or
// nothing.
func (s *Server) stopReason(out *outcome, i int, q *sample) any {
	switch {
	case q.cut && out.stops != nil:
		return out.stops[i].found
	case q.finish == engine.FinishStop && len(q.tokens) > 0:
		if last := q.tokens[len(q.tokens)-1]; !containsID(s.o.EOS, last) {
			return last
		}
	}
	return nil
}

func containsID(ids []int32, id int32) bool {
	for _, t := range ids {
		if t == id {
			return true
		}
	}
	return false
}

// vllmFinish names the ways to end.
func vllmFinish(f engine.Finish) string {
	switch f {
	case engine.FinishStop:
		return "stop"
	case engine.FinishLength:
		return "length"
	}
	return "abort"
}

// answer is the whole response.
func (c *completion) answer(outs []*outcome) []byte {
	total := 0
	for _, o := range outs {
		total += o.tokens()
	}
	b := make([]byte, 0, 512+80*total)
	b = c.head(b)
	b = append(b, `,"choices":[`...)
	usedPrompt := 0
	for p, o := range outs {
		usedPrompt += len(c.prompts[p])
		for i := range o.samples {
			if p+i > 0 {
				b = append(b, ',')
			}
			b = c.choice(b, o, p, i)
		}
	}
	b = append(b, `],"usage":`...)
	b = appendUsage(b, usedPrompt, total)
	return append(b, '}')
}

// head is the part that the whole answer and every chunk of a stream begin with, without its end.
func (c *completion) head(b []byte) []byte {
	b = appendString(append(b, `{"id":`...), c.id)
	b = strconv.AppendInt(append(b, `,"object":"text_completion","created":`...), c.created, 10)
	return appendString(append(b, `,"model":`...), c.model)
}

func (c *completion) choice(b []byte, o *outcome, p, i int) []byte {
	q := &o.samples[i]
	text, reason := c.textOf(o, i, c.prompts[p])
	tokens, logprobs := q.tokens, q.logprobs
	if c.req.Echo {
		text = c.s.decode(nil, c.prompts[p], false) + text
		if c.req.Logprobs != nil {
			tokens = append(append([]int32(nil), c.prompts[p]...), tokens...)
			logprobs = append(append([]float32(nil), o.prompt...), logprobs...)
		}
	}
	b = appendInt(append(b, `{"index":`...), p*c.n+i)
	b = appendString(append(b, `,"text":`...), text)
	b = append(b, `,"logprobs":`...)
	if c.req.Logprobs == nil {
		b = append(b, "null"...)
	} else {
		b = c.logprobs(b, c.s.pieces(c.prompts[p], tokens, c.req), tokens, logprobs, 0)
	}
	b = appendString(append(b, `,"finish_reason":`...), vllmFinish(q.finish))
	b = appendReason(append(b, `,"stop_reason":`...), reason)
	if value(c.req.ReturnTokenIDs, false) {
		b = appendIDs(append(b, `,"token_ids":`...), q.tokens)
		b = appendIDs(append(b, `,"prompt_token_ids":`...), c.prompts[p])
	}
	b = append(b, `,"prompt_logprobs":`...)
	if c.req.PromptLogprobs == nil {
		b = append(b, "null"...)
	} else {
		b = c.s.appendPromptLogprobs(b, c.prompts[p], o.prompt)
	}
	b = appendSpans(append(b, `,"weight_versions":`...), q.spans)
	return append(b, '}')
}

func appendReason(b []byte, reason any) []byte {
	switch r := reason.(type) {
	case string:
		return appendString(b, r)
	case int32:
		return strconv.AppendInt(b, int64(r), 10)
	}
	return append(b, "null"...)
}

// pieces are the texts of tokens as the logprobs object names them.
func (s *Server) pieces(prompt, tokens []int32, req *completionRequest) []string {
	if value(req.ReturnTokensAsTokenIDs, false) || s.o.Tokenizer == nil {
		return nil
	}
	if req.Echo {
		prompt = nil
	}
	d := s.detokenizer(prompt, false)
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = d.push(t)
	}
	return out
}

// logprobs is the object of the completions dialect. No pieces: tokens are named by their ids.
// Offsets count bytes of the tokens' texts.
func (c *completion) logprobs(b []byte, pieces []string, tokens []int32, logprobs []float32, offset int) []byte {
	name := func(b []byte, i int) []byte {
		if pieces != nil {
			return appendString(b, pieces[i])
		}
		b = strconv.AppendInt(append(b, `"token_id:`...), int64(tokens[i]), 10)
		return append(b, '"')
	}
	comma := func(b []byte, i int) []byte {
		if i > 0 {
			b = append(b, ',')
		}
		return b
	}
	b = append(b, `{"text_offset":[`...)
	for i := range tokens {
		b = appendInt(comma(b, i), offset)
		if pieces != nil {
			offset += len(pieces[i])
		}
	}
	b = append(b, `],"token_logprobs":[`...)
	printed := make([]int, 0, 2*len(tokens)) // where each number begins and ends: it is printed once
	for i := range tokens {
		b = comma(b, i)
		from := len(b)
		b = appendFloat(b, logprobs[i])
		printed = append(printed, from, len(b))
	}
	b = append(b, `],"tokens":[`...)
	for i := range tokens {
		b = name(comma(b, i), i)
	}
	b = append(b, `],"top_logprobs":[`...)
	for i := range tokens {
		b = comma(b, i)
		if logprobs[i] != logprobs[i] { // the first of a prompt has none
			b = append(b, "null"...)
			continue
		}
		b = name(append(b, '{'), i)
		b = append(b, ':')
		b = append(b, b[printed[2*i]:printed[2*i+1]]...)
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// appendPromptLogprobs prints the scores of a prompt, each token's own, null for the first.
func (s *Server) appendPromptLogprobs(b []byte, prompt []int32, scores []float32) []byte {
	b = append(b, "[null"...)
	for i := 1; i < len(prompt); i++ {
		b = strconv.AppendInt(append(b, `,{"`...), int64(prompt[i]), 10)
		b = appendFloat(append(b, `":{"logprob":`...), scores[i])
		b = append(b, `,"rank":null,"decoded_token":`...)
		if s.o.Tokenizer == nil {
			b = append(b, "null"...)
		} else {
			b = appendString(b, s.o.Tokenizer.Token(prompt[i]))
		}
		b = append(b, "}}"...)
	}
	return append(b, ']')
}

// parallel runs n parts at a time and returns the first error by order.
func parallel(n int, part func(i int) error) error {
	if n == 1 {
		return part(0)
	}
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- part(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// requestID is the client's id for a request, or a fresh one.
func requestID(r *http.Request, given string) string {
	if given != "" {
		return given
	}
	if id := r.Header.Get("X-Request-Id"); id != "" {
		return id
	}
	return fmt.Sprintf("%016x", seed(nil))
}
