package generate

import (
	"sync"

	"pith/policies/model"
)

// rotaries keeps the rotary table of the last shape, because a run publishes hundreds of policies
// of one shape and the table is as large as a small policy.
var rotaries rotaryCache

type rotaryCache struct {
	mu  sync.Mutex
	key struct {
		dim, n int
		theta  float64
		rope   model.Rope
	}
	table *model.Rotary
}

func (r *rotaryCache) get(c model.Config) *model.Rotary {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.key
	key.dim, key.n, key.theta, key.rope = c.HeadDim, c.MaxContext, c.RopeTheta, c.Rope
	if r.table == nil || key != r.key {
		r.key, r.table = key, model.NewRotary(c.Frequencies(), c.MaxContext)
	}
	return r.table
}
