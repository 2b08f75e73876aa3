package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Parallel calls f on consecutive ranges [lo, hi) that together cover [0, n), each of at least
// grain elements except perhaps the last, on the worker pool and the calling goroutine, and
// returns when all are done. How the ranges fall depends on timing and on [SetThreads], so f must
// write results that do not depend on it: typically f computes each index on its own.
//
// A call made while the pool serves another one, so every nested call, runs f(0, n) on its own
// goroutine. A panic in f reaches the caller of Parallel.
func Parallel(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	if n <= max(grain, 1) || !thePool.acquire() {
		f(0, n)
		return
	}
	thePool.run(n, grain, f)
}

// SetThreads sets how many goroutines, the caller's included, share one call's work, and returns
// the previous number; n < 1 only asks. The start value is GOMAXPROCS. Results never depend on it.
func SetThreads(n int) (previous int) { return thePool.setThreads(n) }

// Threads returns the number of goroutines that share one call's work.
func Threads() int { return thePool.setThreads(0) }

var thePool = &pool{threads: runtime.GOMAXPROCS(0)}

// pool runs one parallel region at a time. state holds the number of workers inside the region
// and, in poolOpen, whether more may enter; the fields of the region are written before it opens
// and read only by those inside.
type pool struct {
	region sync.Mutex // held by the caller for the length of its region

	threadsMu sync.Mutex
	threads   int
	workers   int // started so far
	wake      []chan struct{}

	state atomic.Int64
	next  atomic.Int64
	idle  chan struct{} // the last worker to leave a closed region says so

	n, chunk int
	f        func(lo, hi int)
	panicked atomic.Pointer[any]
}

const poolOpen = int64(1) << 32

// acquire claims the pool for one region; false if it is busy or alone.
func (p *pool) acquire() bool {
	if !p.region.TryLock() {
		return false
	}
	if p.readyWorkers() == 0 {
		p.region.Unlock()
		return false
	}
	return true
}

// readyWorkers starts missing workers and returns how many may be woken.
func (p *pool) readyWorkers() int {
	p.threadsMu.Lock()
	defer p.threadsMu.Unlock()
	if p.idle == nil {
		p.idle = make(chan struct{}, 1)
	}
	for p.workers < p.threads-1 {
		ch := make(chan struct{}, 1)
		p.wake = append(p.wake, ch)
		p.workers++
		go p.worker(ch)
	}
	return p.threads - 1
}

func (p *pool) setThreads(n int) int {
	p.threadsMu.Lock()
	defer p.threadsMu.Unlock()
	old := p.threads
	if n >= 1 {
		p.threads = n
	}
	return old
}

// run executes one region; the caller holds p.region, which run releases.
func (p *pool) run(n, grain int, f func(lo, hi int)) {
	defer p.region.Unlock()
	p.threadsMu.Lock()
	helpers := p.threads - 1
	p.threadsMu.Unlock()
	// Four chunks a thread even out unequal speeds; a chunk never falls below the grain.
	p.chunk = max(grain, 1, (n+4*(helpers+1)-1)/(4*(helpers+1)))
	p.n, p.f = n, f
	p.next.Store(0)
	p.state.Store(poolOpen)
	helpers = min(helpers, (n-1)/p.chunk, len(p.wake))
	for _, ch := range p.wake[:helpers] {
		select {
		case ch <- struct{}{}:
		default: // already has a wake-up pending
		}
	}
	p.work()
	for { // close: nobody enters any more; wait for those inside
		s := p.state.Load()
		if p.state.CompareAndSwap(s, s&^poolOpen) {
			if s&^poolOpen != 0 {
				<-p.idle
			}
			break
		}
	}
	p.f = nil
	if v := p.panicked.Swap(nil); v != nil {
		panic(*v)
	}
}

// work takes chunks until none is left.
func (p *pool) work() {
	defer func() {
		if v := recover(); v != nil {
			p.panicked.CompareAndSwap(nil, &v)
			p.next.Store(int64(p.n))
		}
	}()
	for {
		lo := int(p.next.Add(int64(p.chunk))) - p.chunk
		if lo >= p.n {
			return
		}
		p.f(lo, min(lo+p.chunk, p.n))
	}
}

// worker serves regions for the life of the process.
func (p *pool) worker(wake <-chan struct{}) {
	for range wake {
		for {
			s := p.state.Load()
			if s&poolOpen == 0 {
				break // the region ended before this worker woke
			}
			if !p.state.CompareAndSwap(s, s+1) {
				continue
			}
			p.work()
			if p.state.Add(-1) == 0 {
				p.idle <- struct{}{}
			}
			break
		}
	}
}
