package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"pith/rollout/engine"
	"pith/rollout/task"
	"pith/traces"
)

func runChild() bool { return false }

func TestATaskGoesOutAndItsTracesComeBack(t *testing.T) {
	s := open(t, testConfig(t))
	want := aTask("g", 2)
	if err := s.Release(t.Context(), []*task.Task{want}); err != nil {
		t.Fatal(err)
	}
	d, err := s.NextTask(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, d.Task); diff != "" || d.Deliveries != 1 {
		t.Errorf("delivery %d of the task (-want +got):\n%s", d.Deliveries, diff)
	}
	timing := &traces.Timing{Step: 1, ID: "g/0", Worker: "w", Total: 0.5}
	outcome := []Outcome{{Task: d.Task.ID(), Trace: aTrace("g", 0), Timing: timing}, {Task: d.Task.ID(), Trace: aTrace("g", 1)}}
	if err := s.PublishTraces(t.Context(), outcome); err != nil {
		t.Fatal(err)
	}
	if err := d.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []*Delivery
	for range 2 {
		got = append(got, collect(t, s))
	}
	if diff := cmp.Diff(aTrace("g", 0), got[0].Trace); diff != "" || got[0].Task != "g/0+2" {
		t.Errorf("trace of task %s (-want +got):\n%s", got[0].Task, diff)
	}
	if diff := cmp.Diff(timing, got[0].Timing); diff != "" {
		t.Errorf("timing (-want +got):\n%s", diff)
	}
	if err := s.Commit(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stats(t.Context())
	if want := (Stats{Bytes: st.Bytes}); err != nil || st != want || st.Bytes != 0 {
		t.Errorf("after the commit: %+v, %v", st, err)
	}
}

func TestNothingCountsTwice(t *testing.T) {
	c := testConfig(t)
	c.Dedup = 100 * time.Millisecond
	s := open(t, c)
	for range 2 { // within the server's window
		publish(t, s, "g", 0)
		if err := s.Release(t.Context(), []*task.Task{aTask("g", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	first := collect(t, s)
	quiet(t, s)
	if st, err := s.Stats(t.Context()); err != nil || st.Queued != 1 {
		t.Errorf("%+v, %v: the task was queued twice", st, err)
	}
	time.Sleep(300 * time.Millisecond)
	publish(t, s, "g", 0) // beyond the window, held
	quiet(t, s)
	if err := s.Commit(t.Context(), []*Delivery{first}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	publish(t, s, "g", 0) // beyond the window, committed
	quiet(t, s)
	time.Sleep(50 * time.Millisecond)
	if st, err := s.Stats(t.Context()); err != nil || st.Outcomes != 0 || st.Held != 0 {
		t.Errorf("%+v, %v: repeats were left on the queue", st, err)
	}
}

func TestUncommittedTracesComeAgainToTheNextTrainer(t *testing.T) {
	c := testConfig(t)
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, s, "g", 0, 1, 2, 3)
	a, _, _ := collect(t, s), collect(t, s), collect(t, s)
	if err := s.Commit(t.Context(), []*Delivery{a}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	s.Durable("g/2") // its segment was written before the crash
	if d := collect(t, s); d.ID() != "g/1" {
		t.Errorf("got %s, want g/1", d.ID())
	}
	if d := collect(t, s); d.ID() != "g/3" {
		t.Errorf("got %s, want g/3", d.ID())
	}
	quiet(t, s)
}

func TestDeadLettersThatAreInTheLogDoNotComeAgain(t *testing.T) {
	c := testConfig(t)
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*DeadLetter{
		{Kind: DeadTask, TaskID: "a/0+2", Task: aTask("a", 2)}, {Kind: DeadTask, TaskID: "b/0+2", Task: aTask("b", 2)},
		{Kind: DeadTrace, TaskID: "c/0+2", TraceID: "c/0"}, {Kind: DeadTrace, TaskID: "c/0+2", TraceID: "c/1"},
	} {
		if err := s.bury(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	s.Durable("a/0", "a/1", "b/0", "c/1")
	if d := collect(t, s); d.Task != "b/0+2" {
		t.Errorf("got %s, want the task of which one sample is not in the log", d.ID())
	}
	if d := collect(t, s); d.Dead.TraceID != "c/0" {
		t.Errorf("got %s, want c/0", d.ID())
	}
	quiet(t, s)
}

func TestHeldMessagesAreNotDeliveredAgain(t *testing.T) {
	c := testConfig(t)
	c.AckWait = 300 * time.Millisecond
	s := open(t, c)
	if err := s.Release(t.Context(), []*task.Task{aTask("g", 1)}); err != nil {
		t.Fatal(err)
	}
	held, err := s.NextTask(within(t, 5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	publish(t, s, "g", 0)
	d := collect(t, s)
	if again, err := s.NextTask(within(t, 4*c.AckWait)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held task was delivered again: %+v, %v", again, err)
	}
	if n := len(d.msgs); n != 1 {
		t.Errorf("a held trace was delivered %d times", n)
	}
	if err := held.Done(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAReturnedTaskComesBack(t *testing.T) {
	s := open(t, testConfig(t))
	if err := s.Release(t.Context(), []*task.Task{aTask("g", 1)}); err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 3; want++ {
		d, err := s.NextTask(within(t, 5*time.Second))
		if err != nil || d.Deliveries != want {
			t.Fatalf("delivery %+v, %v; want number %d", d, err, want)
		}
		if err := d.Return(0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATaskThatNeverFinishesBecomesADeadLetter(t *testing.T) {
	c := testConfig(t)
	c.MaxDeliver = 2
	s := open(t, c)
	if err := s.Release(t.Context(), []*task.Task{aTask("bad", 3), aTask("good", 1)}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for range 4 {
		d, err := s.NextTask(within(t, 5*time.Second))
		if err != nil {
			break
		}
		if seen[d.Task.Group]++; d.Task.Group == "good" {
			if err := d.Done(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := d.Return(0); err != nil {
			t.Fatal(err)
		}
		if seen["bad"] == 2 && seen["good"] == 1 {
			break
		}
	}
	if d, err := s.NextTask(within(t, 300*time.Millisecond)); err == nil {
		t.Errorf("delivered once more: %s", d.Task.ID())
	}
	d := collect(t, s)
	if d.Dead == nil || d.Dead.Kind != DeadTask || d.Dead.Task == nil || d.Dead.Task.Group != "bad" || d.Task != "bad/0+3" ||
		!strings.Contains(d.Dead.Reason, "delivered 2 times and never finished") {
		t.Errorf("got %+v %+v", d, d.Dead)
	}
	if err := s.Commit(t.Context(), []*Delivery{d}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Queued+st.Running+st.Outcomes != 0 {
		t.Errorf("left behind: %+v, %v", st, err)
	}
}

func TestPoisonMessagesBecomeDeadLetters(t *testing.T) {
	s := open(t, testConfig(t))
	spoil := func(subject, id, taskID, traceID string, body []byte) {
		t.Helper()
		m := nats.NewMsg(subject)
		if id != "" {
			m = message(subject, id, taskID, traceID, body)
		}
		m.Data = body
		if _, err := s.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	good, err := traces.Marshal(aTrace("g", 7), nil)
	if err != nil {
		t.Fatal(err)
	}
	invalid := aTrace("g", 8)
	invalid.LengthTokens = 99
	badRules, err := traces.Marshal(invalid, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := aTrace("g", 9)
	other.Run = "another"
	badRun, err := traces.Marshal(other, nil)
	if err != nil {
		t.Fatal(err)
	}
	spoil(s.names.trace, "trace/g/0", "g/0+4", "g/0", []byte("rubbish"))
	spoil(s.names.trace, "trace/g/8", "g/0+4", "g/8", badRules)
	spoil(s.names.trace, "trace/g/9", "g/0+4", "g/9", badRun)
	spoil(s.names.trace, "", "", "", good)
	spoil(s.names.deadTask, "dead/x", "x/0+1", "", []byte("rubbish"))
	spoil(s.names.task, "task/q", "q/0+1", "", []byte(`{"run":"run-1","unknown":1}`))
	spoil(s.names.trace, "trace/g/7", "g/0+4", "g/7", good)
	if d, err := s.NextTask(within(t, 300*time.Millisecond)); err == nil {
		t.Errorf("got the task %+v", d.Task)
	}
	var got []string
	for range 7 {
		d := collect(t, s)
		if d.Dead == nil {
			got = append(got, "trace "+d.ID())
			continue
		}
		reason, _, _ := strings.Cut(d.Dead.Reason, ":")
		got = append(got, fmt.Sprintf("%s|%s|%s|%s", d.Dead.Kind, d.Task, d.Dead.TraceID, reason))
	}
	slices.Sort(got)
	want := []string{
		"task|q/0+1||undecodable task",
		"task|x/0+1||unreadable dead letter",
		"trace g/7",
		"trace|g/0+4|g/0|undecodable trace message",
		"trace|g/0+4|g/8|trace g/8 is invalid",
		"trace|g/0+4|g/9|trace g/9 belongs to run \"another\"",
		"trace||message-4|not a message of pith",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	quiet(t, s)
}

func TestLargeTracesTravelAndTooLargeOnesAreAccountedFor(t *testing.T) {
	s := open(t, testConfig(t))
	big := func(sample, tokens int) Outcome {
		tr := aTrace("g", sample)
		tr.Tokens = make([]int32, tokens)
		tr.LogProbs = make([]float32, tokens)
		tr.Segments[0].End, tr.Spans[0].End, tr.LengthTokens = int32(tokens), int32(tokens), int32(tokens)
		return Outcome{Task: "g/0+3", Trace: tr}
	}
	if err := s.PublishTraces(t.Context(), []Outcome{big(0, 6500), big(1, 2<<20), big(2, 300_000)}); err != nil {
		t.Fatal(err)
	}
	got := []*Delivery{collect(t, s), collect(t, s), collect(t, s)}
	slices.SortFunc(got, func(a, b *Delivery) int { return strings.Compare(a.ID(), b.ID()) })
	if d := got[0]; d.Dead == nil || d.Dead.TraceID != "g/1" || !strings.Contains(d.Dead.Reason, "raise its max_payload") {
		t.Errorf("the trace that is too large: %+v", d)
	}
	if n := len(got[1].Trace.Tokens); n != 6500 {
		t.Errorf("%d tokens arrived", n)
	}
}

func TestInvalidOrForeignTracesAreNotSent(t *testing.T) {
	s := open(t, testConfig(t))
	bad, foreign := aTrace("g", 1), aTrace("g", 2)
	bad.Segments = nil
	foreign.Run = "another"
	for _, tr := range []*traces.Trace{bad, foreign} {
		if err := s.PublishTraces(t.Context(), []Outcome{{Trace: aTrace("g", 0)}, {Trace: tr}}); err == nil {
			t.Errorf("trace %s was sent", tr.ID)
		}
	}
	quiet(t, s)
	other := aTask("g", 1)
	other.Run = "another"
	if err := s.Release(t.Context(), []*task.Task{other}); err == nil {
		t.Error("a task of another run was released")
	}
}

func TestTooFewHeldIsAnErrorNotAHang(t *testing.T) {
	c := testConfig(t)
	c.MaxHeld = 2
	s := open(t, c)
	publish(t, s, "g", 0, 1, 2)
	a, b := collect(t, s), collect(t, s)
	if _, err := s.Collect(within(t, 5*time.Second)); !errors.Is(err, ErrHeldFull) || !strings.Contains(err.Error(), "max_held") {
		t.Errorf("got %v, want ErrHeldFull", err)
	}
	if err := s.Commit(t.Context(), []*Delivery{a, b}); err != nil {
		t.Fatal(err)
	}
	if d := collect(t, s); d.ID() != "g/2" {
		t.Errorf("got %s", d.ID())
	}
}

func TestASlowTrainerLosesNothing(t *testing.T) {
	c := testConfig(t)
	c.AckWait = 200 * time.Millisecond
	s := open(t, c)
	var samples []int
	for i := range 400 {
		samples = append(samples, i)
	}
	publish(t, s, "g", samples...)
	first := collect(t, s) // from here on everything is received, and waits
	time.Sleep(5 * c.AckWait)
	got := []*Delivery{first}
	for range 399 {
		got = append(got, collect(t, s))
	}
	for i, d := range got {
		if d.Trace.Sample != int32(i) {
			t.Fatalf("outcome %d is %s", i, d.ID())
		}
	}
	quiet(t, s)
	if err := s.Commit(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Outcomes != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestEveryWaitSaysWhatItWaitedFor(t *testing.T) {
	s := open(t, testConfig(t))
	if _, err := s.NextTask(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `waiting for a task of run "run-1"`) {
		t.Errorf("NextTask: %v", err)
	}
	if _, err := s.Collect(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `waiting for a trace of run "run-1" while 0 are held`) {
		t.Errorf("Collect: %v", err)
	}
}

func TestClosingEndsEveryWait(t *testing.T) {
	s, err := Open(t.Context(), testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	ends := make(chan error, 3)
	go func() { _, err := s.NextTask(t.Context()); ends <- err }()
	go func() { _, err := s.Collect(t.Context()); ends <- err }()
	go func() { ends <- s.Policies(t.Context(), func(Policy) error { return nil }) }()
	time.Sleep(100 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		select {
		case err := <-ends:
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a wait goes on after Close")
		}
	}
}

func TestRunsShareAServerAndDoNotMix(t *testing.T) {
	host := testConfig(t)
	host.Listen = "127.0.0.1:0"
	a := open(t, host)
	c := testConfig(t)
	c.Run, c.URL, c.StoreDir = "möbius run / 2", a.URL(), ""
	b := open(t, c)
	publish(t, a, "g", 0)
	quiet(t, b)
	if d := collect(t, a); d.ID() != "g/0" {
		t.Errorf("got %s", d.ID())
	}
	runs, err := Runs(t.Context(), c)
	slices.Sort(runs)
	if diff := cmp.Diff([]string{"möbius run / 2", "run-1"}, runs); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := b.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs, err := Runs(t.Context(), c); err != nil || len(runs) != 1 {
		t.Errorf("after the purge: %v, %v", runs, err)
	}
}

func TestPoliciesReachWorkersWithTheirBytes(t *testing.T) {
	for _, where := range []string{"object store", "shared directory"} {
		t.Run(where, func(t *testing.T) {
			host := testConfig(t)
			host.Listen = "127.0.0.1:0"
			host.KeepPolicies = 2
			if where == "shared directory" {
				host.PolicyDir = t.TempDir()
			}
			s := open(t, host)
			weights := func(step int64) []byte { return []byte(strings.Repeat(fmt.Sprint("weights ", step), 50_000)) }
			announce := func(step int64) {
				t.Helper()
				if err := s.Announce(t.Context(), engine.PolicyRef{ID: fmt.Sprintf("p%d", step), Step: step}, weights(step)); err != nil {
					t.Fatal(err)
				}
			}
			for step := range int64(4) {
				announce(step)
			}
			c := host
			c.URL, c.Listen, c.StoreDir = s.URL(), "", ""
			w, err := Join(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			known, err := w.Announced(t.Context())
			if err != nil || len(known) != 2 || known[0].Ref.ID != "p2" || known[1].Ref.ID != "p3" {
				t.Fatalf("kept %+v, %v; want p2 and p3", known, err)
			}
			for i, p := range known {
				got, err := w.Weights(t.Context(), p)
				if err != nil || string(got) != string(weights(int64(2+i))) {
					t.Errorf("%s: %d bytes, %v", p.Ref.ID, len(got), err)
				}
			}
			var seen []string
			err = w.Policies(within(t, 10*time.Second), func(p Policy) error {
				if seen = append(seen, p.Ref.ID); p.Ref.ID == "p3" {
					announce(4)
				}
				if p.Ref.ID == "p4" {
					return errors.New("enough")
				}
				return nil
			})
			if diff := cmp.Diff([]string{"p2", "p3", "p4"}, seen); diff != "" || err == nil || err.Error() != "enough" {
				t.Errorf("%v\n%s", err, diff)
			}
			if _, err := w.Weights(t.Context(), known[0]); !errors.Is(err, ErrGone) {
				t.Errorf("the weights of p2: %v, want ErrGone", err)
			}
			forged := known[1]
			forged.Digest = strings.Repeat("0", 64)
			if _, err := w.Weights(t.Context(), forged); !errors.Is(err, ErrDigest) {
				t.Errorf("other bytes than announced: %v", err)
			}
		})
	}
}

func TestAPolicyWithoutBytesSaysSo(t *testing.T) {
	s := open(t, testConfig(t))
	if err := s.Announce(t.Context(), engine.PolicyRef{ID: "base"}, nil); err != nil {
		t.Fatal(err)
	}
	known, err := s.Announced(t.Context())
	if err != nil || len(known) != 1 || known[0].HasBytes() {
		t.Fatalf("%+v, %v", known, err)
	}
	if _, err := s.Weights(t.Context(), known[0]); err == nil || !strings.Contains(err.Error(), "announced without weights") {
		t.Errorf("got %v", err)
	}
}
