package rewards

// table is every method that is linked in. A new method is one line here, one file with its spec
// and one with its vectors.
var table = []*spec{
	// Baselines on plain correctness.
	grpoSpec, drGRPOSpec, rlooSpec, reinforcePPSpec,
	// A limit: whatever runs past it earns less.
	dapoSpec, dlerSpec, daDLERSpec, thinkPruneSpec, siriSpec, dotSpec,
	// A length term for right answers.
	laserSpec, laserDSpec, laserDESpec, kimiLengthSpec, aroraSpec, serSpec, gr3Spec, grpoLambdaSpec, drpoSpec,
	acoerSpec, ceehSpec, grpoLeadSpec, cosineLengthSpec, drSAFSpec,
	// A length term for right and wrong answers.
	o1PrunerSpec, shorterBetterSpec, aDLPSpec, alpSpec, primeLinearSpec, naiveLengthSpec,
	// Length in the advantage or in the choice of what is trained on.
	canonLengthSpec, canonEntropySpec, ddcaSpec, qglasSpec, gfpoShortestSpec, gfpoEfficientSpec, gfpoAdaptiveSpec,
	// Budgets.
	l1ExactSpec, l1MaxSpec, brpoSpec,
	// Modes and turns.
	adaptThinkSpec, apoSpec, mindSpec,
	// Tools and conversations.
	otcPPOSpec, otcGRPOSpec, aspoSpec, optimaSpec, gtalignSpec, webLeaperSpec,
}
