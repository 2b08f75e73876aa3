package lora

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pith/policies/model/safetensors"
)

const (
	configFile  = "adapter_config.json"
	weightsFile = "adapter_model.safetensors"
	prefix      = "base_model.model."
	suffixA     = ".lora_A.weight"
	suffixB     = ".lora_B.weight"
	suffixBase  = ".base_layer.weight"
)

// peftConfig is adapter_config.json. The keys that are raw are refused unless they say "off".
type peftConfig struct {
	PeftType     string            `json:"peft_type"`
	TaskType     string            `json:"task_type"`
	Base         string            `json:"base_model_name_or_path"`
	Rank         int               `json:"r"`
	Alpha        float64           `json:"lora_alpha"`
	Dropout      float64           `json:"lora_dropout"`
	Targets      any               `json:"target_modules"`
	Bias         string            `json:"bias"`
	Save         []string          `json:"modules_to_save"`
	FanInFanOut  bool              `json:"fan_in_fan_out"`
	RankStable   bool              `json:"use_rslora"`
	Dora         bool              `json:"use_dora"`
	LoraBias     bool              `json:"lora_bias"`
	RankPattern  patterns[int]     `json:"rank_pattern"`
	AlphaPattern patterns[float64] `json:"alpha_pattern"`
	Layers       json.RawMessage   `json:"layers_to_transform"`
	Init         json.RawMessage   `json:"init_lora_weights"`
	Inference    bool              `json:"inference_mode"`
	Replication  json.RawMessage   `json:"layer_replication,omitempty"`
	Parameters   json.RawMessage   `json:"target_parameters,omitempty"`
	Trainable    json.RawMessage   `json:"trainable_token_indices,omitempty"`
	Qalora       bool              `json:"use_qalora,omitempty"`
	Bdlora       json.RawMessage   `json:"use_bdlora,omitempty"`
}

// supported refuses what would make another change than [Merge] does.
func (c peftConfig) supported() error {
	on := func(raw json.RawMessage) bool {
		return len(raw) > 0 && !slices.Contains([]string{"null", "[]", "{}", "false"}, string(raw))
	}
	for _, k := range []struct {
		key string
		set bool
	}{
		{"bias " + c.Bias, c.Bias != "" && c.Bias != "none"}, {"modules_to_save", len(c.Save) > 0}, {"fan_in_fan_out", c.FanInFanOut},
		{"use_dora", c.Dora}, {"lora_bias", c.LoraBias}, {"layer_replication", on(c.Replication)}, {"target_parameters", on(c.Parameters)},
		{"trainable_token_indices", on(c.Trainable)}, {"use_qalora", c.Qalora}, {"use_bdlora", on(c.Bdlora)},
	} {
		if k.set {
			return fmt.Errorf("%s is set, which is not supported; merge the adapter with PEFT and load the whole policy", k.key)
		}
	}
	if c.PeftType != "LORA" {
		return fmt.Errorf("peft_type is %q, only LORA is supported", c.PeftType)
	}
	return nil
}

// Load reads an adapter directory of PEFT. Tensors may be F32, F16, BF16 or F64.
func Load(dir string) (*Adapter, error) {
	a, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("load adapter %s: %w", dir, err)
	}
	return a, nil
}

func load(dir string) (*Adapter, error) {
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return nil, err
	}
	c := peftConfig{Rank: 8, Alpha: 8} // the class defaults
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	if err := c.supported(); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	f, err := os.Open(filepath.Join(dir, weightsFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, err := safetensors.Open(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", weightsFile, err)
	}
	a := &Adapter{Config: Config{Base: c.Base, Rank: c.Rank, Alpha: c.Alpha, Dropout: c.Dropout, RankStable: c.RankStable, Targets: targets(c.Targets)}}
	if err := a.read(st); err != nil {
		return nil, fmt.Errorf("%s: %w", weightsFile, err)
	}
	for i := range a.Modules {
		m := &a.Modules[i]
		alpha, err := c.AlphaPattern.of(m.Name, c.Alpha)
		if err != nil {
			return nil, fmt.Errorf("%s: alpha_pattern: %w", configFile, err)
		}
		rank, err := c.RankPattern.of(m.Name, c.Rank)
		if err != nil {
			return nil, fmt.Errorf("%s: rank_pattern: %w", configFile, err)
		}
		if m.Alpha = alpha; m.Rank != rank {
			return nil, fmt.Errorf("module %q has rank %d, %s says %d", m.Name, m.Rank, configFile, rank)
		}
	}
	return a, a.Validate()
}

// targets reads target_modules, a list or one expression.
func targets(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, t := range v {
			if s, ok := t.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// read fills the modules from the file.
func (a *Adapter) read(f *safetensors.File) error {
	byName := map[string]*Module{}
	for _, e := range f.Entries() {
		name, ok := strings.CutPrefix(e.Name, prefix)
		name = strings.NewReplacer(".lora_A.default.", ".lora_A.", ".lora_B.default.", ".lora_B.").Replace(name)
		module, isA := strings.CutSuffix(name, suffixA)
		if !isA {
			module, _ = strings.CutSuffix(name, suffixB)
		}
		isB := !isA && module != name
		base, isBase := strings.CutSuffix(name, suffixBase)
		switch {
		case ok && isBase:
			if a.copies == nil {
				a.copies = map[string][]float32{}
			}
			data := make([]float32, e.Elements())
			if err := f.ReadFloat32(e.Name, data); err != nil {
				return err
			}
			a.copies[base+".weight"] = data
			continue
		case !ok || !isA && !isB:
			return fmt.Errorf("tensor %q is not part of a LoRA of linear modules; merge the adapter with PEFT and load the whole policy", e.Name)
		case len(e.Shape) != 2:
			return fmt.Errorf("tensor %q has shape %v, want two dimensions", e.Name, e.Shape)
		}
		m := byName[module]
		if m == nil {
			m = &Module{Name: module}
			byName[module] = m
		}
		data := make([]float32, e.Elements())
		if err := f.ReadFloat32(e.Name, data); err != nil {
			return err
		}
		if isA {
			m.A, m.In, m.Rank = data, e.Shape[1], e.Shape[0]
		} else {
			m.B, m.Out = data, e.Shape[0]
		}
	}
	for _, m := range byName {
		if m.A == nil || m.B == nil {
			return fmt.Errorf("module %q has only one of lora_A and lora_B", m.Name)
		}
		a.Modules = append(a.Modules, *m)
	}
	slices.SortFunc(a.Modules, func(x, y Module) int { return strings.Compare(x.Name, y.Name) })
	return nil
}

// Save writes the adapter into dir, which must not exist yet: a server reads a directory as soon as it
// is told of it, so a version is written once, whole or not at all (temporary directory, fsync,
// rename). as is the type of the tensors: F32, F16 or BF16.
func Save(dir string, a *Adapter, as safetensors.DType) error {
	if err := save(dir, a, as); err != nil {
		return fmt.Errorf("save adapter: %w", err)
	}
	return nil
}

func save(dir string, a *Adapter, as safetensors.DType) (err error) {
	if err := a.Validate(); err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s exists; write each version into a directory of its own", dir)
	}
	config, err := json.MarshalIndent(a.peft(), "", "  ")
	if err != nil {
		return err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(tmp, weightsFile), func(w io.Writer) error {
		return safetensors.Write(w, a.tensors(), map[string]string{"format": "pt"}, as)
	}); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(tmp, configFile), func(w io.Writer) error {
		_, err := w.Write(append(config, '\n'))
		return err
	}); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

func (a *Adapter) tensors() []safetensors.Tensor {
	var out []safetensors.Tensor
	for _, m := range a.Modules {
		out = append(out,
			safetensors.Tensor{Name: prefix + m.Name + suffixA, Shape: []int{m.Rank, m.In}, Data: m.A},
			safetensors.Tensor{Name: prefix + m.Name + suffixB, Shape: []int{m.Out, m.Rank}, Data: m.B})
	}
	return out
}

// peft is the config to write. Modules whose rank or alpha differ from the config's are named whole
// in the patterns.
func (a *Adapter) peft() peftConfig {
	null := json.RawMessage("null")
	c := peftConfig{PeftType: "LORA", TaskType: "CAUSAL_LM", Base: a.Config.Base, Rank: a.Config.Rank, Alpha: a.Config.Alpha,
		Dropout: a.Config.Dropout, Bias: "none", RankStable: a.Config.RankStable, Inference: true,
		Layers: null, Init: json.RawMessage("true")}
	list := a.Config.Targets
	for _, m := range a.Modules {
		if s := suffix(m.Name); len(a.Config.Targets) == 0 && !slices.Contains(list, s) {
			list = append(list, s)
		}
		name := regexp.QuoteMeta(m.Name)
		if m.Rank != c.Rank {
			c.RankPattern = append(c.RankPattern, pattern[int]{name, m.Rank})
		}
		if m.Alpha != c.Alpha {
			c.AlphaPattern = append(c.AlphaPattern, pattern[float64]{name, m.Alpha})
		}
	}
	c.Targets = list
	return c
}

// writeFile writes and syncs a new file.
func writeFile(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, f.Sync(), f.Close())
}
