package analysis

import (
	"fmt"
	"strings"

	"pith/analysis/audit"
	"pith/rewards"
	"pith/traces"
)

// stations follows the lengths of training traces through the pipeline. It is an [Observer].
type stations struct {
	audit audit.Audit
	// filtered by the method's own rule, and by dynamic sampling or another one.
	byMethod, bySampling int64
}

// Columns implements [Observer].
func (*stations) Columns() []string {
	return []string{"length_tokens", "verdict", "status", "status_reason", "advantage", "token_advantages"}
}

// Observe implements [Observer].
func (s *stations) Observe(b *traces.Batch) {
	for i := range b.Rows {
		t := &b.Rows[i]
		last := audit.Generated
		scored := t.Verdict == traces.Right || t.Verdict == traces.Wrong
		switch {
		case !scored:
		case t.Status == traces.Filtered:
			last = audit.Graded
			if strings.HasPrefix(t.StatusReason, rewards.ReasonSampling) || t.StatusReason == "group not mixed" {
				s.bySampling++
			} else {
				s.byMethod++
			}
		case t.Status == traces.Trained && (t.Advantage != 0 || len(t.TokenAdvantages) > 0):
			last = audit.Trained
		case t.Status == traces.Trained:
			last = audit.Kept
		}
		s.audit.Add(int(t.LengthTokens), last)
	}
}

// Stations is the length distribution at each station of the pipeline.
type Stations struct {
	Distributions []audit.Distribution `json:"distributions"`
	Warnings      []audit.Warning      `json:"warnings"`
}

// stationsReport names the stations that move the lengths; nil without training traces.
func (d *runData) stationsReport() *Stations {
	s := &d.stations
	distributions := s.audit.Distributions()
	if distributions == nil {
		return nil
	}
	method, _ := rewards.Lookup(d.manifest.Config.Rewards.Method)
	warnings := s.audit.Warnings(func(at audit.Station) string {
		switch {
		case at == audit.Kept && s.byMethod >= s.bySampling && method.Filter != "":
			return fmt.Sprintf("the filter of %s is part of the method (%s)", method.Name, method.Filter)
		case at == audit.Trained:
			return "traces whose group earned the same throughout teach nothing"
		}
		return ""
	})
	if warnings == nil {
		warnings = []audit.Warning{}
	}
	return &Stations{distributions, warnings}
}
