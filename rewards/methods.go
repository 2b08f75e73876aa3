package rewards

// table is every method that is linked in. A new method is one line here, one file with its spec
// and one with its vectors.
var table = []*spec{
	// Baselines on plain correctness.
	grpoSpec, drGRPOSpec, rlooSpec, reinforcePPSpec, dapoSpec,
	// Length.
	dlerSpec, laserSpec, kimiLengthSpec, aroraSpec, thinkPruneSpec, naiveLengthSpec,
	// Budgets along the response.
	brpoSpec,
	// Tools.
	otcGRPOSpec,
}
