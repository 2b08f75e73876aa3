package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pith/rollout/engine"
)

func TestControllerFollowsTheServer(t *testing.T) {
	type step struct {
		r      Reading
		limit  int
		cancel int
	}
	s := time.Second
	for _, tc := range []struct {
		name  string
		o     ControllerOptions
		steps []step
	}{
		{"it grows by a turnover while the cap binds and there is room", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s, CacheUse: 0.1}, 100, 0},
			{Reading{At: 2 * s, CacheUse: 0.1, InFlight: 100, Ended: 99, HeldBack: true}, 100, 0}, // not yet a turnover
			{Reading{At: 3 * s, CacheUse: 0.1, InFlight: 100, Ended: 100, HeldBack: true}, 125, 0},
			{Reading{At: 4 * s, CacheUse: 0.1, InFlight: 125, Ended: 200, HeldBack: true}, 125, 0}, // counted from the last growth
			{Reading{At: 5 * s, CacheUse: 0.1, InFlight: 125, Ended: 225, HeldBack: true}, 156, 0},
		}},
		{"it stays where the cap does not bind", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s}, 100, 0},
			{Reading{At: 2 * s, CacheUse: 0.1, InFlight: 50, Ended: 1000}, 100, 0},
		}},
		{"it stays where the cache is well used", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s}, 100, 0},
			{Reading{At: 2 * s, CacheUse: 0.65, InFlight: 100, Ended: 1000, HeldBack: true}, 100, 0},
		}},
		{"a stale reading permits no growth", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s}, 100, 0},
			{Reading{At: 20 * s, InFlight: 100, Ended: 1000, HeldBack: true}, 100, 0},
			{Reading{At: 21 * s, InFlight: 100, Ended: 1099, HeldBack: true}, 100, 0}, // counted from the stale one
			{Reading{At: 22 * s, InFlight: 100, Ended: 1100, HeldBack: true}, 125, 0},
		}},
		{"a nearly full cache trims to what would use 0.7 of it", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s, CacheUse: 0.84, InFlight: 96}, 80, 0},
		}},
		{"above 0.9 the youngest go", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s, CacheUse: 0.98, InFlight: 98}, 70, 28},
		}},
		{"a preemption cuts once, and halves where it happens again", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s, Preemptions: 7}, 100, 0}, // from before us
			{Reading{At: 2 * s, Preemptions: 8, InFlight: 100}, 85, 0},
			{Reading{At: 3 * s, Preemptions: 9, InFlight: 85}, 85, 0}, // it rests
			{Reading{At: 18 * s, Preemptions: 10, InFlight: 85}, 43, 0},
		}},
		{"a queue that stands is cut, one that passes is not", ControllerOptions{Start: 100}, []step{
			{Reading{At: 1 * s, Waiting: 3}, 100, 0},
			{Reading{At: 6 * s}, 100, 0},
			{Reading{At: 7 * s, Waiting: 3}, 100, 0},
			{Reading{At: 12 * s, Waiting: 5}, 100, 0},
			{Reading{At: 17 * s, Waiting: 4}, 85, 0},
		}},
		{"it never leaves its bounds", ControllerOptions{Start: 4, Least: 3, Most: 5}, []step{
			{Reading{At: 1 * s}, 4, 0},
			{Reading{At: 2 * s, InFlight: 4, Ended: 4, HeldBack: true}, 5, 0},
			{Reading{At: 3 * s, InFlight: 5, Ended: 40, HeldBack: true}, 5, 0},
			{Reading{At: 4 * s, CacheUse: 1, InFlight: 1, Ended: 40}, 3, 0},
		}},
		{"an old reading changes nothing", ControllerOptions{Start: 100}, []step{
			{Reading{At: 5 * s}, 100, 0},
			{Reading{At: 4 * s, CacheUse: 0.99, InFlight: 100}, 100, 0},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewController(tc.o)
			for i, st := range tc.steps {
				d := c.Observe(st.r)
				if d.Limit != st.limit || d.Cancel != st.cancel || d.Limit != c.Limit() {
					t.Fatalf("reading %d: limit %d, cancel %d; want %d and %d", i, d.Limit, d.Cancel, st.limit, st.cancel)
				}
			}
		})
	}
}

func TestControllerStartsSlowlyAfterAPublish(t *testing.T) {
	c := NewController(ControllerOptions{Start: 100})
	c.Observe(Reading{At: time.Second})
	c.Published(2 * time.Second)
	if c.Limit() != 50 {
		t.Fatalf("limit %d right after, want 50", c.Limit())
	}
	c.Published(2500 * time.Millisecond) // another at once: not half of the half
	for _, st := range []struct {
		at    time.Duration
		limit int
	}{{3 * time.Second, 50}, {4600 * time.Millisecond, 100}, {6 * time.Second, 100}} {
		if d := c.Observe(Reading{At: st.at}); d.Limit != st.limit {
			t.Errorf("at %v the limit is %d, want %d", st.at, d.Limit, st.limit)
		}
	}
}

// Whatever a server reports: the limit stays within its bounds, rises only where it was allowed to,
// and never asks to cancel more than is there.
func TestControllerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := ControllerOptions{Least: rapid.IntRange(1, 20).Draw(t, "least"), Most: rapid.IntRange(20, 500).Draw(t, "most"), Start: rapid.IntRange(1, 500).Draw(t, "start")}
		c := NewController(o)
		r := Reading{}
		slow := false
		for range rapid.IntRange(1, 60).Draw(t, "readings") {
			if rapid.IntRange(0, 9).Draw(t, "publish") == 0 {
				c.Published(r.At)
				slow = true
			}
			before, at := c.Limit(), r.At
			r = Reading{
				At: r.At + time.Duration(rapid.IntRange(0, 20000).Draw(t, "ms"))*time.Millisecond, CacheUse: rapid.Float64Range(0, 1).Draw(t, "cache"),
				Waiting: rapid.IntRange(0, 3).Draw(t, "waiting"), Preemptions: r.Preemptions + int64(rapid.IntRange(0, 1).Draw(t, "preempted")),
				InFlight: rapid.IntRange(0, 600).Draw(t, "in flight"), Ended: r.Ended + int64(rapid.IntRange(0, 300).Draw(t, "ended")),
				HeldBack: rapid.Bool().Draw(t, "held back"),
			}
			d := c.Observe(r)
			if d.Limit < o.Least || d.Limit > o.Most {
				t.Fatalf("limit %d is outside [%d, %d]", d.Limit, o.Least, o.Most)
			}
			if d.Cancel < 0 || d.Cancel > r.InFlight || (d.Cancel > 0 && r.CacheUse <= 0.9) {
				t.Fatalf("cancel %d of %d with %v of the cache used", d.Cancel, r.InFlight, r.CacheUse)
			}
			if d.Limit > before && !slow && (r.CacheUse >= 0.6 || !r.HeldBack || r.Waiting > 0 || r.At-at > 15*time.Second) {
				t.Fatalf("grew from %d to %d on %+v, %v after the last reading", before, d.Limit, r, r.At-at)
			}
			if r.CacheUse > 0.8 && d.Limit > before {
				t.Fatalf("grew from %d to %d with %v of the cache used", before, d.Limit, r.CacheUse)
			}
			slow = slow && c.slowTarget > 0
		}
	})
}

func TestBreaker(t *testing.T) {
	b := NewBreaker(BreakerOptions{Failures: 2, First: time.Second, Longest: 3 * time.Second})
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	is := func(when int, want bool) {
		t.Helper()
		if got := b.Ready(at(when)); got != want {
			t.Fatalf("ready at %d ms: %v, want %v", when, got, want)
		}
	}
	b.Failed(at(0), 1)
	is(0, true)
	b.Succeeded()
	b.Failed(at(10), 1)
	is(10, true) // not two in a row
	b.Failed(at(20), 1)
	is(20, false)
	b.Failed(at(30), 1) // a straggler
	is(1019, false)
	is(1020, true)
	b.Begin()
	is(1021, false) // one probe at a time
	b.Failed(at(1100), 1)
	is(3099, false) // twice as long
	is(3100, true)
	b.Begin()
	b.Abandoned() // it said nothing
	is(3101, true)
	b.Begin()
	b.Failed(at(3200), 0) // half of 3 s, which is the longest
	is(4699, false)
	is(4700, true)
	b.Begin()
	b.Succeeded()
	is(4701, true)
	b.Trip(at(5000), 1)
	is(5999, false)
	is(6000, true)
}

func TestVerdict(t *testing.T) {
	e := func(c engine.Class) error { return &engine.Error{Class: c, Op: "test"} }
	refused := &engine.Error{Class: engine.Transient, Op: "test", Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}
	dial := &engine.Error{Class: engine.Transient, Op: "test", Err: &net.OpError{Op: "dial", Err: errors.New("no route")}}
	reset := &engine.Error{Class: engine.Transient, Op: "test", Err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}
	for _, tc := range []struct {
		name            string
		err             error
		partial, seeded bool
		want            next
	}{
		{"wrong requests", e(engine.User), true, true, giveUp},
		{"unsupported requests", e(engine.Unsupported), false, true, giveUp},
		{"malformed answers are counted, not repaired", e(engine.Malformed), true, true, giveUp},
		{"a stranger", errors.New("what?"), true, true, giveUp},
		{"a replica without the policy", e(engine.PolicyGone), false, false, another},
		{"busy, with seeds", e(engine.Busy), false, true, again},
		{"busy, without", e(engine.Busy), false, false, again},
		{"never delivered", refused, false, false, again},
		{"no route", dial, false, false, again},
		{"refused at the door", &engine.Error{Class: engine.Transient, Status: 503}, false, false, again},
		{"broken off, seeded", reset, false, true, again},
		{"broken off, seeded, with tokens", reset, true, true, goOn},
		{"broken off, without seeds, with tokens", reset, true, false, goOn},
		{"broken off, without seeds or tokens", reset, false, false, lose},
		{"the server failed under it, without seeds", &engine.Error{Class: engine.Transient, Status: 500}, false, false, lose},
		{"a dead engine, seeded", e(engine.Fatal), false, true, again},
		{"a dead engine, without seeds", e(engine.Fatal), false, false, lose},
		{"a time-out, without seeds", context.DeadlineExceeded, false, false, lose},
	} {
		if got := verdict(tc.err, tc.partial, tc.seeded); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// The rule of package comment: without a seed and without the tokens, a request that may have
// begun is never sent again.
func TestVerdictNeverDrawsAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		err := &engine.Error{Class: engine.Class(rapid.IntRange(0, int(engine.Fatal)).Draw(t, "class")), Status: rapid.SampledFrom([]int{0, 400, 429, 500, 502, 503, 504}).Draw(t, "status")}
		v := verdict(err, false, false)
		if v == again && err.Class != engine.Busy && !unstarted(err) || v == goOn {
			t.Fatalf("%v (status %d): %v", err.Class, err.Status, v)
		}
	})
}

func TestChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "replicas")
		all := make([]candidate, n)
		for i := range all {
			all[i] = candidate{name: fmt.Sprint(i), ready: rapid.Bool().Draw(t, "ready"), limit: rapid.IntRange(1, 64).Draw(t, "limit")}
			all[i].inFlight = rapid.IntRange(0, 70).Draw(t, "in flight")
		}
		key, want := rapid.Uint64().Draw(t, "key"), rapid.IntRange(1, 70).Draw(t, "sequences")
		not := rapid.IntRange(-1, n-1).Draw(t, "not")
		got := choose(all, key, want, not)
		room, others := 0, 0
		least := -1.0
		for i, c := range all {
			if i != not && c.ready {
				others++
				if c.room(want) {
					room++
					if l := c.load(want); least < 0 || l < least {
						least = l
					}
				}
			}
		}
		switch {
		case got < 0 && (room > 0 || not >= 0 && others == 0 && all[not].room(want)):
			t.Fatalf("none chosen of %+v", all)
		case got < 0:
			return
		case !all[got].room(want):
			t.Fatalf("replica %d has no room: %+v", got, all[got])
		case got == not && others > 0:
			t.Fatalf("replica %d was to be avoided", got)
		case got != not && all[got].load(want) > least+slack:
			t.Fatalf("replica %d has load %v, the least is %v", got, all[got].load(want), least)
		}
		if again := choose(all, key, want, not); again != got {
			t.Fatalf("%d, then %d", got, again)
		}
	})
}

func TestOneReplicaLeavingMovesOnlyItsOwnPrompts(t *testing.T) {
	all := []candidate{{"a", true, 0, 8}, {"b", true, 0, 8}, {"c", true, 0, 8}}
	without := []candidate{all[0], {"b", false, 0, 8}, all[2]}
	share := [3]int{}
	for key := range uint64(3000) {
		i := choose(all, key, 1, -1)
		share[i]++
		if j := choose(without, key, 1, -1); i != 1 && i != j {
			t.Fatalf("key %d moved from %d to %d", key, i, j)
		}
	}
	for i, n := range share {
		if n < 850 || n > 1150 {
			t.Errorf("replica %d has %d of 3000 keys", i, n)
		}
	}
}
