// Package analysis reads run directories and says what a run has gained: the numbers ([Summarize]
// and [Report.WriteJSON]), the sentences ([Report.Sentences]), the report with its figures
// ([Write], [WriteHTML]) and the comparison of several runs ([Compare]).
//
// Everything is computed from the log alone, so that a report can be made again years later and on
// another machine; nothing here changes a run directory but the report files that are asked for.
// Correctness is read from verdicts, never from a shaped reward. Every figure that could be chance
// carries a 95 % interval: Wilson's for an accuracy, a seeded paired bootstrap over problems for a
// change, Student's t over seeds for a comparison.
//
// What does not live here: how a run is made (trainer) and how a picture is drawn (analysis/plot).
// Only cmd imports this package.
package analysis
