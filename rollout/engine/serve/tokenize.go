package serve

import (
	"encoding/json"
	"net/http"
)

// tokenize answers POST /tokenize in vLLM's form, {"prompt"} or {"messages"}, and in llama-server's,
// {"content"}.
func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) {
	var req struct {
		chatTemplateRequest
		Prompt           *string `json:"prompt"`
		Content          *string `json:"content"`
		AddSpecialTokens *bool   `json:"add_special_tokens"`
		AddSpecial       bool    `json:"add_special"`
		ReturnTokenStrs  bool    `json:"return_token_strs"`
		WithPieces       bool    `json:"with_pieces"`
	}
	if err := s.read(r, &req); err != nil {
		s.fail(w, openai, err)
		return
	}
	if req.Content != nil {
		s.llamaTokenize(w, *req.Content, req.AddSpecial, req.WithPieces)
		return
	}
	var tokens []int32
	var err error
	switch {
	case req.Messages != nil:
		tokens, err = s.render(&req.chatTemplateRequest)
	case req.Prompt == nil:
		err = badf("prompt", "give prompt, or messages (content in llama-server's dialect)")
	case *req.Prompt == "":
		tokens = []int32{}
	default:
		tokens, err = s.tokens(prompt{text: *req.Prompt, isText: true}, !value(req.AddSpecialTokens, true))
	}
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	b := appendInt([]byte(`{"count":`), len(tokens))
	b = appendInt(append(b, `,"max_model_len":`...), s.caps.MaxContext)
	b = appendIDs(append(b, `,"tokens":`...), tokens)
	b = append(b, `,"token_strs":`...)
	if req.ReturnTokenStrs {
		names := make([]string, len(tokens))
		for i, t := range tokens {
			names[i] = s.o.Tokenizer.Token(t)
		}
		list, err := json.Marshal(names)
		if err != nil { // strings always have a JSON
			panic(err)
		}
		b = append(b, list...)
	} else {
		b = append(b, "null"...)
	}
	writeJSON(w, http.StatusOK, append(b, '}'))
}

func (s *Server) llamaTokenize(w http.ResponseWriter, content string, special, pieces bool) {
	tokens := []int32{}
	if content != "" {
		var err error
		if tokens, err = s.tokens(prompt{text: content, isText: true}, !special); err != nil {
			s.fail(w, llama, err)
			return
		}
	}
	if !pieces {
		b := appendIDs([]byte(`{"tokens":`), tokens)
		writeJSON(w, http.StatusOK, append(b, '}'))
		return
	}
	b := []byte(`{"tokens":[`)
	for i, t := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendInt(append(b, `{"id":`...), int(t))
		b = appendString(append(b, `,"piece":`...), s.o.Tokenizer.Token(t))
		b = append(b, '}')
	}
	writeJSON(w, http.StatusOK, append(b, "]}"...))
}

// detokenize answers POST /detokenize: vLLM calls the text prompt, llama-server content.
func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Tokens ids `json:"tokens"`
	}
	if err := s.read(r, &req); err != nil {
		s.fail(w, openai, err)
		return
	}
	if s.o.Tokenizer == nil {
		s.fail(w, openai, missing("this server has no tokenizer"))
		return
	}
	text := s.o.Tokenizer.Decode(req.Tokens)
	b := appendString([]byte(`{"prompt":`), text)
	b = appendString(append(b, `,"content":`...), text)
	writeJSON(w, http.StatusOK, append(b, '}'))
}
