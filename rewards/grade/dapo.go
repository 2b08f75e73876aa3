package grade

import (
	"regexp"
	"strings"

	"pith/rewards/grade/extract"
)

// The windows of the DAPO grader, in bytes from the end (verl, utils/reward_score/math_dapo.py).
const (
	dapoWindow    = 300
	dapoBoxWindow = 100
)

var dapoAnswer = regexp.MustCompile(`(?i)answer\s*:\s*([^\n]+)`)

// dapo judges as the DAPO recipe does (Yu et al. 2025; verl's math_dapo): the last "Answer:" of
// the final 300 characters under the normalisation of Lewkowycz et al. 2022 (appendix G), or
// else the last box of the final 100, as written.
func dapo(_ *Math, gold, response string) Explanation {
	tail := response[max(0, len(response)-dapoWindow):]
	if all := dapoAnswer.FindAllStringSubmatch(tail, -1); all != nil {
		answer := all[len(all)-1][1]
		return stringVerdict(string(extract.Answer), answer, normaliseDAPO(gold), normaliseDAPO(answer), true)
	}
	answer, reason := lastBox(response[max(0, len(response)-dapoBoxWindow):], dapoBoxWindow)
	if reason != "" {
		return Explanation{Verdict: Verdict{Outcome: Wrong, Reason: reason}}
	}
	return stringVerdict(string(extract.Boxed), answer, gold, answer, false)
}

var dapoRemoved = []string{
	"square", "ways", "integers", "dollars", "mph", "inches", "hours", "km", "units", "\\ldots", "sue", "points", "feet", "minutes", "digits",
	"cents", "degrees", "cm", "gm", "pounds", "meters", "meals", "edges", "students", "childrentickets", "multiples", "\\text{s}", "\\text{.}",
	"\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}", "\\mathrm{th}", "^\\circ", "^{\\circ}", "\\;", ",\\!", "{,}", "\"", "\\dots",
}

var (
	dapoDollars  = regexp.MustCompile(`(.*?)\$(.*?)\$(.*)`)
	dapoText     = regexp.MustCompile(`\\text\{(.*?)\}`)
	dapoBold     = regexp.MustCompile(`\\textbf\{(.*?)\}`)
	dapoOverline = regexp.MustCompile(`\\overline\{(.*?)\}`)
	dapoBoxed    = regexp.MustCompile(`\\boxed\{(.*)\}`)
	dapoFrac     = regexp.MustCompile(`(frac)([^{])(.)`)
	dapoSqrt     = regexp.MustCompile(`(sqrt)([^{])`)
)

// normaliseDAPO is the final-answer normalisation of the Minerva evaluation.
func normaliseDAPO(s string) string {
	s = s[strings.LastIndexByte(s, '=')+1:]
	for _, pair := range [][2]string{{"an ", ""}, {"a ", ""}, {".$", "$"}, {"\\$", ""}, {"\\ ", ""}, {" ", ""}, {"mbox", "text"}, {",\\text{and}", ","}, {"\\text{and}", ","}, {"\\text{m}", "\\text{}"}} {
		s = strings.ReplaceAll(s, pair[0], pair[1])
	}
	for _, gone := range dapoRemoved {
		s = strings.ReplaceAll(s, gone, "")
	}
	s = dapoDollars.ReplaceAllString(s, "$$$2$$")
	s = dapoText.ReplaceAllString(s, "$1")
	s = dapoBold.ReplaceAllString(s, "$1")
	s = dapoOverline.ReplaceAllString(s, "$1")
	s = dapoBoxed.ReplaceAllString(s, "$1")
	s = dapoFrac.ReplaceAllString(s, "$1{$2}{$3}")
	s = dapoSqrt.ReplaceAllString(s, "$1{$2}")
	s = strings.ReplaceAll(s, "$", "")
	if bare := strings.ReplaceAll(s, ",", ""); plainInteger(bare) && bare[0] != '-' {
		s = bare
	}
	return strings.TrimSpace(s)
}
