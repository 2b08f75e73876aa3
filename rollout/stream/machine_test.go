package stream

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
	"pith/rollout/task"
)

// machine drives a real stream and a model of it with the same random operations, and compares
// what can be seen. The model: a task is queued, in hand or done; a trace is unsent, stored, held
// or committed; closing and opening again returns what was in hand and held.
type machine struct {
	conf Config
	s    *Stream

	queued map[string]bool
	inHand map[string]*TaskDelivery
	stored []string             // accepted, not yet collected in this session, in order
	held   map[string]*Delivery // collected, not committed
	order  []string             // of acceptance, uncommitted traces only
	done   map[string]bool      // committed
	next   int
}

func TestStreamAgreesWithItsModel(t *testing.T) {
	// A check takes half a second, most of it opening and closing servers. -rapid.checks asks for more.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := flag.Set("rapid.checks", "8"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = flag.Set("rapid.checks", f.DefValue) }()
	}
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		m := &machine{conf: Default("run-1", dir), queued: map[string]bool{}, inHand: map[string]*TaskDelivery{}, held: map[string]*Delivery{}, done: map[string]bool{}}
		m.open(rt)
		defer func() {
			if err := m.s.Close(); err != nil {
				rt.Error(err)
			}
			_ = os.RemoveAll(dir)
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"release": m.release, "take": m.take, "finish": m.finish, "give back": m.giveBack,
			"publish": m.publish, "publish again": m.publishAgain, "collect": m.collect, "commit": m.commit,
			"reopen": m.reopen, "": m.check,
		})
	})
}

func (m *machine) open(rt *rapid.T) {
	s, err := Open(context.Background(), m.conf)
	if err != nil {
		rt.Fatal(err)
	}
	m.s = s
}

func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Second)
}

// pick draws a key of m, or skips the operation.
func pick[V any](rt *rapid.T, m map[string]V) string {
	if len(m) == 0 {
		rt.Skip("nothing to choose from")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m))).Draw(rt, "which")
}

func (m *machine) release(rt *rapid.T) {
	m.next++
	group := fmt.Sprintf("g%03d", m.next)
	for range rapid.IntRange(1, 2).Draw(rt, "times") { // a repeat changes nothing
		if err := m.s.Release(context.Background(), []*task.Task{aTask(group, 2)}); err != nil {
			rt.Fatal(err)
		}
	}
	m.queued[group] = true
}

func (m *machine) take(rt *rapid.T) {
	if len(m.queued) == 0 {
		rt.Skip("the queue is empty")
	}
	ctx, cancel := soon()
	defer cancel()
	d, err := m.s.NextTask(ctx)
	if err != nil {
		rt.Fatalf("%d tasks are queued: %v", len(m.queued), err)
	}
	if !m.queued[d.Task.Group] {
		rt.Fatalf("got task %s, which is not queued", d.Task.Group)
	}
	delete(m.queued, d.Task.Group)
	m.inHand[d.Task.Group] = d
}

func (m *machine) finish(rt *rapid.T) {
	g := pick(rt, m.inHand)
	if err := m.inHand[g].Done(context.Background()); err != nil {
		rt.Fatal(err)
	}
	delete(m.inHand, g)
}

func (m *machine) giveBack(rt *rapid.T) {
	g := pick(rt, m.inHand)
	if m.inHand[g].Deliveries == m.conf.MaxDeliver {
		rt.Skip("one delivery more would kill it")
	}
	if err := m.inHand[g].Return(0); err != nil {
		rt.Fatal(err)
	}
	delete(m.inHand, g)
	m.queued[g] = true
}

func (m *machine) publish(rt *rapid.T) {
	g := pick(rt, m.inHand)
	out := []Outcome{{Task: g, Trace: aTrace(g, 0)}, {Task: g, Trace: aTrace(g, 1)}}
	if err := m.s.PublishTraces(context.Background(), out); err != nil {
		rt.Fatal(err)
	}
	for _, o := range out {
		m.accept(o.Trace.ID)
	}
}

func (m *machine) accept(id string) {
	if !m.done[id] && !slices.Contains(m.order, id) {
		m.order, m.stored = append(m.order, id), append(m.stored, id)
	}
}

func (m *machine) publishAgain(rt *rapid.T) {
	known := maps.Clone(m.done)
	for _, id := range m.order {
		known[id] = true
	}
	id := pick(rt, known)
	g, _, _ := strings.Cut(id, "/")
	tr := aTrace(g, 0)
	tr.ID = id
	if err := m.s.PublishTraces(context.Background(), []Outcome{{Task: g, Trace: tr}}); err != nil {
		rt.Fatal(err)
	}
}

func (m *machine) collect(rt *rapid.T) {
	if len(m.stored) == 0 {
		rt.Skip("nothing is stored")
	}
	ctx, cancel := soon()
	defer cancel()
	d, err := m.s.Collect(ctx)
	if err != nil {
		rt.Fatalf("%d traces are stored: %v", len(m.stored), err)
	}
	if d.ID() != m.stored[0] {
		rt.Fatalf("collected %s, want %s", d.ID(), m.stored[0])
	}
	m.stored = m.stored[1:]
	m.held[d.ID()] = d
}

func (m *machine) commit(rt *rapid.T) {
	if len(m.held) == 0 {
		rt.Skip("nothing is held")
	}
	var ds []*Delivery
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(m.held))), 1, len(m.held), rapid.ID[string]).Draw(rt, "which") {
		ds = append(ds, m.held[id])
		delete(m.held, id)
		m.done[id] = true
		m.order = slices.DeleteFunc(m.order, func(o string) bool { return o == id })
	}
	for range rapid.IntRange(1, 2).Draw(rt, "times") { // a repeat changes nothing
		if err := m.s.Commit(context.Background(), ds); err != nil {
			rt.Fatal(err)
		}
	}
}

func (m *machine) reopen(rt *rapid.T) {
	if err := m.s.Close(); err != nil {
		rt.Fatal(err)
	}
	for g := range m.inHand {
		m.queued[g] = true
	}
	clear(m.inHand)
	clear(m.held)
	m.stored = slices.Clone(m.order)
	m.open(rt)
	m.s.Durable(slices.Collect(maps.Keys(m.done))...)
}

// check looks at what is always visible.
func (m *machine) check(rt *rapid.T) {
	st, err := m.s.Stats(context.Background())
	if err != nil {
		rt.Fatal(err)
	}
	if got, want := st.Queued+st.Running, len(m.queued)+len(m.inHand); got != want {
		rt.Fatalf("%d tasks on the server, %d in the model", got, want)
	}
	if len(m.stored) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
		defer cancel()
		if d, err := m.s.Collect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			rt.Fatalf("collected %v, %v; nothing is stored", d, err)
		}
	}
}
