//go:build race

package fleet_test

// raced divides the work of tests that the race detector makes slow.
const raced = 5
