//go:build unix

package sweep

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock takes a sweep's directory for this process. The kernel lets go when the process ends,
// however it ends.
func lock(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("sweep: %s belongs to a running pith sweep; wait for it or choose another directory with --out", dir)
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
