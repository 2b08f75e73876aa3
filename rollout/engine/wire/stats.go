package wire

import (
	"context"

	"pith/rollout/engine"
)

// MetricNames says what a server calls its metrics; of several names the first that it has counts.
type MetricNames struct{ Running, Waiting, Prompt, Output, CacheUse []string }

// Stats is one snapshot of the server: its health, and what its metrics say where it has any.
func (c *Client) Stats(ctx context.Context, names MetricNames) ([]engine.Stats, error) {
	s := c.Own()
	err := c.Do(ctx, Request{Op: "stats", Path: "/health", Limit: c.o.ControlTimeout}, nil)
	s.Healthy = err == nil
	if err != nil {
		if ctx.Err() != nil || c.Closed("stats") != nil {
			return nil, err
		}
		return []engine.Stats{s}, nil
	}
	err = c.Do(ctx, Request{Op: "stats", Path: "/metrics", Limit: c.o.ControlTimeout}, func(body []byte) error {
		m := ParseMetrics(body)
		s.Raw = m.Sum
		if v, ok := m.First(names.Running...); ok {
			s.Running = int(v)
		}
		if v, ok := m.First(names.Waiting...); ok {
			s.Waiting = int(v)
		}
		if v, ok := m.First(names.Prompt...); ok {
			s.PromptTokens = int64(v)
		}
		if v, ok := m.First(names.Output...); ok {
			s.OutputTokens = int64(v)
		}
		for _, name := range names.CacheUse {
			if v, ok := m.Most[name]; ok {
				s.CacheUse = v
				break
			}
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	return []engine.Stats{s}, nil
}
