package generate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/policies/model/generate"
)

// run steps the decoder until it is empty.
func run(t testing.TB, d *generate.Decoder) {
	t.Helper()
	for steps := 0; !d.Idle(); steps++ {
		if d.Step(); steps > 100_000 {
			t.Fatal("the decoder makes no progress")
		}
	}
}

func TestAContinuationReadsOnlyWhatIsNew(t *testing.T) {
	c := shapes["llama"]
	p := generate.Pack(policy(c, 5))
	r := rand.New(rand.NewPCG(1, 1))
	prompt := tokens(r, c.VocabSize, generate.PagePositions-5)
	first := generate.Request{Policy: p, Prompt: prompt, N: 3, Params: plain}
	d := generate.NewDecoder(generate.Options{Keep: 100})
	begun, err := d.Submit(first)
	if err != nil {
		t.Fatal(err)
	}
	run(t, d)
	for _, tc := range []struct {
		name string
		keep int
		new  []int32
	}{
		{"inside the first page", 2, []int32{7, 8}},
		{"at the edge of a page", 5, []int32{7}},
		{"in the second page", 20, []int32{7, 8, 9}},
		{"nothing new", 30, nil},
		{"all of it", 40, []int32{3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := first
			next.N, next.Params.MaxTokens = 2, 60
			next.Prefix = slices.Concat(begun.Sequences()[1].Tokens[:tc.keep], tc.new)
			want := sample(t, generate.Options{Keep: -1}, next)[0]
			before := d.Stats()
			j, err := d.Submit(next)
			if err != nil {
				t.Fatal(err)
			}
			run(t, d)
			same(t, "with what was kept", want, j.Sequences())
			read := d.Stats().PromptTokens - before.PromptTokens
			if most := int64(max(1, len(tc.new)+1)); read > most {
				t.Errorf("%d tokens were read, want at most %d", read, most)
			}
			if j.Cached() != len(prompt)+len(next.Prefix)-int(read) {
				t.Errorf("%d tokens count as cached", j.Cached())
			}
		})
	}
	other := first
	other.Policy = generate.Pack(policy(c, 6))
	j, err := d.Submit(other)
	if err != nil {
		t.Fatal(err)
	}
	run(t, d)
	if j.Cached() != 0 {
		t.Error("one policy's keys and values served another")
	}
	d.Forget(p)
	if j, err = d.Submit(first); err != nil {
		t.Fatal(err)
	}
	run(t, d)
	if j.Cached() != 0 {
		t.Error("a forgotten policy's sequences are still there")
	}
	if n := d.Leaks(); n != 0 {
		t.Errorf("%d pages leak", n)
	}
}

// TestAnyHistoryGivesTheSamplesOfACallAlone submits, cancels, forgets and steps at random, with a
// cache so small that requests wait and kept sequences give way.
func TestAnyHistoryGivesTheSamplesOfACallAlone(t *testing.T) {
	c := shapes["qwen2"]
	policies := []*generate.Policy{generate.Pack(policy(c, 7)), generate.Pack(policy(c, 8))}
	histories := 6
	if testing.Short() || raceEnabled {
		histories = 2
	}
	for h := range histories {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(h), 9))
			page := int(generate.Estimate(c, generate.Options{Slots: 1, MaxContext: 1}).Sequence)
			o := generate.Options{Slots: 1 + r.IntN(12), CacheBytes: int64(page * (10 + r.IntN(60))), Keep: r.IntN(40) - 5}
			d := generate.NewDecoder(o)
			prompts := [][]int32{tokens(r, c.VocabSize, 3), tokens(r, c.VocabSize, 40), tokens(r, c.VocabSize, 90)}
			type entry struct {
				job       *generate.Job
				cancelled bool
			}
			var all []entry
			ended := map[*generate.Job]bool{}
			step := func() {
				for _, j := range d.Step() {
					if ended[j] {
						t.Fatal("a job ended twice")
					}
					ended[j] = true
				}
			}
			for range 150 {
				switch r.IntN(5) {
				case 0, 1:
					q := generate.Request{Policy: policies[r.IntN(2)], Prompt: prompts[r.IntN(3)], N: 1 + r.IntN(5), First: r.IntN(3), Params: plain}
					q.Params.Seed, q.Params.MaxTokens, q.Params.Stop = uint64(r.IntN(3)), 1+r.IntN(70), []int32{2}
					if len(all) > 0 && r.IntN(2) == 0 { // continue something
						if e := all[r.IntN(len(all))]; ended[e.job] && !e.cancelled {
							old := e.job.Request()
							s := e.job.Sequences()[0].Tokens
							q.Policy, q.Prompt = old.Policy, old.Prompt
							q.Prefix = slices.Concat(old.Prefix, s[:r.IntN(len(s)+1)], tokens(r, c.VocabSize, r.IntN(3)))
							q.Params.MaxTokens += len(q.Prefix)
						}
					}
					if len(q.Prompt)+len(q.Prefix) >= c.MaxContext {
						continue
					}
					if j, err := d.Submit(q); err == nil {
						all = append(all, entry{job: j})
					} else if d.Check(q) == nil {
						t.Fatalf("refused what passes the check: %v", err)
					}
				case 2:
					if len(all) > 0 && r.IntN(3) == 0 {
						e := &all[r.IntN(len(all))]
						if !ended[e.job] {
							d.Cancel(e.job)
							e.cancelled = true
						}
					}
				case 3:
					if r.IntN(8) == 0 {
						d.Forget(policies[r.IntN(2)])
					}
				}
				for range r.IntN(12) {
					step()
				}
			}
			for i := 0; !d.Idle(); i++ {
				if step(); i > 100_000 {
					t.Fatal("the decoder makes no progress")
				}
			}
			for i, e := range all {
				if !ended[e.job] || e.job.Err() != nil {
					t.Fatalf("job %d: ended %v, error %v", i, ended[e.job], e.job.Err())
				}
				want := sample(t, generate.Options{Keep: -1}, e.job.Request())[0]
				got := e.job.Sequences()
				if e.cancelled { // what there is has to be a beginning
					for k := range got {
						if got[k].Finish != generate.Aborted {
							continue
						}
						n := len(got[k].Tokens)
						if diff := cmp.Diff(want[k].Tokens[:n], got[k].Tokens); n > 0 && diff != "" {
							t.Fatalf("job %d was cancelled; its tokens differ:\n%s", i, diff)
						}
						want[k] = got[k]
					}
				}
				same(t, fmt.Sprintf("job %d of %d", i, len(all)), want, got)
			}
			if n := d.Leaks(); n != 0 {
				t.Errorf("%d pages leak", n)
			}
		})
	}
}

func TestSequencesAreKeptOnlyWhileContinuationsComeIn(t *testing.T) {
	c := shapes["llama"]
	p := generate.Pack(policy(c, 5))
	d := generate.NewDecoder(generate.Options{Slots: 4})
	ask := func(prompt int32, prefix ...int32) *generate.Job {
		j, err := d.Submit(generate.Request{Policy: p, Prompt: []int32{1, 2, prompt}, Prefix: prefix, N: 1, Params: plain})
		if err != nil {
			t.Fatal(err)
		}
		run(t, d)
		return j
	}
	first := ask(0).Sequences()[0].Tokens
	if j := ask(0, first[:20]...); j.Cached() != 0 {
		t.Errorf("the first continuation finds %d tokens: who could have known?", j.Cached())
	}
	if j := ask(0, first[:30]...); j.Cached() != 32 {
		t.Errorf("the second continuation finds %d tokens, want 32", j.Cached())
	}
	for i := range int32(40) {
		ask(1 + i)
	}
	if j := ask(40); j.Cached() != 0 {
		t.Errorf("after 40 requests without a prefix %d tokens are still found", j.Cached())
	}
	if n := d.Leaks(); n != 0 {
		t.Errorf("%d pages leak", n)
	}
}
