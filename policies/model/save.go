package model

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pith/policies/model/safetensors"
)

// SaveOption changes how [Weights.Save] and [Weights.MarshalSafetensors] store the tensors.
type SaveOption func(*saving)

type saving struct{ dtype safetensors.DType }

// BF16 stores the tensors as bfloat16, half the size, rounded to nearest even. What is loaded from
// it has another digest than what was saved, unless every weight was a bfloat16 already.
func BF16() SaveOption { return func(s *saving) { s.dtype = safetensors.BF16 } }

func (s saving) torch() string {
	if s.dtype == safetensors.BF16 {
		return "bfloat16"
	}
	return "float32"
}

func options(o []SaveOption) saving {
	s := saving{dtype: safetensors.F32}
	for _, f := range o {
		f(&s)
	}
	return s
}

// Save writes config.json and model.safetensors into dir, which is created if needed. Each file
// appears whole or not at all (temporary name, fsync, rename); the weights come first, so that a
// directory with a config.json has its weights too. Save a new policy into a new directory: two
// renames are not one.
func (w *Weights) Save(dir string, o ...SaveOption) error {
	s := options(o)
	config, err := w.Config.MarshalHF(s.torch())
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := writeFile(dir, weightsFile, func(f io.Writer) error {
		return safetensors.Write(f, w.stored(), map[string]string{"format": "pt"}, s.dtype)
	}); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := writeFile(dir, configFile, func(f io.Writer) error {
		_, err := f.Write(config)
		return err
	}); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	return nil
}

// MarshalSafetensors is the policy as one blob: the tensors, and the config in the metadata.
func (w *Weights) MarshalSafetensors(o ...SaveOption) ([]byte, error) {
	s := options(o)
	config, err := w.Config.MarshalHF(s.torch())
	if err != nil {
		return nil, fmt.Errorf("marshal policy: %w", err)
	}
	var b bytes.Buffer
	b.Grow(4*len(w.flat) + 4096 + 160*len(w.tensors))
	if err := safetensors.Write(&b, w.stored(), map[string]string{"format": "pt", metaConfig: string(config)}, s.dtype); err != nil {
		return nil, fmt.Errorf("marshal policy: %w", err)
	}
	return b.Bytes(), nil
}

func (w *Weights) stored() []safetensors.Tensor {
	out := make([]safetensors.Tensor, len(w.tensors))
	for i, t := range w.tensors {
		out[i] = safetensors.Tensor(t)
	}
	return out
}

// writeFile writes dir/name through a temporary file.
func writeFile(dir, name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	b := bufio.NewWriterSize(f, 1<<18)
	if err := write(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
