package serve

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// generateRequest is the body of POST /inference/v1/generate.
type generateRequest struct {
	TokenIDs       ids              `json:"token_ids"`
	Model          string           `json:"model"`
	RequestID      string           `json:"request_id"`
	Stream         bool             `json:"stream"`
	StreamOptions  *streamOptions   `json:"stream_options"`
	SamplingParams generateSampling `json:"sampling_params"`
	OutputMode     string           `json:"output_mode"`
	Features       json.RawMessage  `json:"features"`
	ContentParts   json.RawMessage  `json:"content_parts"`
	KVTransfer     json.RawMessage  `json:"kv_transfer_params"`
}

type generateSampling struct {
	vllmSampling
	Logprobs  *int      `json:"logprobs"`
	ExtraArgs extraArgs `json:"extra_args"`
}

// generation is a request made ready.
type generation struct {
	s       *Server
	id      string
	model   string
	created int64
	req     *generateRequest
	work    *work
}

func (s *Server) generateTokens(w http.ResponseWriter, r *http.Request) {
	g, err := s.readGeneration(r)
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	if g.req.Stream {
		g.stream(w, r)
		return
	}
	out, err := s.run(r.Context(), g.work)
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	writeJSON(w, http.StatusOK, g.answer(out))
}

func (s *Server) readGeneration(r *http.Request) (*generation, error) {
	req := &generateRequest{}
	if err := s.read(r, req); err != nil {
		return nil, err
	}
	sp := &req.SamplingParams
	n := value(sp.N, 1)
	switch {
	case len(req.TokenIDs) == 0:
		return nil, badf("token_ids", "token_ids must hold at least one token")
	case n < 1:
		return nil, badf("n", "n must be at least 1, got %d", n)
	case sp.Logprobs != nil && (*sp.Logprobs < 0 || *sp.Logprobs > 1):
		return nil, badf("logprobs", "Requested sample logprobs of %d, which is greater than max allowed: 1. This server gives the sampled token's", *sp.Logprobs)
	case len(sp.Stop) > 0:
		return nil, badf("stop", "stop texts are not supported with tokens out; use stop_token_ids")
	case req.OutputMode != "" && req.OutputMode != "tokens":
		return nil, badf("output_mode", "output_mode %q is not supported by this server, only \"tokens\"", req.OutputMode)
	case sp.ExtraArgs.First < 0:
		return nil, badf("extra_args", "pith_first must be at least 0, got %d", sp.ExtraArgs.First)
	}
	for name, raw := range map[string]json.RawMessage{"features": req.Features, "content_parts": req.ContentParts, "kv_transfer_params": req.KVTransfer} {
		if !neutral(raw) {
			return nil, badf(name, "%s is not supported by this server; leave it out", name)
		}
	}
	// The engine stops at the end of the context by itself.
	maxTokens := value(sp.MaxTokens, max(1, s.caps.MaxContext-len(req.TokenIDs)))
	if maxTokens < 1 {
		return nil, badf("max_tokens", "max_tokens must be at least 1, got %d.", maxTokens)
	}
	params, err := sp.params(s, maxTokens)
	if err != nil {
		return nil, err
	}
	g := &generation{s: s, req: req, id: "generate-tokens-" + requestID(r, req.RequestID), model: req.Model, created: time.Now().Unix()}
	or(&g.model, s.o.Model)
	g.work = &work{id: g.id, model: req.Model, prompt: req.TokenIDs, n: n, first: sp.ExtraArgs.First, params: params, kind: s.o.VLLMLogprobs, score: sp.PromptLogprobs != nil}
	return g, nil
}

func (g *generation) answer(out *outcome) []byte {
	total := out.tokens()
	b := make([]byte, 0, 512+80*total)
	b = g.head(b)
	b = append(b, `,"choices":[`...)
	for i := range out.samples {
		if i > 0 {
			b = append(b, ',')
		}
		q := &out.samples[i]
		b = appendInt(append(b, `{"index":`...), i)
		b = g.piece(b, q.tokens, q.logprobs)
		b = appendString(append(b, `,"finish_reason":`...), vllmFinish(q.finish))
		b = appendReason(append(b, `,"stop_reason":`...), g.s.stopReason(out, i, q))
		b = appendSpans(append(b, `,"weight_versions":`...), q.spans)
		b = append(b, '}')
	}
	b = append(b, `],"usage":`...)
	b = appendUsage(b, len(g.work.prompt), total)
	b = append(b, `,"prompt_logprobs":`...)
	if g.work.score {
		b = g.s.appendPromptLogprobs(b, g.work.prompt, out.prompt)
	} else {
		b = append(b, "null"...)
	}
	return append(b, `,"output_mode":"tokens"}`...)
}

func (g *generation) head(b []byte) []byte {
	b = appendString(append(b, `{"request_id":`...), g.id)
	b = strconv.AppendInt(append(b, `,"created":`...), g.created, 10)
	return appendString(append(b, `,"model":`...), g.model)
}

// piece is tokens with their log-probabilities. The rank of a token is not known here and left out.
func (g *generation) piece(b []byte, tokens []int32, logprobs []float32) []byte {
	b = appendIDs(append(b, `,"token_ids":`...), tokens)
	b = append(b, `,"logprobs":`...)
	if g.req.SamplingParams.Logprobs == nil {
		return append(b, "null"...)
	}
	b = append(b, `{"content":[`...)
	for i, t := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"token_id":`...), int64(t), 10)
		b = appendFloat(append(b, `,"logprob":`...), logprobs[i])
		b = append(b, `,"top_logprobs":[]}`...)
	}
	return append(b, "]}"...)
}
