package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"pith/rollout/engine"
)

// read decodes a request's body. Fields that it does not know are ignored, as by the servers whose
// dialects these are; those that it knows and cannot do are refused by the caller.
func (s *Server) read(r *http.Request, into any) error {
	held, ok := r.Body.(*heldBody)
	if !ok {
		return badf("", "the body is empty, a JSON object is wanted")
	}
	body := held.all
	if len(bytes.TrimSpace(body)) == 0 {
		return badf("", "the body is empty, a JSON object is wanted")
	}
	if err := json.Unmarshal(body, into); err != nil {
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			field := t.Field[strings.LastIndexByte(t.Field, '.')+1:]
			return badf(field, "field %q: got a %s, want %s", field, t.Value, t.Type)
		}
		return badf("", "the body is no JSON object: %v", err)
	}
	return nil
}

// readOptional is read for calls that may come without a body.
func (s *Server) readOptional(r *http.Request, into any) error {
	if r.ContentLength == 0 {
		return nil
	}
	return s.read(r, into)
}

// ids is a list of token ids; it is decoded without a detour through reflection, since prompts are
// long.
type ids []int32

// UnmarshalJSON reads an array of integers that fit an int32.
func (t *ids) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = nil
		return nil
	}
	if len(b) < 2 || b[0] != '[' {
		return fmt.Errorf("%s is no list of token ids", clip(b))
	}
	out := make(ids, 0, bytes.Count(b, []byte{','})+1)
	for at := 1; ; {
		at = skipSpace(b, at)
		if at < len(b) && b[at] == ']' && len(out) == 0 {
			break
		}
		from := at
		for at < len(b) && (b[at] == '-' || b[at] >= '0' && b[at] <= '9') {
			at++
		}
		n, err := strconv.ParseInt(string(b[from:at]), 10, 32)
		if err != nil {
			return fmt.Errorf("%s is no token id", clip(b[from:]))
		}
		out = append(out, int32(n))
		at = skipSpace(b, at)
		if at >= len(b) || b[at] != ',' && b[at] != ']' {
			return fmt.Errorf("%s is no token id", clip(b[from:]))
		}
		if b[at] == ']' {
			break
		}
		at++
	}
	*t = out
	return nil
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\n' || b[at] == '\r') {
		at++
	}
	return at
}

// clip shortens what is quoted in an error.
func clip(b []byte) string {
	const most = 40
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}

// words is a string or a list of strings.
type words []string

// UnmarshalJSON reads either form; null is none.
func (w *words) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var one string
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// prompt is one prompt, as text or as ids.
type prompt struct {
	text   string
	ids    ids
	isText bool
}

// prompts reads what a request's prompt may be: a text, ids, or a list of either.
func prompts(raw json.RawMessage, field string) ([]prompt, error) {
	b := bytes.TrimSpace(raw)
	bad := func(err error) ([]prompt, error) {
		return nil, badf(field, "field %q: want a text, token ids, or a list of either: %v", field, err)
	}
	switch {
	case len(b) == 0 || string(b) == "null":
		return nil, badf(field, "field %q is required", field)
	case b[0] == '"':
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return bad(err)
		}
		return []prompt{{text: text, isText: true}}, nil
	case b[0] != '[':
		return bad(fmt.Errorf("got %s", clip(b)))
	}
	switch b[skipSpace(b, 1)] {
	case '"':
		var texts []string
		if err := json.Unmarshal(b, &texts); err != nil {
			return bad(err)
		}
		out := make([]prompt, len(texts))
		for i, t := range texts {
			out[i] = prompt{text: t, isText: true}
		}
		return out, nil
	case '[':
		var lists []ids
		if err := json.Unmarshal(b, &lists); err != nil {
			return bad(err)
		}
		out := make([]prompt, len(lists))
		for i, l := range lists {
			out[i] = prompt{ids: l}
		}
		return out, nil
	}
	var one ids
	if err := one.UnmarshalJSON(b); err != nil {
		return bad(err)
	}
	return []prompt{{ids: one}}, nil
}

// tokens are the ids of a prompt. Text gets the tokens that begin one, unless plain.
func (s *Server) tokens(p prompt, plain bool) ([]int32, error) {
	if !p.isText {
		if len(p.ids) == 0 {
			return nil, badf("prompt", "the prompt is empty")
		}
		return p.ids, nil
	}
	if s.o.Tokenizer == nil {
		return nil, missing("this server has no tokenizer: send the prompt as token ids")
	}
	got, err := s.o.Tokenizer.Encode(p.text)
	if err != nil {
		return nil, badf("prompt", "the prompt: %v", err)
	}
	if !plain {
		got = append(append([]int32(nil), s.o.BOS...), got...)
	}
	if len(got) == 0 {
		return nil, badf("prompt", "the prompt is empty")
	}
	return got, nil
}

// neutral says whether a parameter that this server does not have is at a value that changes nothing.
func neutral(raw json.RawMessage, values ...string) bool {
	text := string(bytes.TrimSpace(raw))
	if text == "" || text == "null" {
		return true
	}
	for _, v := range values {
		if text == v {
			return true
		}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		for _, v := range values {
			if g, err := strconv.ParseFloat(v, 64); err == nil && f == g {
				return true
			}
		}
	}
	return false
}

// value is what a pointer points at.
func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// checkParams reports what the engine would refuse later, with the name of the field.
func checkParams(p engine.Params) error {
	switch {
	case p.MaxTokens < 0:
		return badf("max_tokens", "max_tokens must be at least 1, got %d", p.MaxTokens)
	case p.MinTokens < 0 || p.MinTokens > p.MaxTokens:
		return badf("min_tokens", "min_tokens must be between 0 and max_tokens=%d, got %d", p.MaxTokens, p.MinTokens)
	case !(p.Temperature >= 0) || math.IsInf(p.Temperature, 0):
		return badf("temperature", "temperature must be a non-negative number, got %v", p.Temperature)
	case !(p.TopP > 0 && p.TopP <= 1):
		return badf("top_p", "top_p must be in (0, 1], got %v", p.TopP)
	case p.TopK < 0:
		return badf("top_k", "top_k must be 0 or -1 (off), or at least 1, got %d", p.TopK)
	case !(p.MinP >= 0 && p.MinP <= 1):
		return badf("min_p", "min_p must be in [0, 1], got %v", p.MinP)
	}
	return nil
}
