package trainer

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain looks for goroutines that runs have left behind, but for the kernel's pool, which lives as
// long as the process, and one that nats.go's object store can leave.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}
