package clock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tokens with a role of their own. Cut is only ever inserted by the environment, when it ends
// thinking at a budget; EndTool hands control to the environment, which appends Result, the digit
// (if the call was well formed) and EndResult.
const (
	Pad       = "<pad>"
	BOS       = "<bos>"
	EOS       = "<eos>"
	Think     = "<think>"
	EndThink  = "</think>"
	Cut       = "<cut>"
	Tool      = "<tool>"
	EndTool   = "</tool>"
	Result    = "<result>"
	EndResult = "</result>"
	// Budget is followed by the digits of a token budget, at the end of a prompt that states one. The
	// shipped policies have never read it: its meaning is learnt from reward alone.
	Budget = "<unused0>"
)

// Words of the grammar.
const (
	wordEquals = "="
	wordEnd    = ";"
	wordCheck  = "check"
	wordAgain  = "again"
	wordWait   = "wait"
	wordPlan   = "plan"
)

// MaxLevel is the longest chain that the labels b … i can name.
const MaxLevel = 8

// vocabulary holds the 64 tokens in the order of their ids.
var vocabulary = func() []string {
	v := []string{Pad, BOS, EOS, Think, EndThink, Cut} // 0–5
	for d := range 10 {                                // 6–15
		v = append(v, strconv.Itoa(d))
	}
	for _, sign := range "+-" { // 16–35
		for d := range 10 {
			v = append(v, string(sign)+strconv.Itoa(d))
		}
	}
	v = append(v, "*3", "*7", "*9")           // 36–38
	for label := 'a'; label <= 'i'; label++ { // 39–47
		v = append(v, string(label))
	}
	v = append(v, wordEquals, wordEnd, wordCheck, wordAgain, wordWait, wordPlan, // 48–53
		"x", "+x", "-x", "*x", // 54–57
		Tool, EndTool, Result, EndResult, // 58–61
		Budget, "<unused1>") // 62–63
	return v
}()

var idOf = func() map[string]int32 {
	m := make(map[string]int32, len(vocabulary))
	for i, token := range vocabulary {
		m[token] = int32(i)
	}
	return m
}()

// Vocabulary returns the 64 tokens of the family in the order of their ids. The text of a
// sequence is its tokens separated by single spaces. The slice is the caller's.
func Vocabulary() []string { return slices.Clone(vocabulary) }

// WithBudget puts a token budget into a prompt, before the marker that begins the thought.
func WithBudget(prompt string, tokens int) string {
	words := []string{strings.TrimSuffix(prompt, " "+Think), Budget}
	for _, d := range strconv.Itoa(tokens) {
		words = append(words, string(d))
	}
	if strings.HasSuffix(prompt, Think) {
		words = append(words, Think)
	}
	return strings.Join(words, " ")
}

// Special returns the tokens that structure a sequence rather than say something: a detokeniser
// may leave them out, and a policy never has to write Pad, BOS, Think, Cut, Result or EndResult
// itself. The slice is the caller's.
func Special() []string {
	return []string{Pad, BOS, EOS, Think, EndThink, Cut, Tool, EndTool, Result, EndResult}
}

// Encode returns the ids of tokens separated by blanks.
func Encode(text string) ([]int32, error) {
	fields := strings.Fields(text)
	ids := make([]int32, len(fields))
	for i, f := range fields {
		id, ok := idOf[f]
		if !ok {
			return nil, fmt.Errorf("clock: token %d %q is not in the vocabulary", i, f)
		}
		ids[i] = id
	}
	return ids, nil
}

// mustIDs encodes tokens that this package has written itself.
func mustIDs(tokens []string) []int32 {
	ids := make([]int32, len(tokens))
	for i, t := range tokens {
		id, ok := idOf[t]
		if !ok {
			panic("clock: a generated token is not in the vocabulary: " + t)
		}
		ids[i] = id
	}
	return ids
}

// digits are the ten one-digit tokens, to avoid a conversion a token.
var digits = [10]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}

// labels[i] names operation i; the start digit is named startLabel.
var labels = [MaxLevel]string{"b", "c", "d", "e", "f", "g", "h", "i"}

const startLabel = "a"
