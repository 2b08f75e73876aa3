package kernel

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The pool's workers live as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

func TestParallelCoversEveryIndexOnce(t *testing.T) {
	defer SetThreads(SetThreads(0))
	for _, threads := range []int{1, 2, 3, 7} {
		SetThreads(threads)
		for _, n := range []int{0, 1, 2, 5, 100, 1001} {
			for _, grain := range []int{0, 1, 3, 64, 5000} {
				counts := make([]atomic.Int32, n)
				Parallel(n, grain, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						counts[i].Add(1)
					}
				})
				for i := range counts {
					if c := counts[i].Load(); c != 1 {
						t.Fatalf("threads=%d n=%d grain=%d: index %d ran %d times", threads, n, grain, i, c)
					}
				}
			}
		}
	}
}

func TestParallelWithinParallelRunsInline(t *testing.T) {
	defer SetThreads(SetThreads(4))
	var inner atomic.Int32
	Parallel(16, 1, func(lo, hi int) {
		for range hi - lo {
			Parallel(10, 1, func(lo, hi int) {
				if lo != 0 || hi != 10 {
					t.Errorf("nested range [%d, %d), want all of [0, 10)", lo, hi)
				}
				inner.Add(1)
			})
		}
	})
	if inner.Load() != 16 {
		t.Errorf("nested function ran %d times, want 16", inner.Load())
	}
}

func TestParallelServesManyCallersAtOnce(t *testing.T) {
	defer SetThreads(SetThreads(3))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				var sum atomic.Int64
				Parallel(50, 1, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						sum.Add(int64(i))
					}
				})
				if sum.Load() != 50*49/2 {
					t.Errorf("sum %d, want %d", sum.Load(), 50*49/2)
				}
			}
		})
	}
	wg.Wait()
}

func TestPanicInParallelReachesTheCallerAndLeavesThePoolUsable(t *testing.T) {
	defer SetThreads(SetThreads(3))
	func() {
		defer func() {
			if v := recover(); v != "stop" {
				t.Errorf("recovered %v, want stop", v)
			}
		}()
		Parallel(100, 1, func(lo, hi int) { panic("stop") })
	}()
	n := 0
	var mu sync.Mutex
	Parallel(100, 1, func(lo, hi int) {
		mu.Lock()
		n += hi - lo
		mu.Unlock()
	})
	if n != 100 {
		t.Errorf("after a panic the pool covered %d of 100", n)
	}
}

func TestThreadsDoNotShowInProducts(t *testing.T) {
	defer SetThreads(SetThreads(0))
	for _, threads := range []int{1, 2, 3, 5} {
		SetThreads(threads)
		r := rand.New(rand.NewPCG(15, 16))
		for _, g := range []gemmCase{
			{m: 300, n: 70, k: 129},
			{m: 70, n: 300, k: 129, transB: true},
			{m: 65, n: 130, k: 300, transA: true, beta: 1},
			{m: 3, n: 900, k: 700},
			{m: 300, n: 40, k: 129, transB: true},
		} {
			checkGemm(t, r, g, randoms)
		}
	}
}

func TestProductsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under the race detector")
	}
	r := rand.New(rand.NewPCG(17, 18))
	a, b, c := randoms(r, 64*128), randoms(r, 128*128), make([]float32, 64*128)
	p := Pack(false, 128, 128, b, 128)
	got := testing.AllocsPerRun(100, func() {
		Gemm(false, false, 64, 128, 128, a, 128, b, 128, 0, c, 128)
		Gemm(false, true, 64, 128, 128, a, 128, b, 128, 1, c, 128)
		GemmPacked(64, a, 128, p, 0, c, 128)
		Softmax(c[:128])
	})
	if got >= 1 {
		t.Errorf("%v allocations a round, want none", got)
	}
}
