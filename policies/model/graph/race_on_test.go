//go:build race

package graph

// raceEnabled scales slow tests down where every memory access is watched.
const raceEnabled = true
