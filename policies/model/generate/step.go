package generate

import (
	"slices"

	"pith/policies/kernel"
)

const (
	// blockRows is the most rows of a block: beyond it activations leave the core's cache.
	blockRows = 96
	// leastRows is the fewest rows worth a core of their own: below it the weights, which every
	// block reads once, cost more than the rows.
	leastRows = 3
	// chunkRows is how many tokens of a prompt are read in one step.
	chunkRows = 128
)

// block is a range of segments that is computed together.
type block struct {
	policy   *Policy
	from, to int // segments
}

// consumer takes the logits after a segment's last row: a running sequence draws from them at
// once, a job whose prompt is complete keeps them for its samples.
type consumer struct {
	seq *sequence
	job *Job
}

// Step moves every running sequence by one token, reads up to chunkRows tokens of each prompt
// that is due, and gives free slots to waiting samples. It returns the jobs that have ended since
// the last call; the slice is valid until the next.
func (d *Decoder) Step() []*Job {
	d.admit() // what was submitted since the last step
	d.plan()
	if len(d.blocks) == 1 {
		d.runBlock(d.blocks[0], true)
	} else {
		kernel.Parallel(len(d.blocks), 1, d.runFn)
	}
	d.settle()
	d.admit()
	ended := d.ended
	d.ended, d.handed = d.handed[:0], ended
	return ended
}

// plan cuts the rows of the step into segments and blocks.
func (d *Decoder) plan() {
	d.segs, d.heads, d.blocks, d.policies = d.segs[:0], d.heads[:0], d.blocks[:0], d.policies[:0]
	for _, s := range d.active {
		if !slices.Contains(d.policies, s.job.req.Policy) {
			d.policies = append(d.policies, s.job.req.Policy)
		}
	}
	for _, p := range d.policies {
		d.planDecode(p)
	}
	d.planPrompts()
	if len(d.blocks) > 0 {
		d.stats.Steps++
	}
}

// planDecode makes blocks of the running sequences of one policy, of nearly equal size and a
// multiple of the number of cores where there are rows enough.
func (d *Decoder) planDecode(p *Policy) {
	from := len(d.segs)
	for _, s := range d.active {
		if s.job.req.Policy != p {
			continue
		}
		s.extend()
		d.segs = append(d.segs, segment{cache: s.cache, from: s.fed, tokens: s.token[:]})
		d.heads = append(d.heads, consumer{seq: s})
	}
	rows, cores := len(d.segs)-from, kernel.Threads()
	count := cores * ((rows + cores*blockRows - 1) / (cores * blockRows))
	count = max(1, min(count, rows/leastRows))
	for i := range count {
		d.blocks = append(d.blocks, block{p, from + rows*i/count, from + rows*(i+1)/count})
	}
}

// planPrompts adds the next chunk of every prompt that is being read.
func (d *Decoder) planPrompts() {
	rows, open := 0, false // of the last block; whether it is one of prompts
	for _, j := range d.queue {
		if j.state != jobFilling {
			continue
		}
		if !j.started {
			j.started = true
			j.notify(Started)
		}
		n := min(chunkRows, j.length-j.filled)
		at := len(d.segs)
		d.segs = append(d.segs, segment{cache: j.cache, from: j.filled, tokens: j.tokens[j.filled : j.filled+n]})
		j.filled += n
		head := consumer{}
		if j.filled == j.length {
			head.job = j
		}
		d.heads = append(d.heads, head)
		d.stats.PromptTokens += int64(n)
		if last := len(d.blocks) - 1; open && d.blocks[last].policy == j.req.Policy && rows+n <= chunkRows {
			d.blocks[last].to++
			rows += n
		} else {
			d.blocks = append(d.blocks, block{j.req.Policy, at, at + 1})
			rows, open = n, true
		}
	}
}

// runBlocks computes blocks [lo, hi).
func (d *Decoder) runBlocks(lo, hi int) {
	for _, b := range d.blocks[lo:hi] {
		d.runBlock(b, false)
	}
}

// runBlock computes one block and hands its logits out. It touches only the sequences and jobs of
// its own segments.
func (d *Decoder) runBlock(b block, wide bool) {
	w := workspaces.Get().(*workspace)
	w.forward(b.policy, d.segs[b.from:b.to], b.policy.shape.layerFloats(), lastRows, wide)
	for i, h := range d.heads[b.from:b.to] {
		switch {
		case h.seq != nil:
			h.seq.fed++
			h.seq.drawn = h.seq.next(&w.draw, w.logitRow(i))
		case h.job != nil:
			h.job.logits = append(h.job.logits[:0], w.logitRow(i)...)
		}
	}
	w.release()
}

// settle appends the tokens drawn in this step and marks prompts that are complete.
func (d *Decoder) settle() {
	for i := 0; i < len(d.active); i++ {
		if s := d.active[i]; s.drawn.nonsense {
			d.fail(s.job, ErrNotFinite)
			i = -1 // the rest has moved
		}
	}
	for i := len(d.active) - 1; i >= 0; i-- { // backwards: sequences may leave
		d.take(i)
	}
	for _, j := range d.queue {
		if j.state == jobFilling && j.filled == j.length {
			j.state = jobReady
		}
	}
}
