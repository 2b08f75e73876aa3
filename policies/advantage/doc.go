// Package advantage turns groups of rewards into advantages: the numeric half of a policy-gradient
// method. It knows numbers only. What a reward means, which traces take part and what a group is
// belongs to package rewards, which imports this one.
//
// The conventions on which frameworks disagree are options of each estimator, never implicit: the
// kind of standard deviation, the ε and where it stands, what a group of one gives, whether
// scaling happens in the group, over the batch's responses or over its tokens.
//
// Three rules hold for all estimators. A response whose reward is NaN (no score) takes no part in
// any statistic and its advantage is 0. Rewards that are equal but for float residue give
// advantages of exactly 0 wherever the formula says 0. Estimate keeps no reference to its input
// and is deterministic; an estimator is not safe for concurrent use, because some keep scratch
// space between calls.
package advantage
