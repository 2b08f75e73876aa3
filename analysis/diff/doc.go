// Package diff holds two policies against each other on the same held-out problems: two runs, or a run
// before and after. It says which settings differ, how accuracy and length differ and how sure that
// is, and which problems flipped: those that went from right to wrong while getting shorter are what a
// length reward costs, and an average hides them.
//
// Responses are paired by problem and, where a problem was drawn more than once, by the order of the
// log. Correctness is read from verdicts; a pair in which either side has no score is counted apart.
//
// What lives elsewhere: one run's own report, and several runs grouped over seeds (analysis).
package diff
