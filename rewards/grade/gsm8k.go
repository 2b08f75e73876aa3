package grade

import (
	"regexp"
	"strings"

	"pith/rewards/grade/extract"
)

// gsm8kWindow is how many bytes at the end are searched (verl, utils/reward_score/gsm8k.py).
const gsm8kWindow = 300

var gsm8kAnswer = regexp.MustCompile(`#### (-?[0-9.,]+)`)

// gsm8k judges as the evaluation of GSM8K does (Cobbe et al. 2021; verl's gsm8k, strict): the
// number after the last "####", compared as a string without commas.
func gsm8k(_ *Math, gold, response string) Explanation {
	tail := response[max(0, len(response)-gsm8kWindow):]
	all := gsm8kAnswer.FindAllStringSubmatch(tail, -1)
	if all == nil {
		return Explanation{Verdict: Verdict{Outcome: Wrong, Reason: extract.NoAnswer}}
	}
	clean := strings.NewReplacer(",", "", "$", "")
	answer := clean.Replace(all[len(all)-1][1])
	return stringVerdict(string(extract.Hashes), answer, clean.Replace(gold), answer, true)
}
