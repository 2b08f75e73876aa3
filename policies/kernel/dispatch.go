package kernel

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// level is an implementation; higher needs more of the processor.
type level int32

const (
	portable level = iota
	avx2
	avx512
)

var levelNames = [...]string{portable: "portable", avx2: "avx2", avx512: "avx512"}

// current is the implementation in use.
var current = newCurrent()

func newCurrent() *atomic.Int32 {
	c := new(atomic.Int32)
	c.Store(int32(best()))
	return c
}

func using() level { return level(current.Load()) }

func best() level { return supported()[0] }

// Name returns the implementation in use: "avx512", "avx2" or "portable".
func Name() string { return levelNames[using()] }

// Available lists the implementations this processor can run, the fastest first.
func Available() []string {
	var names []string
	for _, l := range supported() {
		names = append(names, levelNames[l])
	}
	return names
}

// Use makes the named implementation serve all later calls; "" chooses the fastest. It is meant
// for tests and for honouring the PITH_KERNEL environment variable at start-up. Results do not
// depend on the choice, only speed does.
func Use(name string) error {
	if name == "" {
		current.Store(int32(best()))
		return nil
	}
	for _, l := range supported() {
		if levelNames[l] == name {
			current.Store(int32(l))
			return nil
		}
	}
	return fmt.Errorf("kernel %q cannot run on this processor; choose one of %s", name, strings.Join(Available(), ", "))
}
