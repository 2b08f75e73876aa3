// Package audit asks whether the pipeline itself biases length. The same distribution is taken at each
// station that a response passes on its way to the update (generated, graded, kept by the filter,
// trained), and a station that moves it by more than chance is named, with how far, and whether the
// method means to do that.
//
// A pipeline that drops the late, the long or the unreadable shortens its training data, and the
// policy follows: a shorter policy is then no sign of a good reward (reference: row 6 of the gap
// table in the peers' survey; a published case discarded a third of all tokens).
//
// Everything is pure; reading logs is analysis.
package audit
