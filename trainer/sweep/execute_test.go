package sweep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/traces"
	"pith/trainer"
)

// inProcess trains in this process. Runs named in fail end with an error after a step.
type inProcess struct {
	fail map[string]bool
	mu   sync.Mutex
	made []string
}

func (r *inProcess) Run(ctx context.Context, j Job, progress func(int64)) error {
	r.mu.Lock()
	r.made = append(r.made, fmt.Sprintf("%s until %d", j.Run.Name, j.Until))
	r.mu.Unlock()
	c := j.Run.Config
	until := int64(j.Until)
	if r.fail[j.Run.Name] {
		until = 1
	}
	t, err := trainer.Open(ctx, c, trainer.Options{Dir: j.Dir, Resume: present(j.Dir), Until: until, Events: trainer.Events{
		Step: func(s traces.Step, _ traces.Timing) { progress(s.Step) },
	}})
	if err != nil {
		return err
	}
	err = errors.Join(t.Run(ctx), t.Close())
	if err == nil && r.fail[j.Run.Name] {
		return errors.New("out\nof luck")
	}
	return err
}

func execute(t *testing.T, p *Plan, dir string, r Runner, others ...string) State {
	t.Helper()
	s, err := Open(p, dir, others)
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.Execute(t.Context(), r, 2, Events{})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	onDisk, err := ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state.Runs, onDisk.Runs); diff != "" {
		t.Error("the state file lags behind:", diff)
	}
	return state
}

func statuses(s State) map[string]Status {
	out := map[string]Status{}
	for _, r := range s.Runs {
		out[r.Name] = r.Status
	}
	return out
}

func TestAFailingRunIsReportedTheOthersFinishAndItIsTriedAgain(t *testing.T) {
	p := plan(t, small+"axes: {method: [kimi_length, dler]}\nbaselines: {grpo: false, truncation: []}")
	dir := filepath.Join(t.TempDir(), "sweep")
	r := &inProcess{fail: map[string]bool{"kimi_length-s1": true}}
	state := execute(t, p, dir, r)
	want := map[string]Status{"kimi_length-s1": Failed, "dler-s1": Done}
	if diff := cmp.Diff(want, statuses(state)); diff != "" {
		t.Error(diff)
	}
	if got := state.Runs[0]; got.Error != "out of luck" || got.Step != 1 || got.Attempts != 1 {
		t.Errorf("the failed run: %+v", got)
	}
	again := &inProcess{}
	state = execute(t, p, dir, again)
	if x := state.Runs[0]; x.Status != Done || x.Error != "" || x.Attempts != 2 {
		t.Errorf("tried again: %+v", x)
	}
	if diff := cmp.Diff([]string{"kimi_length-s1 until 0"}, again.made); diff != "" {
		t.Error("more than the failed run was made again:", diff)
	}
}

func TestHalvingStopsWhatTheRuleSaysAndResumesTheRest(t *testing.T) {
	p := plan(t, small+`
axes: {method: [kimi_length, dler, laser]}
search: {kind: halving, rungs: [1, 2], keep: 0.5, by: tokens_per_right}
baselines: {truncation: []}
`)
	dir := filepath.Join(t.TempDir(), "sweep")
	r := &inProcess{}
	state := execute(t, p, dir, r)
	var done, stopped []string
	for _, x := range state.Runs {
		switch x.Status {
		case Done:
			done = append(done, x.Arm)
		case Stopped:
			stopped = append(stopped, fmt.Sprintf("%s at %d", x.Arm, x.Step))
			if !strings.Contains(x.Note, "by tokens_per_right after step") {
				t.Errorf("%s does not say why it stopped: %q", x.Name, x.Note)
			}
		default:
			t.Errorf("%s is %s", x.Name, x.Status)
		}
	}
	if len(done) != 2 || !slices.Contains(done, "grpo") {
		t.Errorf("done: %v, want one setting and the baseline", done)
	}
	at := map[string]int{}
	for _, s := range stopped {
		at[s[len(s)-1:]]++
	}
	if diff := cmp.Diff(map[string]int{"1": 1, "2": 1}, at); diff != "" {
		t.Errorf("of three settings one stops after each rung: %v %s", stopped, diff)
	}
	if n := len(r.made); n != 3+2+1+1 {
		t.Errorf("%d processes: %v", n, r.made)
	}
	// The same command decides the same and runs nothing.
	idle := &inProcess{}
	if diff := cmp.Diff(statuses(state), statuses(execute(t, p, dir, idle))); diff != "" || len(idle.made) > 0 {
		t.Error(diff, idle.made)
	}
}

func TestFinishedRunsOfAnotherSweepAreTakenOver(t *testing.T) {
	root := t.TempDir()
	one, two := filepath.Join(root, "one"), filepath.Join(root, "two")
	p := plan(t, small+"axes: {method: [kimi_length]}\nbaselines: {grpo: false, truncation: []}")
	execute(t, p, one, &inProcess{})
	if diff := cmp.Diff([]string{one}, Siblings(two)); diff != "" {
		t.Error(diff)
	}
	r := &inProcess{}
	state := execute(t, plan(t, small+"axes: {method: [kimi_length, dler]}\nbaselines: {grpo: false, truncation: []}"), two, r, one)
	if x := state.Runs[0]; x.From != filepath.Join(one, RunsDir, "kimi_length-s1") || x.Status != Done {
		t.Errorf("%+v", x)
	}
	if diff := cmp.Diff([]string{"dler-s1 until 0"}, r.made); diff != "" {
		t.Error(diff)
	}
	// A run of other settings is not the same run.
	other := &inProcess{}
	execute(t, plan(t, small+"axes: {method: [kimi_length]}\nbaselines: {grpo: false, truncation: []}", "run.steps=2"), filepath.Join(root, "three"), other, one, two)
	if len(other.made) != 1 {
		t.Errorf("made %v", other.made)
	}
}

func TestADirectoryWithRunsOfOtherSettingsIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sweep")
	text := small + "axes: {method: [kimi_length]}\nbaselines: {grpo: false, truncation: []}"
	execute(t, plan(t, text), dir, &inProcess{})
	if _, err := Open(plan(t, text, "run.steps=3"), dir, nil); err == nil || !strings.Contains(err.Error(), "made with other settings (kimi_length-s1)") {
		t.Error(err)
	}
}

func TestASweepHasOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sweep")
	p := plan(t, small+"axes: {method: [kimi_length]}")
	s, err := Open(p, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(p, dir, nil); err == nil || !strings.Contains(err.Error(), "belongs to a running pith sweep") {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// waiting blocks until its context ends.
type waiting struct{ started chan string }

func (w waiting) Run(ctx context.Context, j Job, _ func(int64)) error {
	w.started <- j.Run.Name
	<-ctx.Done()
	return ctx.Err()
}

func TestAnInterruptedSweepEndsAndLeavesItsRunsWaiting(t *testing.T) {
	p := plan(t, small+"axes: {method: [kimi_length, dler]}")
	s, err := Open(p, filepath.Join(t.TempDir(), "sweep"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := waiting{make(chan string, 9)}
	go func() { <-w.started; cancel() }()
	state, err := s.Execute(ctx, w, 2, Events{})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, r := range state.Runs {
		if r.Status != Waiting {
			t.Errorf("%s is %s", r.Name, r.Status)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheBillCountsWhatIsLeft(t *testing.T) {
	text := small + "axes: {method: [kimi_length], seed: 2}\nbaselines: {grpo: false, truncation: []}\nrates: {tokens_per_second: 100, tokens_per_response: 10, dollars_per_hour: 36}"
	p := plan(t, text)
	b, err := p.Bill(nil, Measured{})
	if err != nil {
		t.Fatal(err)
	}
	// A run: 4 steps × 2 × 4 responses; evaluations of 6, 4, 4, 4 and 6 problems, each in two ways.
	tokens, hours, dollars := int64(2*(32+48)*10), 2*80*10/100.0/3600, 2*80*10/100.0/100
	want := RunBill{Arm: "2 runs", Steps: 8, Samples: 64, Evaluations: 96, TokensLimit: 160 * 40, Tokens: &tokens, Hours: &hours, Dollars: &dollars}
	if diff := cmp.Diff(want, b.Total); diff != "" {
		t.Error(diff)
	}
	state := State{Runs: []RunState{{Status: Done, Steps: 4, Step: 4}, {Status: Waiting, Steps: 4, Step: 3}}}
	b, err = p.Bill(&state, Measured{Runs: 1, TokensPerResponse: map[string]float64{"kimi_length": 20}, TokensPerSecond: 50})
	if err != nil {
		t.Fatal(err)
	}
	if b.Total.Steps != 1 || b.Total.Samples != 8 || b.Total.Evaluations != 12 || *b.Total.Tokens != 400 || *b.Total.Hours != 8/3600.0 {
		t.Errorf("left: %+v", b.Total)
	}
	lines := strings.Join(b.Lines(), "\n")
	for _, want := range []string{"1✓ 2", "speed: 50 tokens a second, measured in 1 finished runs", "Every run goes to its last step."} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
}

func TestADamagedStateFileSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadState(dir); err == nil || !strings.Contains(err.Error(), "is not the directory of a sweep") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, StateFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadState(dir); err == nil || !strings.Contains(err.Error(), "delete it, finished runs are found again") {
		t.Error(err)
	}
}
