// Package sweep turns one file into many runs and keeps at them until all have ended: a base
// config, axes (methods, any key, seeds), a search (grid, random, successive halving with a stated
// stop rule) and the baselines without which a comparison says little.
//
//	spec, err := sweep.Load("length-rewards", nil)  // strict: every violation at once
//	plan, err := spec.Plan(sweep.Options{})         // the runs, checked as training would check them
//	bill, err := plan.Bill(measured)                // steps, tokens, hours, money, before anything runs
//	s, err := sweep.Open(plan, dir)                 // takes up what an earlier call left there
//	outcome, err := s.Execute(ctx, runner, events)  // resumable after kill -9; a failing run sinks no other
//
// Every run is an ordinary run directory, made by a process of its own (pith train), so that
// nothing that happens to one reaches the others. What is compared, and how surely, is said by
// analysis/ablation; nothing here reads a result but the score that halving ranks by.
package sweep
