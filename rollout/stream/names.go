package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// names are the server-side names of one run. A run name may be any text, a subject may not, so
// the token is its harmless characters, with a digest where some had to go.
type names struct {
	token    string
	tasks    string // stream: work queue of tasks
	outcomes string // stream: traces and dead letters
	policies string // stream: announcements
	bucket   string // object store: weights

	task, trace, deadTask, deadTrace, policy string // subjects
}

// prefix begins every stream and bucket name, so that the runs of a server can be listed.
const (
	prefix       = "pith-"
	tasksSuffix  = "-tasks"
	maxTokenRuns = 40
)

// Consumers of the two queues.
const (
	workersConsumer = "workers"
	trainerConsumer = "trainer"
)

func namesOf(run string) names {
	t := token(run)
	return names{
		token: t, tasks: prefix + t + tasksSuffix, outcomes: prefix + t + "-outcomes", policies: prefix + t + "-policies",
		bucket: prefix + t + "-weights",
		task:   "pith." + t + ".task", trace: "pith." + t + ".trace",
		deadTask: "pith." + t + ".dead.task", deadTrace: "pith." + t + ".dead.trace", policy: "pith." + t + ".policy",
	}
}

func token(run string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, run)
	if clean == run && len(run) <= maxTokenRuns {
		return clean
	}
	sum := sha256.Sum256([]byte(run))
	return clean[:min(len(clean), maxTokenRuns)] + "_" + hex.EncodeToString(sum[:6])
}
