package main

import "github.com/spf13/cobra"

// commands is everything that pith can do.
func commands(io stdio) []*cobra.Command {
	return []*cobra.Command{
		newTrain(io),
		newSweep(io),
		newEval(io),
		newReport(io),
		newCompare(io),
		newDiff(io),
		newWatchCommand(io),
		newTraces(io),
		newScore(io),
		newLint(io),
		newMethods(io),
		newGrade(io),
		newWorker(io),
		newServe(io),
		newExport(io),
		newSimulate(io),
		newPretrain(io),
		newProbe(io),
		newConfig(io),
		newMetrics(io),
		newData(io),
		newVersion(io),
	}
}
