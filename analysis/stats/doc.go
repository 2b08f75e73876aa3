// Package stats answers how sure a comparison of training runs is. Pure functions over numbers: no
// file, no clock, every draw from a seed that is an argument.
//
// A run is one seed of an arm, and it answers held-out problems. Two things vary: another seed would
// have learnt something else, and other problems would have been asked. [Contrast] gives the mean of
// any smooth function of run means with a 95 % interval over both; [Bootstrap] resamples both for
// what has no formula (which arm is on the front); [Spread.SeedsToTell] says how many seeds would tell a
// difference.
//
// Why not simply resample the seeds: there are three of them. A bootstrap over three values has ten
// different outcomes and two thirds of the variance; its 95 % interval covers about 75 %. Seeds
// therefore enter as Student's t does, with the width that so few of them deserve, and problems by
// resampling. Tests check the coverage by simulation.
//
// Conventions. A problem that a run answered several times is one cluster. Accuracy is over scored
// answers: a response without a score is in no accuracy, and its tokens count. A run in which
// nothing is scored has no accuracy, and what rests on it is unknown, not 0. Ties in a ranking keep
// the order of the input.
package stats
