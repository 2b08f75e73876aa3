// Package clock is the generated task family of the quickstart: clock arithmetic. A start digit
// and a chain of labelled operations are given, to be applied strictly left to right modulo 10:
//
//	<bos> a 3 b +4 c *7 d -1 <think>        3 → 7 → 9 → 8
//
// The level is the number of operations. All multipliers are units modulo 10, so no operation
// destroys information: every one of them matters, their order matters, and a guess is right one
// time in ten. Labels make "which operation is next" a look-up by content.
//
// What lives here: the vocabulary ([Vocabulary]), the problems ([Family], a datasets.Source with a
// held-out split by construction), the tool that knows a hidden operand ([Call]), and the
// teachers whose traces make a base policy by supervised training ([Teacher]): an over-thinking,
// imperfect reasoner, its warm-up, and tool users. What does not: training, sampling, rewards.
//
// Everything is a pure function of a seed and an index. A change in the order or number of random
// draws changes every run that uses the family: raise [Version] with it.
package clock

// Version is part of the fingerprint of the family.
const Version = 1
