// Package lint evaluates a method on a grid of cases and reports where it ranks a right answer
// below a wrong one of the same group, or pays a wrong answer for being short.
//
// The first is an inversion: the policy is pushed away from success. Training refuses it unless
// the config allows the method by name. The second is a warning: it is the known road to
// collapse ("be short when wrong"), yet several published methods walk it on purpose.
//
// The grid is finite: a clean report says that these cases are sound, not that every case is.
package lint
