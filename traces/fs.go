package traces

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// FS is what the log needs of a file system, so that tests can make it fail or stop at any
// operation. [OS] is the real one.
type FS interface {
	MkdirAll(dir string) error
	Create(name string) (File, error) // truncates
	Rename(from, to string) error     // atomic, replaces
	Remove(name string) error
	SyncDir(dir string) error           // makes a rename durable
	List(dir string) ([]string, error)  // names of plain files; none where dir does not exist
	Open(name string) (ReadFile, error) // fs.ErrNotExist where absent
}

// File is a file being written.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// ReadFile is an open file of a known size.
type ReadFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o755) }
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) Create(name string) (File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
}

func (osFS) SyncDir(dir string) error {
	if runtime.GOOS == "windows" { // cannot flush a directory, and needs not: renames are journalled
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (osFS) Open(name string) (ReadFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a plain file")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return osFile{f, info.Size()}, nil
}

type osFile struct {
	*os.File
	size int64
}

func (f osFile) Size() int64 { return f.size }
