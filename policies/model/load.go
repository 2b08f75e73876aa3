package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pith/policies/model/safetensors"
)

const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
	metaConfig  = "pith.config" // metadata key of a blob that stands alone
)

// LoadConfig reads config.json of a Hugging Face directory.
func LoadConfig(dir string) (Config, error) {
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("%s is not a model directory: it has no %s", dir, configFile)
	} else if err != nil {
		return Config{}, fmt.Errorf("read model: %w", err)
	}
	c, err := ParseHF(text)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", dir, err)
	}
	return c, nil
}

// Load reads a Hugging Face directory: config.json, and model.safetensors or the shards that
// model.safetensors.index.json lists, in F32, F16, BF16 or F64. Nothing large is allocated before
// the files have shown that they hold every tensor in its right shape.
func Load(dir string) (*Weights, error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	names, err := weightFiles(dir)
	if err != nil {
		return nil, err
	}
	var files []*safetensors.File
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read model: %w", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, fmt.Errorf("read model: %w", err)
		}
		st, err := safetensors.Open(f, info.Size())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
		files = append(files, st)
	}
	w, err := fill(c, files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return w, nil
}

// weightFiles lists the safetensors files of a directory. A shard name with a path in it is
// refused: an index must not reach outside its directory.
func weightFiles(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return []string{weightsFile}, nil
	} else if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, indexFile), err)
	}
	var names []string
	for _, name := range index.Map {
		if name != filepath.Base(name) || strings.ContainsAny(name, `/\`) {
			return nil, fmt.Errorf("%s: shard %q is not a plain file name", filepath.Join(dir, indexFile), name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// fill reads every tensor of c from the files.
func fill(c Config, files []*safetensors.File) (*Weights, error) {
	where := map[string]*safetensors.File{}
	for _, f := range files {
		for _, e := range f.Entries() {
			if where[e.Name] != nil {
				return nil, fmt.Errorf("tensor %q is in two shards", e.Name)
			}
			where[e.Name] = f
		}
	}
	for _, t := range plan(c) {
		f := where[t.Name]
		if f == nil {
			return nil, fmt.Errorf("tensor %q is missing", t.Name)
		}
		if e, _ := f.Entry(t.Name); !slices.Equal(e.Shape, t.Shape) {
			return nil, fmt.Errorf("tensor %q has shape %v, the config says %v", t.Name, e.Shape, t.Shape)
		}
	}
	w := NewWeights(c)
	for _, t := range w.tensors {
		if err := where[t.Name].ReadFloat32(t.Name, t.Data); err != nil {
			return nil, err
		}
		delete(where, t.Name)
	}
	for name, f := range where {
		switch {
		case strings.HasSuffix(name, "rotary_emb.inv_freq"): // a constant that old checkpoints carry
		case name == "lm_head.weight": // only here when tied: then it has to be the embedding
			if err := sameAsEmbedding(w, f); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("tensor %q is not part of a %s model", name, c.Arch)
		}
	}
	return w, nil
}

func sameAsEmbedding(w *Weights, f *safetensors.File) error {
	if e, _ := f.Entry("lm_head.weight"); e.Elements() == len(w.Embed) {
		head := make([]float32, len(w.Embed))
		if err := f.ReadFloat32("lm_head.weight", head); err != nil {
			return err
		}
		if slices.Equal(head, w.Embed) {
			return nil
		}
	}
	return errors.New("lm_head.weight differs from the embedding, but the config ties them")
}

// UnmarshalSafetensors reads what [Weights.MarshalSafetensors] wrote. data is not kept.
func UnmarshalSafetensors(data []byte) (*Weights, error) {
	f, err := safetensors.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	text, ok := f.Metadata[metaConfig]
	if !ok {
		return nil, fmt.Errorf("read policy: the metadata has no %s, so the shape is unknown", metaConfig)
	}
	c, err := ParseHF([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	w, err := fill(c, []*safetensors.File{f})
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return w, nil
}
