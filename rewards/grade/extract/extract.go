// Package extract finds the final answer in a whole response: what a model boxed, what follows
// "####" or "the answer is", the last formula, the last number. It reports the rule that applied.
// It reads text once or twice from its end, never backtracks, and knows nothing of mathematics
// beyond numerals.
package extract

import (
	"strings"
	"unicode/utf8"
)

// Rule names the way an answer was found.
type Rule string

// The rules, in the order in which they are tried.
const (
	FinalHope Rule = "final answer, I hope" // "The final answer is X. I hope it is correct."
	Boxed     Rule = "boxed"                // \boxed{X}, \fbox{X}, \boxed X
	Hashes    Rule = "hashes"               // #### X
	Final     Rule = "final answer"         // "final answer is X", "final answer: X"
	Answer    Rule = "answer phrase"        // "answer: X", "the answer is X"
	Display   Rule = "last formula"         // last $$X$$, \[X\], \(X\), $X$
	LastNum   Rule = "last number"
	Whole     Rule = "whole text" // a response that is nothing but its answer
)

// Found is an extracted answer.
type Found struct {
	Rule Rule
	// Text is the answer. When several boxes or formulas belong together, they are joined by ", ".
	Text string
	// Parts holds the single pieces when there are several.
	Parts []string
	// Plain says that the text stood outside of mathematics, where "1,5" may be one number.
	Plain bool
	// Rest is what follows Text in its line or sentence, for rules that cut a phrase short.
	Rest string
}

// Options say which part of a response counts.
type Options struct {
	// ThinkStart and ThinkEnd delimit thinking. The answer is looked for after the last ThinkEnd.
	ThinkStart, ThinkEnd []string
	// AnswerInThinking also accepts an answer of a response whose thinking never ended.
	AnswerInThinking bool
	// SingleBox takes the last box alone, however close others stand before it.
	SingleBox bool
	// OnlyBoxed leaves \fbox out.
	OnlyBoxed bool
	// Window is how many bytes at the end of a response are read.
	Window int
}

// DefaultOptions read the last 128 KiB and accept no answer that stands only in the thinking.
func DefaultOptions() Options {
	return Options{
		ThinkStart: []string{"<think>", "<|begin_of_thought|>", "<thinking>"},
		ThinkEnd:   []string{"</think>", "<|end_of_thought|>", "</thinking>"},
		Window:     128 << 10,
	}
}

// Reasons for which nothing is found.
const (
	NoAnswer     = "no answer"
	NoThinkEnd   = "no end of thinking"
	UnclosedBox  = "unclosed box"
	EmptyText    = "empty response"
	WindowPassed = "limit: response too long"
)

// Find extracts the final answer; when there is none, the second result says why.
func Find(response string, o Options) (Found, string) {
	text, reason := Conclusion(response, o)
	if reason != "" {
		return Found{}, reason
	}
	cut := false
	if o.Window > 0 && len(text) > o.Window {
		start := len(text) - o.Window
		for start < len(text) && !utf8.RuneStart(text[start]) {
			start++
		}
		text, cut = text[start:], true
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return Found{}, EmptyText
	}
	hope, hopeAt := finalHope(text)
	if hopeAt >= 0 {
		return hope, ""
	}
	boxed, state := boxes(text, o)
	switch state {
	case boxFound:
		return boxed, ""
	case boxUnclosed:
		return Found{}, UnclosedBox
	}
	if o.OnlyBoxed && strings.Contains(text, "\\fbox{") {
		return Found{}, NoAnswer
	}
	for _, rule := range []func(string) (Found, bool){hashes, phrase, lastFormula, whole, lastNumber} {
		if f, ok := rule(text); ok {
			return f, ""
		}
	}
	if cut {
		return Found{}, WindowPassed
	}
	return Found{}, NoAnswer
}

// Conclusion returns what stands after the end of the thinking.
func Conclusion(response string, o Options) (string, string) {
	// Searching backwards is slow and only needed where the answer is read; whether a mark stands
	// before that is found forwards.
	tail := 0
	if o.Window > 0 {
		tail = max(0, len(response)-o.Window)
	}
	at := -1
	for _, mark := range o.ThinkEnd {
		if mark == "" {
			continue
		}
		if !strings.Contains(response[tail:], mark) { // far quicker than a backward search
			continue
		}
		if i := strings.LastIndex(response[tail:], mark); i >= 0 {
			at = max(at, tail+i+len(mark))
		}
	}
	if at < 0 && tail > 0 && containsAny(response[:min(len(response), tail+32)], o.ThinkEnd) {
		at = tail
	}
	if at >= 0 {
		if strings.TrimSpace(response[at:]) == "" && o.AnswerInThinking {
			return response, ""
		}
		return response[at:], ""
	}
	if !o.AnswerInThinking {
		if containsAny(response, o.ThinkStart) {
			return "", NoThinkEnd
		}
	}
	return response, ""
}

func containsAny(text string, marks []string) bool {
	for _, mark := range marks {
		if mark != "" && strings.Contains(text, mark) {
			return true
		}
	}
	return false
}
