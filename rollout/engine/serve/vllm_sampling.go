package serve

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"slices"

	"pith/rollout/engine"
)

// vllmSampling are the sampling parameters under the names that vLLM gives them, in completions, in
// chats and in the generate endpoint's sampling_params.
type vllmSampling struct {
	N                 *int     `json:"n"`
	MaxTokens         *int     `json:"max_tokens"`
	MinTokens         int      `json:"min_tokens"`
	Temperature       *float64 `json:"temperature"`
	TopP              *float64 `json:"top_p"`
	TopK              *int     `json:"top_k"`
	MinP              *float64 `json:"min_p"`
	Seed              *int64   `json:"seed"`
	Stop              words    `json:"stop"`
	StopTokenIDs      ids      `json:"stop_token_ids"`
	IncludeStop       bool     `json:"include_stop_str_in_output"`
	IgnoreEOS         bool     `json:"ignore_eos"`
	SkipSpecialTokens *bool    `json:"skip_special_tokens"`
	PromptLogprobs    *int     `json:"prompt_logprobs"`

	// What this server does not do is taken at its neutral value only.
	RepetitionPenalty json.RawMessage `json:"repetition_penalty"`
	PresencePenalty   json.RawMessage `json:"presence_penalty"`
	FrequencyPenalty  json.RawMessage `json:"frequency_penalty"`
	LogitBias         json.RawMessage `json:"logit_bias"`
	AllowedTokenIDs   json.RawMessage `json:"allowed_token_ids"`
	BadWords          json.RawMessage `json:"bad_words"`
	BeamSearch        json.RawMessage `json:"use_beam_search"`
	ResponseFormat    json.RawMessage `json:"response_format"`
	StructuredOutputs json.RawMessage `json:"structured_outputs"`
	GuidedJSON        json.RawMessage `json:"guided_json"`
	GuidedRegex       json.RawMessage `json:"guided_regex"`
	GuidedChoice      json.RawMessage `json:"guided_choice"`
	GuidedGrammar     json.RawMessage `json:"guided_grammar"`
}

// supported refuses parameters that this server knows and cannot do.
func (v *vllmSampling) supported() error {
	for _, f := range []struct {
		name    string
		raw     json.RawMessage
		neutral []string
	}{
		{"repetition_penalty", v.RepetitionPenalty, []string{"1"}},
		{"presence_penalty", v.PresencePenalty, []string{"0"}},
		{"frequency_penalty", v.FrequencyPenalty, []string{"0"}},
		{"logit_bias", v.LogitBias, []string{"{}"}},
		{"allowed_token_ids", v.AllowedTokenIDs, []string{"[]"}},
		{"bad_words", v.BadWords, []string{"[]"}},
		{"use_beam_search", v.BeamSearch, []string{"false"}},
		{"response_format", v.ResponseFormat, []string{`{"type":"text"}`, `{"type": "text"}`}},
		{"structured_outputs", v.StructuredOutputs, nil},
		{"guided_json", v.GuidedJSON, nil},
		{"guided_regex", v.GuidedRegex, nil},
		{"guided_choice", v.GuidedChoice, nil},
		{"guided_grammar", v.GuidedGrammar, nil},
	} {
		if !neutral(f.raw, f.neutral...) {
			return badf(f.name, "%s is not supported by this server; leave it out", f.name)
		}
	}
	if v.PromptLogprobs != nil && (*v.PromptLogprobs < 0 || *v.PromptLogprobs > 1) {
		return badf("prompt_logprobs", "prompt_logprobs is %d: this server scores the prompt's own tokens only, send 0 or 1", *v.PromptLogprobs)
	}
	return nil
}

// params are the engine's.
func (v *vllmSampling) params(s *Server, maxTokens int) (engine.Params, error) {
	p := engine.Params{
		MaxTokens: maxTokens, MinTokens: v.MinTokens,
		Temperature: value(v.Temperature, 1), TopP: value(v.TopP, 1), TopK: off(v.TopK), MinP: value(v.MinP, 0),
		StopTokens: s.stops(v.StopTokenIDs, v.IgnoreEOS), Seed: seed(v.Seed),
	}
	if err := v.supported(); err != nil {
		return p, err
	}
	return p, checkParams(p)
}

// off is the top-k that switches it off where it was left out or is -1.
func off(k *int) int {
	if k == nil || *k == -1 {
		return 0
	}
	return *k
}

// stops are the tokens that end a sequence.
func (s *Server) stops(explicit []int32, ignoreEOS bool) []int32 {
	out := slices.Clone(explicit)
	if ignoreEOS {
		return out
	}
	for _, t := range s.o.EOS {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// seed is the key of the random stream: the client's, or a fresh one.
func seed(given *int64) uint64 {
	if given != nil {
		return uint64(*given)
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:])
}
