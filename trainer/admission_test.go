package trainer

import (
	"testing"

	"pgregory.net/rapid"
)

func TestAdmissionKeepsStalenessWithinItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perStep := rapid.Int64Range(1, 8).Draw(t, "perStep")
		limit := perStep * rapid.Int64Range(1, 3).Draw(t, "limit")
		a := &admission{
			perStep: perStep, maxStaleness: rapid.Int64Range(0, 4).Draw(t, "staleness"),
			examineLimit: limit, steps: rapid.Int64Range(1, 12).Draw(t, "steps"), step: 1,
		}
		dynamic := limit > perStep
		var releasedAt []int64
		for a.step <= a.steps {
			n := a.release()
			if n > 0 {
				n = rapid.Int64Range(1, n).Draw(t, "n")
			}
			for range n {
				releasedAt = append(releasedAt, a.step)
			}
			a.released(n)
			if a.full() {
				if !dynamic && a.examined != perStep {
					t.Fatalf("step %d consumed %d groups, want %d", a.step, a.examined, perStep)
				}
				a.advance()
				continue
			}
			if a.consumed == a.next {
				if a.release() == 0 {
					t.Fatalf("step %d waits for a group that may not be released: %+v", a.step, a)
				}
				continue
			}
			if stale := a.step - releasedAt[a.consumed]; stale > a.maxStaleness {
				t.Fatalf("group %d was released in step %d and is trained in step %d, bound %d", a.consumed, releasedAt[a.consumed], a.step, a.maxStaleness)
			}
			a.consume(!dynamic || rapid.Bool().Draw(t, "kept"))
		}
		if a.maxStaleness == 0 && a.next != a.consumed {
			t.Fatalf("a synchronous run ends with %d groups released and not consumed", a.next-a.consumed)
		}
		if !dynamic && a.next != a.steps*perStep {
			t.Fatalf("released %d groups over the run, want %d", a.next, a.steps*perStep)
		}
	})
}
