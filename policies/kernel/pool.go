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
	if n <= grain || n == 1 || !thePool.acquire() {
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

var thePool = newPool(runtime.GOMAXPROCS(0))

func newPool(threads int) *pool {
	p := &pool{idle: make(chan struct{}, 1)}
	p.threads.Store(int64(threads))
	return p
}

// pool runs one parallel region at a time. The fields of the region are written before state
// opens it and read only by those who entered.
type pool struct {
	region  sync.Mutex // held by the caller for the length of its region
	threads atomic.Int64
	workers []*poolWorker // guarded by region

	state    atomic.Uint64
	next     atomic.Int64
	spinners atomic.Int32
	idle     chan struct{} // where the last worker to leave tells a caller that sleeps

	n, chunk int
	f        func(lo, hi int)
	panicked atomic.Pointer[any]
}

type poolWorker struct {
	index    int
	wake     chan struct{}
	spinning atomic.Bool
}

// The parts of pool.state: how many workers are inside, whether more may enter, whether the
// caller sleeps until the last has left, and the number of the region, so that a worker enters
// each region once.
const (
	poolCount = uint64(1)<<16 - 1
	poolOpen  = uint64(1) << 16
	poolSleep = uint64(1) << 17
	poolEpoch = uint64(1) << 18
)

const (
	// A sleeping core takes tens of microseconds to wake on a virtual machine, longer than many a
	// region lasts, so a worker that has just worked, and a caller about to finish, first spin.
	spinRounds  = 100
	spinPauses  = 16 // pauses in a round, about 0.3 microseconds
	spinYieldAt = 8  // rounds between offers of the processor to other goroutines
)

// spin calls done until it says true, for spinRounds rounds.
func spin(done func() bool) bool {
	for i := range spinRounds {
		if done() {
			return true
		}
		pause(spinPauses)
		if i%spinYieldAt == spinYieldAt-1 {
			runtime.Gosched()
		}
	}
	return done()
}

// acquire claims the pool for one region; false if it is busy or alone.
func (p *pool) acquire() bool { return p.threads.Load() > 1 && p.region.TryLock() }

// awake tells whether a worker spins, so that even a short region pays.
func (p *pool) awake() bool { return p.spinners.Load() > 0 }

func (p *pool) setThreads(n int) int {
	if n < 1 {
		return int(p.threads.Load())
	}
	return int(p.threads.Swap(int64(n)))
}

// run executes one region; the caller has acquired the pool, which run releases.
func (p *pool) run(n, grain int, f func(lo, hi int)) {
	defer p.region.Unlock()
	threads := int(p.threads.Load())
	for i := len(p.workers); i < threads-1; i++ {
		w := &poolWorker{index: i, wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		go p.worker(w)
	}
	// Four chunks a thread even out unequal speeds; a chunk never falls below the grain.
	p.chunk = max(grain, 1, (n+4*threads-1)/(4*threads))
	p.n, p.f = n, f
	p.next.Store(0)
	p.state.Store(p.state.Load()&^(poolEpoch-1) + poolEpoch | poolOpen)
	for _, w := range p.workers[:min(threads-1, (n-1)/p.chunk)] {
		if !w.spinning.Load() {
			select {
			case w.wake <- struct{}{}:
			default: // has a wake-up pending
			}
		}
	}
	p.work()
	p.state.And(^poolOpen) // nobody enters any more
	if !spin(func() bool { return p.state.Load()&poolCount == 0 }) && p.state.Or(poolSleep)&poolCount != 0 {
		<-p.idle
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
			p.panicked.CompareAndSwap(nil, new(v)) // a copy, so that v itself stays off the heap
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
func (p *pool) worker(w *poolWorker) {
	last := uint64(0) // the region served last
	serve := func() bool {
		s := p.state.Load()
		if s&poolOpen == 0 || s/poolEpoch == last || int64(w.index) >= p.threads.Load()-1 {
			return false
		}
		if !p.state.CompareAndSwap(s, s+1) {
			return false
		}
		last = s / poolEpoch
		p.work()
		// Workers still inside have not let the caller go on, so state is still of this region.
		if s := p.state.Add(^uint64(0)); s&poolSleep != 0 && s&poolCount == 0 {
			p.idle <- struct{}{}
		}
		return true
	}
	for range w.wake {
		w.spinning.Store(true)
		p.spinners.Add(1)
		for spin(serve) {
		}
		p.spinners.Add(-1)
		w.spinning.Store(false)
		serve() // a region may have opened just before the flag fell
	}
}
