// Package curriculum decides which problems are sampled next, how often, and which of the sampled
// groups are worth an update:
//
//   - [Collector]: dynamic sampling, which keeps a group only if its raw correctness is mixed;
//   - [Predictor]: how many groups to generate so that enough of them survive;
//   - [Beta]: what is believed of a problem's solve rate;
//   - [Stream] with a [Rule] ([Uniform], [CurES], [Window], [Levels]): the weighted choice of problems;
//   - [Allocate]: how many rollouts each of the chosen problems gets.
//
// Everything here is a pure function or a small state machine over what was observed: no I/O, no
// clock, no goroutine. States are plain structs that serialise to JSON; a state restored continues
// the same stream of decisions. Filters and estimates read correctness, never a shaped reward:
// a penalty for length must not look like difficulty.
//
// The package may be used by trainer and analysis; it knows datasets and nothing above it. Nothing
// in it is safe for concurrent use.
package curriculum
