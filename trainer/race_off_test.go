//go:build !race

package trainer

// raceEnabled scales slow tests down under the race detector.
const raceEnabled = false
