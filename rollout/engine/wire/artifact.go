package wire

import "pith/rollout/engine"

// CheckArtifact refuses what no server could be given: a policy without an id or a directory.
func CheckArtifact(op string, a engine.Artifact) error {
	switch {
	case a.Policy.ID == "":
		return Refused(op, "the policy has no id")
	case a.Path == "":
		return Refused(op, "the artifact has no directory")
	}
	return nil
}
