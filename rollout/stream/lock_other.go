//go:build !unix

package stream

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// lockStore takes the store for this process by holding a file open that only it may delete,
// which Windows enforces: a leftover of a dead process can be removed, one in use cannot.
func lockStore(dir string) (release func() error, err error) {
	name := filepath.Join(dir, "lock")
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, ErrLocked
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, ErrLocked
	}
	return func() error { return errors.Join(f.Close(), os.Remove(name)) }, nil
}
