package rewards

import "strings"

// A text ends in a loop when its last words are one block repeated at least loopRepeats times and
// the repetitions cover at least loopWords words. Blocks of up to loopBlock words are looked for.
const (
	loopRepeats = 3
	loopWords   = 24
	loopBlock   = 200
)

// endsInLoop looks for a repeated ending: a block of words that occurs again and again up to the
// end. It reads the tail only, so that its cost does not grow with the text.
func endsInLoop(text string) bool {
	words := lastWords(text, loopBlock*(loopRepeats+1))
	n := len(words)
	for block := 1; block <= min(loopBlock, n/loopRepeats); block++ {
		run := block // words from the end that agree with those one block earlier, plus the last block
		for i := n - 1; i >= block && words[i] == words[i-block]; i-- {
			run++
		}
		if run >= loopRepeats*block && run >= loopWords {
			return true
		}
	}
	return false
}

// lastWords gives up to n words from the end of the text, in order.
func lastWords(text string, n int) []string {
	const longestWord = 64 // bytes looked back for each word
	if tail := n * longestWord; len(text) > tail {
		text = text[len(text)-tail:]
	}
	words := strings.Fields(text)
	return words[max(0, len(words)-n):]
}
