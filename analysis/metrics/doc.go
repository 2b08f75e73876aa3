// Package metrics holds the measures of efficient reasoning as pure functions: what several samples
// of a problem say together (pass@k, pass^k, G-Pass@k, avg@k, maj@k and the length-filtered vote),
// what an answer costs (cost-of-pass and its frontier, tokens per right answer, tool productivity),
// scores that weigh accuracy against length (E³, AES), the area under an accuracy-budget curve, the
// information capacity of a model, and counts of the words that mark reflection.
//
// Every function names its source and its unit, takes plain numbers and reads nothing else. What is
// undefined is NaN or an error, never 0; what is infinite is infinite.
//
// What lives elsewhere: reading logs and making reports (analysis), judging answers (rewards/grade).
package metrics
