//go:build race

package generate_test

// raceEnabled says that the race detector slows everything down by an order of magnitude.
const raceEnabled = true
