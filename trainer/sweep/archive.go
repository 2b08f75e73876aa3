package sweep

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"
)

// put sends a run directory through the object store.
func (b *board) put(ctx context.Context, run, dir string) error {
	store, err := b.js.ObjectStore(ctx, b.bucket())
	if err != nil {
		return b.fail("sending "+run, err)
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(pack(w, dir)) }()
	_, err = store.Put(ctx, jetstream.ObjectMeta{Name: run}, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return b.fail("sending "+run, err)
	}
	return nil
}

// fetch puts a run directory from the object store in its place.
func (b *board) fetch(ctx context.Context, run, dir string) error {
	store, err := b.js.ObjectStore(ctx, b.bucket())
	if err != nil {
		return b.fail("fetching "+run, err)
	}
	object, err := store.Get(ctx, run)
	if err != nil {
		return b.fail("fetching "+run, err)
	}
	tmp := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".tmp")
	err = os.RemoveAll(tmp)
	if err == nil {
		err = unpack(object, tmp)
	}
	err = errors.Join(err, object.Close())
	if err == nil {
		err = errors.Join(os.RemoveAll(dir), os.Rename(tmp, dir))
	}
	if err != nil {
		return errors.Join(b.fail("fetching "+run, err), os.RemoveAll(tmp))
	}
	return nil
}

// pack writes a run directory without the stream's store.
func pack(w io.Writer, dir string) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() && rel == "stream" {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Name: filepath.ToSlash(rel), Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.CopyN(t, f, info.Size())
		return errors.Join(err, f.Close())
	})
	return errors.Join(err, t.Close(), z.Close())
}

// mostBytes is the largest run directory that is taken from elsewhere.
const mostBytes = 64 << 30

// unpack writes what pack wrote under dir. Nothing leaves dir, and nothing but files is made.
func unpack(r io.Reader, dir string) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	var total int64
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return z.Close()
		}
		if err != nil {
			return fmt.Errorf("run directory: %w", err)
		}
		name := filepath.FromSlash(h.Name)
		if total += h.Size; h.Typeflag != tar.TypeReg || !filepath.IsLocal(name) || total > mostBytes {
			return fmt.Errorf("run directory: %q does not belong into one", h.Name)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, t, h.Size)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}
