//go:build unix

package stream

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockStore takes the store for this process: two servers on one JetStream store would destroy
// it. The kernel lets go when the process ends, however it ends.
func lockStore(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
