package serve

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pith/rollout/engine"
)

// sglangRequest is the body of POST /generate.
type sglangRequest struct {
	Text               json.RawMessage `json:"text"`
	InputIDs           json.RawMessage `json:"input_ids"`
	SamplingParams     json.RawMessage `json:"sampling_params"`
	RID                words           `json:"rid"`
	ReturnLogprob      json.RawMessage `json:"return_logprob"`
	LogprobStartLen    json.RawMessage `json:"logprob_start_len"`
	TopLogprobsNum     json.RawMessage `json:"top_logprobs_num"`
	TokenIDsLogprob    json.RawMessage `json:"token_ids_logprob"`
	ReturnTextLogprobs bool            `json:"return_text_in_logprobs"`
	Stream             bool            `json:"stream"`
	LoRAPath           json.RawMessage `json:"lora_path"`
	ReturnPromptIDs    bool            `json:"return_prompt_token_ids"`
	ImageData          json.RawMessage `json:"image_data"`
	InputEmbeds        json.RawMessage `json:"input_embeds"`
	ReturnHidden       json.RawMessage `json:"return_hidden_states"`
}

// sglangSampling are SGLang's sampling parameters. It refuses names that it does not know, and so do
// we.
type sglangSampling struct {
	MaxNewTokens      *int            `json:"max_new_tokens"`
	MinNewTokens      int             `json:"min_new_tokens"`
	Temperature       *float64        `json:"temperature"`
	TopP              *float64        `json:"top_p"`
	TopK              *int            `json:"top_k"`
	MinP              *float64        `json:"min_p"`
	N                 *int            `json:"n"`
	Stop              words           `json:"stop"`
	StopTokenIDs      ids             `json:"stop_token_ids"`
	IgnoreEOS         bool            `json:"ignore_eos"`
	SkipSpecialTokens *bool           `json:"skip_special_tokens"`
	SpacesBetween     *bool           `json:"spaces_between_special_tokens"`
	NoStopTrim        bool            `json:"no_stop_trim"`
	SamplingSeed      *int64          `json:"sampling_seed"`
	Custom            extraArgs       `json:"custom_params"`
	RepetitionPenalty json.RawMessage `json:"repetition_penalty"`
	PresencePenalty   json.RawMessage `json:"presence_penalty"`
	FrequencyPenalty  json.RawMessage `json:"frequency_penalty"`
	LogitBias         json.RawMessage `json:"logit_bias"`
	JSONSchema        json.RawMessage `json:"json_schema"`
	Regex             json.RawMessage `json:"regex"`
	EBNF              json.RawMessage `json:"ebnf"`
	StructuralTag     json.RawMessage `json:"structural_tag"`
	StopRegex         json.RawMessage `json:"stop_regex"`
	StreamInterval    json.RawMessage `json:"stream_interval"`
}

// sglangDefaultTokens is what SGLang generates where the request does not say.
const sglangDefaultTokens = 128

// sglangPart is one prompt of a request.
type sglangPart struct {
	id      string
	prompt  []int32
	n       int
	params  engine.Params
	raw     *sglangSampling
	model   string
	logprob bool
	from    int // scores of the prompt are wanted from here; -1: none
}

// sglangCall is a request made ready.
type sglangCall struct {
	s      *Server
	req    *sglangRequest
	parts  []sglangPart
	single bool // the answer is an object, not a list
}

func (s *Server) sglangGenerate(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c, err := s.readSGLang(r)
	if err != nil {
		s.fail(w, sglang, err)
		return
	}
	if c.req.Stream {
		c.stream(w, r, began)
		return
	}
	outs := make([]*outcome, len(c.parts))
	err = parallel(len(c.parts), func(i int) error {
		var err error
		wk := c.work(i)
		stops := s.watchStops(wk, c.parts[i].raw.Stop, value(c.parts[i].raw.SkipSpecialTokens, true))
		if outs[i], err = s.run(r.Context(), wk); err == nil {
			outs[i].stops = stops
		}
		return err
	})
	if err != nil {
		s.fail(w, sglang, err)
		return
	}
	total := 0
	for _, o := range outs {
		total += o.tokens()
	}
	b := make([]byte, 0, 512+48*total)
	if !c.single {
		b = append(b, '[')
	}
	for p, o := range outs {
		for i := range o.samples {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = c.answer(b, p, o, i, time.Since(began))
		}
	}
	if !c.single {
		b = append(b, ']')
	}
	writeJSON(w, http.StatusOK, b)
}

// each reads a field that may be one value for all prompts, or a list with one for each.
func each[T any](raw json.RawMessage, n int, name string, otherwise T) ([]T, error) {
	out := make([]T, n)
	b := bytes.TrimSpace(raw)
	if len(b) == 0 || string(b) == "null" {
		for i := range out {
			out[i] = otherwise
		}
		return out, nil
	}
	if b[0] == '[' {
		var all []T
		if err := json.Unmarshal(b, &all); err != nil {
			return nil, badf(name, "field %q: %v", name, err)
		}
		if len(all) != n {
			return nil, badf(name, "field %q has %d entries for %d prompts", name, len(all), n)
		}
		return all, nil
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return nil, badf(name, "field %q: %v", name, err)
	}
	for i := range out {
		out[i] = one
	}
	return out, nil
}

func (s *Server) readSGLang(r *http.Request) (*sglangCall, error) {
	req := &sglangRequest{}
	if err := s.read(r, req); err != nil {
		return nil, err
	}
	text, given := !neutral(req.Text), !neutral(req.InputIDs)
	if text == given {
		return nil, badf("input_ids", "give either text or input_ids")
	}
	for name, raw := range map[string]json.RawMessage{"token_ids_logprob": req.TokenIDsLogprob, "image_data": req.ImageData,
		"input_embeds": req.InputEmbeds} {
		if !neutral(raw, "[]") {
			return nil, badf(name, "%s is not supported by this server; leave it out", name)
		}
	}
	if !neutral(req.ReturnHidden, "false") {
		return nil, badf("return_hidden_states", "return_hidden_states is not supported by this server")
	}
	field, raw := "input_ids", req.InputIDs
	if text {
		field, raw = "text", req.Text
	}
	all, err := prompts(raw, field)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || len(all) > s.o.MaxPrompts {
		return nil, badf(field, "%d prompts in one request, 1 to %d are served", len(all), s.o.MaxPrompts)
	}
	c := &sglangCall{s: s, req: req, parts: make([]sglangPart, len(all))}
	if err := c.fill(all, r); err != nil {
		return nil, err
	}
	b := bytes.TrimSpace(raw)
	list := b[0] == '[' && (text || b[skipSpace(b, 1)] == '[')
	c.single = !list && c.parts[0].n == 1
	return c, nil
}

func (c *sglangCall) fill(all []prompt, r *http.Request) error {
	n := len(all)
	raws, err := each[json.RawMessage](c.req.SamplingParams, n, "sampling_params", json.RawMessage("{}"))
	if err != nil {
		return err
	}
	logprob, err := each(c.req.ReturnLogprob, n, "return_logprob", false)
	if err != nil {
		return err
	}
	from, err := each(c.req.LogprobStartLen, n, "logprob_start_len", -1)
	if err != nil {
		return err
	}
	top, err := each(c.req.TopLogprobsNum, n, "top_logprobs_num", 0)
	if err != nil {
		return err
	}
	adapter, err := each(c.req.LoRAPath, n, "lora_path", "")
	if err != nil {
		return err
	}
	if len(c.req.RID) > 1 && len(c.req.RID) != n {
		return badf("rid", "%d ids for %d prompts", len(c.req.RID), n)
	}
	for i := range all {
		p := &c.parts[i]
		if top[i] > 1 {
			return badf("top_logprobs_num", "top_logprobs_num is %d: this server gives the sampled token's log-probability only", top[i])
		}
		p.raw = &sglangSampling{}
		d := json.NewDecoder(bytes.NewReader(raws[i]))
		d.DisallowUnknownFields()
		if err := d.Decode(p.raw); err != nil {
			return badf("sampling_params", "sampling_params: %v", err)
		}
		if p.prompt, err = c.s.tokens(all[i], false); err != nil {
			return err
		}
		if p.params, err = p.raw.params(c.s); err != nil {
			return err
		}
		p.n, p.model, p.logprob, p.from = value(p.raw.N, 1), adapter[i], logprob[i], -1
		if p.n < 1 {
			return badf("n", "n must be at least 1, got %d", p.n)
		}
		if p.logprob && from[i] >= 0 {
			p.from = from[i]
		}
		if limit := c.s.caps.MaxContext; limit > 0 && len(p.prompt)+p.params.MaxTokens > limit {
			return badf("max_new_tokens", "Requested token count exceeds the model's maximum context length of %d tokens. You requested a total of %d tokens: "+
				"%d tokens from the input messages and %d tokens for the completion.", limit, len(p.prompt)+p.params.MaxTokens, len(p.prompt), p.params.MaxTokens)
		}
		switch {
		case len(c.req.RID) == n:
			p.id = c.req.RID[i]
		case len(c.req.RID) == 1:
			p.id = c.req.RID[0]
		default:
			p.id = requestID(r, "")
		}
	}
	return nil
}

func (v *sglangSampling) params(s *Server) (engine.Params, error) {
	for _, f := range []struct {
		name    string
		raw     json.RawMessage
		neutral string
	}{
		{"repetition_penalty", v.RepetitionPenalty, "1"}, {"presence_penalty", v.PresencePenalty, "0"}, {"frequency_penalty", v.FrequencyPenalty, "0"},
		{"logit_bias", v.LogitBias, "{}"}, {"json_schema", v.JSONSchema, ""}, {"regex", v.Regex, ""}, {"ebnf", v.EBNF, ""},
		{"structural_tag", v.StructuralTag, ""}, {"stop_regex", v.StopRegex, "[]"},
	} {
		if !neutral(f.raw, f.neutral) {
			return engine.Params{}, badf(f.name, "%s is not supported by this server; leave it out", f.name)
		}
	}
	if len(v.Stop) > 0 && s.o.Tokenizer == nil {
		return engine.Params{}, badf("stop", "this server has no tokenizer: stop by stop_token_ids")
	}
	if v.Custom.First < 0 {
		return engine.Params{}, badf("custom_params", "pith_first must be at least 0, got %d", v.Custom.First)
	}
	p := engine.Params{
		MaxTokens: value(v.MaxNewTokens, sglangDefaultTokens), MinTokens: v.MinNewTokens,
		Temperature: value(v.Temperature, 1), TopP: value(v.TopP, 1), TopK: off(v.TopK), MinP: value(v.MinP, 0),
		StopTokens: s.stops(v.StopTokenIDs, v.IgnoreEOS), Seed: seed(v.SamplingSeed),
	}
	return p, checkParams(p)
}

func (c *sglangCall) work(i int) *work {
	p := &c.parts[i]
	return &work{id: p.id, model: p.model, prompt: p.prompt, n: p.n, first: p.raw.Custom.First, params: p.params, kind: engine.LogprobTempered, score: p.from >= 0}
}

// answer is one continuation.
func (c *sglangCall) answer(b []byte, part int, o *outcome, i int, took time.Duration) []byte {
	p, q := &c.parts[part], &o.samples[i]
	text := c.s.textOf(o, i, p.prompt, value(p.raw.SkipSpecialTokens, true), p.raw.NoStopTrim)
	b = appendString(append(b, `{"text":`...), text)
	b = appendIDs(append(b, `,"output_ids":`...), q.tokens)
	b = c.meta(append(b, `,"meta_info":`...), p, o, i, true, took)
	return append(b, '}')
}

// meta is what SGLang tells about a continuation so far.
func (c *sglangCall) meta(b []byte, p *sglangPart, o *outcome, i int, ended bool, took time.Duration) []byte {
	q := &o.samples[i]
	b = appendString(append(b, `{"id":`...), p.id)
	b = append(b, `,"finish_reason":`...)
	if ended {
		b = appendFinish(b, o, i)
	} else {
		b = append(b, "null"...)
	}
	b = appendInt(append(b, `,"prompt_tokens":`...), len(p.prompt))
	b = appendInt(append(b, `,"completion_tokens":`...), len(q.tokens))
	b = appendInt(append(b, `,"cached_tokens":`...), o.cached)
	b = strconv.AppendFloat(append(b, `,"e2e_latency":`...), took.Seconds(), 'f', 6, 64)
	b = appendString(append(b, `,"weight_version":`...), o.version)
	b = appendSpans(append(b, `,"weight_versions":`...), q.spans)
	if p.logprob {
		if p.from >= 0 && o.prompt != nil {
			from := min(p.from, len(p.prompt))
			b = c.triples(append(b, `,"input_token_logprobs":`...), p.prompt[from:], o.prompt[from:])
		} else {
			b = append(b, `,"input_token_logprobs":[]`...)
		}
		b = c.triples(append(b, `,"output_token_logprobs":`...), q.tokens, q.logprobs)
	}
	if c.req.ReturnPromptIDs {
		b = appendIDs(append(b, `,"prompt_token_ids":`...), p.prompt)
	}
	return append(b, '}')
}

// triples are (log-probability, token, text or null).
func (c *sglangCall) triples(b []byte, tokens []int32, logprobs []float32) []byte {
	b = append(b, '[')
	for i, t := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFloat(append(b, '['), logprobs[i])
		b = strconv.AppendInt(append(b, ','), int64(t), 10)
		if c.req.ReturnTextLogprobs && c.s.o.Tokenizer != nil {
			b = appendString(append(b, ','), c.s.o.Tokenizer.Token(t))
		} else {
			b = append(b, ",null"...)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

// appendFinish is SGLang's finish reason.
func appendFinish(b []byte, o *outcome, i int) []byte {
	q := &o.samples[i]
	switch {
	case q.cut && o.stops != nil:
		b = appendString(append(b, `{"type":"stop","matched":`...), o.stops[i].found)
	case q.finish == engine.FinishStop && len(q.tokens) > 0:
		b = strconv.AppendInt(append(b, `{"type":"stop","matched":`...), int64(q.tokens[len(q.tokens)-1]), 10)
	case q.finish == engine.FinishLength:
		b = appendInt(append(b, `{"type":"length","length":`...), len(q.tokens))
	default:
		b = appendString(append(b, `{"type":"abort","message":`...), strings.TrimSpace("Abort "+abortedWhen(q)))
	}
	return append(b, '}')
}

func abortedWhen(q *sample) string {
	if len(q.tokens) == 0 {
		return "before prefill"
	}
	return "while generating"
}
