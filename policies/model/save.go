package model

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"pith/policies/model/safetensors"
)

// SaveOption changes how [Weights.Save] and [Weights.MarshalSafetensors] store the tensors.
type SaveOption func(*saving)

type saving struct {
	dtype safetensors.DType
	shard int64 // bytes of tensors in a file at most; 0 for no limit
}

// BF16 stores the tensors as bfloat16, half the size, rounded to nearest even. What is loaded from
// it has another digest than what was saved, unless every weight was a bfloat16 already.
func BF16() SaveOption { return func(s *saving) { s.dtype = safetensors.BF16 } }

// F16 stores the tensors as IEEE binary16, rounded to nearest even. A weight beyond 65504 is an
// error.
func F16() SaveOption { return func(s *saving) { s.dtype = safetensors.F16 } }

// ShardSize makes [Weights.Save] cut the tensors into files of at most so many bytes, listed in
// model.safetensors.index.json. A tensor that is larger has a file of its own. Where one file does,
// or bytes is not positive, there is one model.safetensors and no index.
func ShardSize(bytes int64) SaveOption { return func(s *saving) { s.shard = bytes } }

func (s saving) torch() string {
	switch s.dtype {
	case safetensors.BF16:
		return "bfloat16"
	case safetensors.F16:
		return "float16"
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

// check refuses what the type cannot hold.
func (s saving) check(w *Weights) error {
	if s.dtype != safetensors.F16 {
		return nil
	}
	const beyond = 65520 // rounds to infinity
	for _, t := range w.tensors {
		for i, x := range t.Data {
			if x >= beyond || x <= -beyond {
				return fmt.Errorf("tensor %q, element %d is %v, which float16 cannot hold; use bfloat16 or float32", t.Name, i, x)
			}
		}
	}
	return nil
}

// Save writes config.json and the tensors into dir, which is created if needed: model.safetensors, or
// shards and their index. Each file appears whole or not at all (temporary name, fsync, rename); the
// weights come first, so that a directory with a config.json has its weights too, and what an earlier
// Save into the directory left of the other kind is removed. Save a new policy into a new directory
// all the same: several renames are not one.
func (w *Weights) Save(dir string, o ...SaveOption) error {
	s := options(o)
	config, err := w.Config.MarshalHF(s.torch())
	if err == nil {
		err = s.check(w)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = w.saveTensors(dir, s)
	}
	if err == nil {
		err = writeFile(dir, configFile, func(f io.Writer) error {
			_, err := f.Write(config)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	return nil
}

// saveTensors writes the tensors, their index where there are several files, and removes files of an
// earlier save that this one does not replace.
func (w *Weights) saveTensors(dir string, s saving) error {
	parts := s.parts(w.stored())
	index := struct {
		Metadata struct {
			Total int64 `json:"total_size"`
		} `json:"metadata"`
		Map map[string]string `json:"weight_map"`
	}{Map: map[string]string{}}
	kept := map[string]bool{}
	for i, part := range parts {
		name := weightsFile
		if len(parts) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(parts))
		}
		if err := writeFile(dir, name, func(f io.Writer) error {
			return safetensors.Write(f, part, map[string]string{"format": "pt"}, s.dtype)
		}); err != nil {
			return err
		}
		kept[name] = true
		for _, t := range part {
			index.Map[t.Name] = name
			index.Metadata.Total += int64(len(t.Data)) * s.dtype.Size()
		}
	}
	if len(parts) > 1 {
		text, err := json.MarshalIndent(index, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(dir, indexFile, func(f io.Writer) error {
			_, err := f.Write(append(text, '\n'))
			return err
		}); err != nil {
			return err
		}
		kept[indexFile] = true
	}
	old, err := filepath.Glob(filepath.Join(dir, "model*.safetensors*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if name := filepath.Base(path); !kept[name] && ours.MatchString(name) {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// ours matches the names of tensor files that Save gives, and of their index.
var ours = regexp.MustCompile(`^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$`)

// parts cuts the tensors into runs that stay below the shard size.
func (s saving) parts(all []safetensors.Tensor) [][]safetensors.Tensor {
	var parts [][]safetensors.Tensor
	size := int64(0)
	for _, t := range all {
		n := int64(len(t.Data)) * s.dtype.Size()
		if len(parts) == 0 || s.shard > 0 && size+n > s.shard {
			parts, size = append(parts, nil), 0
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], t)
		size += n
	}
	return parts
}

// MarshalSafetensors is the policy as one blob: the tensors, and the config in the metadata.
func (w *Weights) MarshalSafetensors(o ...SaveOption) ([]byte, error) {
	s := options(o)
	config, err := w.Config.MarshalHF(s.torch())
	if err == nil {
		err = s.check(w)
	}
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
