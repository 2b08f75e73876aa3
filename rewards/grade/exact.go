package grade

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// ExactOptions says what a well-formed response of a generated task looks like.
type ExactOptions struct {
	// ThinkEnd is the delimiter between thinking and answer. It must occur exactly once.
	// Empty means that the responses carry no thinking and the whole text is the answer.
	ThinkEnd string `json:"think_end"`
	// EOS lists the texts that end a finished response. One of them must stand at the very end
	// and is removed; a response without it was cut off. An empty list demands nothing.
	EOS []string `json:"eos"`
}

// DefaultExactOptions are those of the generated tasks: "</think>" once, "<eos>" at the end.
func DefaultExactOptions() ExactOptions {
	return ExactOptions{ThinkEnd: "</think>", EOS: []string{"<eos>"}}
}

// Exact compares the text after the thinking with the gold answer, byte for byte after trimming
// white space. It is the grader of generated tasks, whose answers have one spelling only.
//
// A response of another shape (no end of thinking, two of them, no end of sequence, nothing
// after the thinking) is wrong and not formatted; an empty gold answer is no score. Right
// implies Formatted.
type Exact struct{ opts ExactOptions }

// NewExact returns a grader with the given options. It returns an error when an end-of-sequence
// text is empty, because an empty text ends every response.
func NewExact(opts ExactOptions) (Exact, error) {
	for i, eos := range opts.EOS {
		if eos == "" {
			return Exact{}, fmt.Errorf("grade exact: eos[%d] is empty; give the token's text, or drop it from the list", i)
		}
	}
	opts.EOS = append([]string(nil), opts.EOS...)
	return Exact{opts: opts}, nil
}

// Reasons of Exact's verdicts.
const (
	ReasonExactMatch     = "exact match"
	ReasonMismatch       = "mismatch"
	ReasonNoGold         = "no gold answer"
	ReasonNoThinkEnd     = "no end of thinking"
	ReasonManyThinkEnds  = "several ends of thinking"
	ReasonTruncated      = "truncated: no end of sequence"
	ReasonTruncatedEmpty = "truncated: no answer after the end of thinking"
	ReasonEmptyAnswer    = "no answer"
)

// Grade implements Grader.
func (e Exact) Grade(gold, response string) Verdict {
	gold = strings.TrimSpace(gold)
	if gold == "" {
		return Verdict{Outcome: NoScore, Reason: ReasonNoGold}
	}
	answer := response
	if e.opts.ThinkEnd != "" {
		_, after, found := strings.Cut(response, e.opts.ThinkEnd)
		switch {
		case !found:
			return Verdict{Outcome: Wrong, Reason: ReasonNoThinkEnd}
		case strings.Contains(after, e.opts.ThinkEnd):
			return Verdict{Outcome: Wrong, Reason: ReasonManyThinkEnds}
		}
		answer = after
	}
	answer, ended := e.cutEOS(answer)
	answer = strings.TrimSpace(answer)
	right := answer == gold
	answer = clip(answer)
	switch {
	case answer == "" && !ended:
		return Verdict{Outcome: Wrong, Reason: ReasonTruncatedEmpty}
	case !ended:
		return Verdict{Outcome: Wrong, Extracted: answer, Reason: ReasonTruncated}
	case answer == "":
		return Verdict{Outcome: Wrong, Reason: ReasonEmptyAnswer}
	case !right:
		return Verdict{Outcome: Wrong, Extracted: answer, Reason: ReasonMismatch, Formatted: true}
	}
	return Verdict{Outcome: Right, Extracted: answer, Reason: ReasonExactMatch, Formatted: true}
}

// cutEOS removes one end-of-sequence text and says whether the response had ended.
func (e Exact) cutEOS(text string) (string, bool) {
	if len(e.opts.EOS) == 0 {
		return text, true
	}
	text = strings.TrimRight(text, " \t\r\n")
	for _, eos := range e.opts.EOS {
		if rest, ok := strings.CutSuffix(text, eos); ok {
			return rest, true
		}
	}
	return text, false
}

// maxExtracted bounds what a verdict quotes of a response, in bytes: verdicts are logged with
// every trace, and a runaway response must not be stored twice.
const maxExtracted = 4096

// clip bounds an extracted answer, at a rune boundary and with valid UTF-8.
func clip(text string) string {
	if len(text) > maxExtracted {
		cut := maxExtracted
		for cut > maxExtracted-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
