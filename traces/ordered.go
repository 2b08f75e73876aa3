package traces

import (
	"runtime"
	"sync"
)

// ordered decodes files in parallel and delivers what they hold in the order of the files. decode
// hands over blocks through emit, which says whether to go on; deliver gets them on the caller's
// goroutine and may end everything with false. At most as many files are open as the machine has
// cores, each with a block in work and one ahead, so that memory does not grow with the log. When
// ordered returns, every goroutine that it started has ended.
func ordered[F, B any](files []F, decode func(f F, emit func(B) bool), deliver func(B) bool) {
	workers := min(runtime.GOMAXPROCS(0), len(files))
	if workers < 2 {
		for _, f := range files {
			stopped := false
			decode(f, func(b B) bool {
				stopped = stopped || !deliver(b)
				return !stopped
			})
			if stopped {
				return
			}
		}
		return
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	done := make(chan struct{})
	defer close(done) // before the wait: deferred calls run last in, first out
	results := make(chan chan B, workers)
	tickets := make(chan struct{}, workers)
	wait.Go(func() {
		defer close(results)
		for _, f := range files {
			select {
			case tickets <- struct{}{}:
			case <-done:
				return
			}
			blocks := make(chan B, 1)
			select {
			case results <- blocks:
			case <-done:
				return
			}
			wait.Go(func() {
				defer func() { close(blocks); <-tickets }()
				decode(f, func(b B) bool {
					select {
					case blocks <- b:
						return true
					case <-done:
						return false
					}
				})
			})
		}
	})
	for blocks := range results {
		for b := range blocks {
			if !deliver(b) {
				return
			}
		}
	}
}
