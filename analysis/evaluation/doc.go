// Package evaluation says how good a policy is on held-out problems from several responses to each:
// accuracy with what repeated sampling makes of it (pass@k, pass^k, G-Pass@k, majority votes), length
// and what a right answer costs, accuracy at budgets of thinking, and by difficulty. It reads judged
// traces and nothing else, so a log gives the same numbers years later.
//
// Intervals are percentile intervals of a seeded bootstrap over problems (Efron 1979): responses to
// one problem are not independent, and a problem that was drawn twice is still one problem. A response without a score counts in no accuracy and is shown
// apart; a failed one counts in nothing.
//
// In votes all right answers are one class, since the grader has said that they equal the gold answer;
// wrong ones are told apart by their extracted text, and an answer that could not be extracted never
// wins.
package evaluation
