// Package ablation compares arms of runs: which method buys what, and how sure that is. An arm is
// runs that differ in nothing but seed; the untrained policy, as it is and cut off at token limits,
// is read from the evaluations before the first step and stands beside them.
//
//	report, err := ablation.Compare(input) // from run directories alone
//	err = ablation.Write(dir, report)      // report.html, .md, .csv, .json, figures/ as SVG, PNG and CSV
//
// Correctness is read from verdicts, never from a shaped reward. Every figure carries a 95 % interval
// over seeds and held-out problems (analysis/stats), comparisons are paired by seed and problem, and
// several comparisons with one reference are corrected by Holm's method.
//
// What lives elsewhere: the report of a single run (analysis), how runs come about (trainer/sweep).
package ablation
