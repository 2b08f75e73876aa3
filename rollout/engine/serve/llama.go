package serve

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"pith/rollout/engine"
)

// llamaRequest is the body of POST /completion.
type llamaRequest struct {
	Prompt       json.RawMessage `json:"prompt"`
	NPredict     *int            `json:"n_predict"`
	Temperature  *float64        `json:"temperature"`
	TopK         *int            `json:"top_k"`
	TopP         *float64        `json:"top_p"`
	MinP         *float64        `json:"min_p"`
	Samplers     []string        `json:"samplers"`
	Seed         *int64          `json:"seed"`
	NProbs       int             `json:"n_probs"`
	ReturnTokens bool            `json:"return_tokens"`
	Stop         words           `json:"stop"`
	IgnoreEOS    bool            `json:"ignore_eos"`
	Stream       bool            `json:"stream"`
	NCmpl        *int            `json:"n_cmpl"`

	RepeatPenalty    json.RawMessage `json:"repeat_penalty"`
	PresencePenalty  json.RawMessage `json:"presence_penalty"`
	FrequencyPenalty json.RawMessage `json:"frequency_penalty"`
	TypicalP         json.RawMessage `json:"typical_p"`
	DryMultiplier    json.RawMessage `json:"dry_multiplier"`
	XTCProbability   json.RawMessage `json:"xtc_probability"`
	Mirostat         json.RawMessage `json:"mirostat"`
	DynatempRange    json.RawMessage `json:"dynatemp_range"`
	LogitBias        json.RawMessage `json:"logit_bias"`
	Grammar          json.RawMessage `json:"grammar"`
	JSONSchema       json.RawMessage `json:"json_schema"`
	PostSampling     json.RawMessage `json:"post_sampling_probs"`
	Lora             json.RawMessage `json:"lora"`
	ResponseFields   json.RawMessage `json:"response_fields"`
}

// llamaCall is a request made ready.
type llamaCall struct {
	s    *Server
	req  *llamaRequest
	work *work
}

func (s *Server) llamaCompletion(w http.ResponseWriter, r *http.Request) {
	c, err := s.readLlama(r)
	if err != nil {
		s.fail(w, llama, err)
		return
	}
	lives := s.live(c.work, c.req.Stop, true, false, true)
	if c.req.Stream {
		c.stream(w, r, lives)
		return
	}
	c.work.watch = nil
	if len(c.req.Stop) > 0 {
		c.work.watch = func(i int, tokens []int32, _ []float32) (int, bool) {
			_, keep, more := lives[i].push(tokens)
			return keep, more
		}
	}
	out, err := s.run(r.Context(), c.work)
	if err != nil {
		s.fail(w, llama, err)
		return
	}
	out.stops = stoppersOf(lives)
	b := make([]byte, 0, 512+96*out.tokens())
	if c.req.NCmpl != nil && *c.req.NCmpl > 1 {
		b = append(b, '[')
	}
	for i := range out.samples {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.answer(b, out, i, lives[i])
	}
	if b[0] == '[' {
		b = append(b, ']')
	}
	writeJSON(w, http.StatusOK, b)
}

// has says whether a sampler is in the chain; no list means all.
func (q *llamaRequest) has(names ...string) bool {
	return q.Samplers == nil || slices.ContainsFunc(q.Samplers, func(s string) bool { return slices.Contains(names, s) })
}

func (s *Server) readLlama(r *http.Request) (*llamaCall, error) {
	q := &llamaRequest{}
	if err := s.read(r, q); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name    string
		raw     json.RawMessage
		neutral string
	}{
		{"repeat_penalty", q.RepeatPenalty, "1"}, {"presence_penalty", q.PresencePenalty, "0"}, {"frequency_penalty", q.FrequencyPenalty, "0"},
		{"typical_p", q.TypicalP, "1"}, {"dry_multiplier", q.DryMultiplier, "0"}, {"xtc_probability", q.XTCProbability, "0"},
		{"mirostat", q.Mirostat, "0"}, {"dynatemp_range", q.DynatempRange, "0"}, {"logit_bias", q.LogitBias, "[]"}, {"grammar", q.Grammar, `""`},
		{"json_schema", q.JSONSchema, ""}, {"post_sampling_probs", q.PostSampling, "false"}, {"lora", q.Lora, "[]"}, {"response_fields", q.ResponseFields, "[]"},
	} {
		if !neutral(f.raw, f.neutral) {
			return nil, badf(f.name, "%s is not supported by this server; leave it out", f.name)
		}
	}
	switch {
	case q.NProbs < 0 || q.NProbs > 1:
		return nil, badf("n_probs", "n_probs is %d: this server gives the sampled token's log-probability only, send 0 or 1", q.NProbs)
	case len(q.Stop) > 0 && s.o.Tokenizer == nil:
		return nil, badf("stop", "this server has no tokenizer")
	case value(q.NCmpl, 1) < 1:
		return nil, badf("n_cmpl", "n_cmpl must be at least 1, got %d", *q.NCmpl)
	}
	if b := bytes.TrimSpace(q.Prompt); len(b) > 1 && b[0] == '[' && b[skipSpace(b, 1)] == '[' {
		return nil, badf("prompt", "one prompt a request: send several requests")
	}
	all, err := prompts(q.Prompt, "prompt")
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, badf("prompt", "one prompt a request: send several requests")
	}
	ids, err := s.tokens(all[0], false)
	if err != nil {
		return nil, err
	}
	room := s.caps.MaxContext - len(ids)
	if s.caps.MaxContext > 0 && room < 1 {
		return nil, badf("prompt", "the request (%d tokens) exceeds the available context size (%d tokens)", len(ids), s.caps.MaxContext)
	}
	n := value(q.NPredict, -1)
	if n < 0 {
		n = max(1, room)
	}
	given := q.Seed
	if given != nil && *given == -1 {
		given = nil
	}
	// llama-server's own defaults, which a client that leaves a parameter out gets there too.
	p := engine.Params{MaxTokens: n, Temperature: 1, TopP: 1, Seed: seed(given), StopTokens: s.stops(nil, q.IgnoreEOS)}
	if q.has("temperature") {
		p.Temperature = max(0, value(q.Temperature, 0.8))
	}
	if q.has("top_k") {
		p.TopK = max(0, value(q.TopK, 40))
	}
	if q.has("top_p") {
		p.TopP = min(1, value(q.TopP, 0.95))
	}
	if q.has("min_p") {
		p.MinP = max(0, value(q.MinP, 0.05))
	}
	if err := checkParams(p); err != nil {
		return nil, err
	}
	return &llamaCall{s: s, req: q, work: &work{id: "llama-" + requestID(r, ""), prompt: ids, n: value(q.NCmpl, 1), params: p, kind: engine.LogprobRaw}}, nil
}

func (c *llamaCall) answer(b []byte, o *outcome, i int, l *live) []byte {
	q := &o.samples[i]
	b = appendInt(append(b, `{"index":`...), i)
	b = appendString(append(b, `,"content":`...), c.s.textOf(o, i, c.work.prompt, true, false))
	b = append(b, `,"tokens":`...)
	if c.req.ReturnTokens {
		b = appendIDs(b, q.tokens)
	} else {
		b = append(b, "[]"...)
	}
	b = c.probabilities(b, l, q.tokens, q.logprobs)
	return append(c.end(b, o, i), '}')
}

// end is what the whole answer and the last event of a stream finish with.
func (c *llamaCall) end(b []byte, o *outcome, i int) []byte {
	q := &o.samples[i]
	kind, word := "none", ""
	switch {
	case q.cut && o.stops != nil:
		kind, word = "word", o.stops[i].found
	case q.finish == engine.FinishStop:
		kind = "eos"
	case q.finish == engine.FinishLength:
		kind = "limit"
	}
	b = appendString(append(b, `,"stop":true,"stop_type":`...), kind)
	b = appendString(append(b, `,"stopping_word":`...), word)
	b = appendString(append(b, `,"model":`...), c.s.o.Model)
	b = appendInt(append(b, `,"truncated":false,"tokens_predicted":`...), len(q.tokens))
	b = appendInt(append(b, `,"tokens_evaluated":`...), len(c.work.prompt))
	b = appendInt(append(b, `,"tokens_cached":`...), o.cached)
	return append(b, `,"timings":{}`...)
}

// probabilities are the log-probabilities of tokens, where they were asked for.
func (c *llamaCall) probabilities(b []byte, l *live, tokens []int32, logprobs []float32) []byte {
	if c.req.NProbs == 0 {
		return b
	}
	pieces := l.pieces(tokens)
	b = append(b, `,"completion_probabilities":[`...)
	for i, t := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		piece := ""
		if pieces != nil {
			piece = pieces[i]
		}
		b = strconv.AppendInt(append(b, `{"id":`...), int64(t), 10)
		b = appendString(append(b, `,"token":`...), piece)
		b = append(b, `,"bytes":[`...)
		for k := range len(piece) {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendInt(b, int(piece[k]))
		}
		b = appendFloat(append(b, `],"logprob":`...), logprobs[i])
		b = append(b, `,"top_logprobs":[]}`...)
	}
	return append(b, ']')
}

// stream sends new text with its tokens, and the reason with the last event. It ends without [DONE],
// as llama-server's own dialect does.
func (c *llamaCall) stream(w http.ResponseWriter, r *http.Request, lives []*live) {
	ev := c.s.events(w, llama)
	c.work.watch = func(i int, tokens []int32, logprobs []float32) (int, bool) {
		text, keep, more := lives[i].push(tokens)
		b := appendInt(append(make([]byte, 0, 128+96*keep), `{"index":`...), i)
		b = appendString(append(b, `,"content":`...), text)
		b = appendIDs(append(b, `,"tokens":`...), tokens[:keep])
		b = c.probabilities(b, lives[i], tokens[:keep], logprobs[:keep])
		ev.send(append(b, `,"stop":false}`...))
		return keep, more
	}
	out, err := c.s.run(r.Context(), c.work)
	if err != nil {
		if r.Context().Err() == nil {
			ev.fail(err)
		}
		return
	}
	out.stops = stoppersOf(lives)
	for i := range out.samples {
		b := appendInt([]byte(`{"index":`), i)
		b = appendString(append(b, `,"content":`...), lives[i].rest())
		b = append(b, `,"tokens":[]`...)
		ev.send(append(c.end(b, out, i), '}'))
	}
}

// llamaProps answers GET /props.
func (s *Server) llamaProps(w http.ResponseWriter, r *http.Request) {
	slots, _, _ := s.slots(r)
	end := "" // clients ask /tokenize for its id
	if len(s.o.EOS) > 0 && s.o.Tokenizer != nil {
		end = s.o.Tokenizer.Decode(s.o.EOS[:1])
	}
	reply(w, object{"eos_token": end, "default_generation_settings": object{"n_ctx": s.caps.MaxContext}, "total_slots": slots, "model_path": s.o.ModelPath,
		"model_alias": s.o.Model, "chat_template": "", "build_info": s.o.Version})
}

// llamaSlots answers GET /slots; with fail_on_no_slot a full engine is a 503.
func (s *Server) llamaSlots(w http.ResponseWriter, r *http.Request) {
	slots, running, err := s.slots(r)
	if err != nil {
		s.fail(w, llama, err)
		return
	}
	if r.URL.Query().Get("fail_on_no_slot") != "" && running >= slots {
		s.fail(w, llama, &problem{status: http.StatusServiceUnavailable, msg: "no slot available"})
		return
	}
	list := make([]object, slots)
	for i := range list {
		list[i] = object{"id": i, "n_ctx": s.caps.MaxContext, "is_processing": i < running}
	}
	reply(w, list)
}

// slots are how many sequences the engine decodes at a time, and how many it does now.
func (s *Server) slots(r *http.Request) (slots, running int, err error) {
	if s.o.Observer == nil {
		return 1, 0, nil
	}
	stats, err := s.o.Observer.Stats(r.Context())
	for _, st := range stats {
		slots += int(st.Raw["slots"])
		running += st.Running
	}
	return max(slots, 1), min(running, max(slots, 1)), err
}
