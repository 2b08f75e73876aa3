package faulty

import (
	"bytes"
	"regexp"
)

// Where answers hold the log-probabilities of sampled tokens, in the dialects of vLLM (generate and
// completions), SGLang and llama-server, and where they hold the tokens.
var (
	named   = regexp.MustCompile(`"logprob":\s*(-?[0-9][-+0-9.eE]*)`)
	listed  = regexp.MustCompile(`"token_logprobs":\s*\[(-?[0-9][-+0-9.eE]*)(,?)`)
	triples = regexp.MustCompile(`"output_token_logprobs":\s*\[\[(-?[0-9][-+0-9.eE]*)`)
	tokens  = regexp.MustCompile(`"(?:token_ids|output_ids|tokens)":\s*\[([0-9]+)`)
	entry   = regexp.MustCompile(`("content":\s*\[|"output_token_logprobs":\s*\[|"completion_probabilities":\s*\[)(\{[^{}]*(?:\[\])?[^{}]*\}|\[[^\[\]]*\]),?`)
)

// mangle changes one log-probability or token of an answer, and says whether it found one.
func mangle(kind Kind, body []byte) ([]byte, bool) {
	var with string
	switch kind {
	case NaN:
		with = "NaN"
	case Null:
		with = "null"
	case Positive:
		with = "0.5"
	case Infinite:
		with = "-Infinity"
	case ExtraToken:
		at := tokens.FindSubmatchIndex(body)
		if at == nil {
			return body, false
		}
		return splice(body, at[2], at[2], string(body[at[2]:at[3]])+","), true
	case Missing:
		if at := listed.FindSubmatchIndex(body); at != nil {
			return splice(body, at[2], at[5], ""), true
		}
		if at := entry.FindSubmatchIndex(body); at != nil {
			return splice(body, at[4], at[1], ""), true
		}
		return body, false
	default:
		return body, false
	}
	for _, pattern := range []*regexp.Regexp{triples, listed, named} {
		if at := pattern.FindSubmatchIndex(body); at != nil {
			return splice(body, at[2], at[3], with), true
		}
	}
	return body, false
}

// splice puts text in place of body[from:to].
func splice(body []byte, from, to int, text string) []byte {
	return bytes.Join([][]byte{body[:from], []byte(text), body[to:]}, nil)
}
