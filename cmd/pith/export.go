package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pith/policies/builtin"
	"pith/policies/chat"
	"pith/policies/model"
	"pith/policies/model/gguf"
	"pith/policies/model/lora"
	"pith/policies/model/safetensors"
	"pith/traces"
	"pith/trainer"
)

// dtypes are the element types that --dtype names.
var dtypes = map[string]safetensors.DType{"f32": safetensors.F32, "bf16": safetensors.BF16, "f16": safetensors.F16}

const generationFile = "generation_config.json"

// exporting is what the flags of pith export say.
type exporting struct {
	format, dtype, out, adapter, base string
	shard                             int64 // bytes
	rank                              int
}

func newExport(std stdio) *cobra.Command {
	var e exporting
	cmd := &cobra.Command{
		Use:   "export RUN|CHECKPOINT --out PATH",
		Short: "A policy as a Hugging Face directory, a GGUF file or a LoRA adapter, for other engines",
		Long: "Write the latest policy of a run, or a policy given as a Hugging Face directory or builtin:NAME, as\n" +
			"  hf    config.json, safetensors and the tokenizer: transformers, vLLM, SGLang\n" +
			"  gguf  one file: llama.cpp\n" +
			"  lora  what was learned over --base, as a low-rank adapter of PEFT: vLLM, SGLang\n" +
			"--adapter merges a LoRA adapter first.",
		Args: argsBetween(1, 1, "a run directory or a policy"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := e.run(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.out, text)
			return err
		},
	}
	cmd.Flags().StringVar(&e.format, "format", "hf", "hf, gguf or lora")
	cmd.Flags().StringVar(&e.dtype, "dtype", "f32", "type of the numbers: f32, bf16 or f16")
	cmd.Flags().StringVar(&e.out, "out", "", "the directory, or for gguf the file, to write; it must not exist")
	cmd.Flags().StringVar(&e.adapter, "adapter", "", "merge this LoRA adapter into the policy first")
	cmd.Flags().Int64Var(&e.shard, "shard-bytes", 5_000_000_000, "hf: largest file of tensors")
	cmd.Flags().StringVar(&e.base, "base", "", "lora: the policy that the adapter is for (default the run's own base)")
	cmd.Flags().IntVar(&e.rank, "rank", 32, "lora: rank of every matrix")
	return cmd
}

// run writes the export and returns a line that says what was written.
func (e exporting) run(what string) (string, error) {
	as, ok := dtypes[e.dtype]
	switch {
	case !ok:
		return "", usagef("--dtype %q is not one of f32, bf16, f16", e.dtype)
	case !slices.Contains([]string{"hf", "gguf", "lora"}, e.format):
		return "", usagef("--format %q is not one of hf, gguf, lora", e.format)
	case e.out == "":
		return "", usagef("pith export needs --out, where to write")
	case e.rank < 1:
		return "", usagef("--rank %d must be positive", e.rank)
	}
	if _, err := os.Stat(e.out); err == nil {
		return "", usagef("--out %s exists; give a new path", e.out)
	}
	policy, base, err := e.find(what)
	if err != nil {
		return "", err
	}
	w, tok, err := builtin.Open(policy)
	if err != nil {
		return "", err
	}
	if e.adapter != "" {
		a, err := lora.Load(e.adapter)
		if err != nil {
			return "", err
		}
		if w, err = lora.Merge(w, a); err != nil {
			return "", err
		}
	}
	done := fmt.Sprintf("%s: %s, %d parameters, %s", e.out, w.Config.Arch, w.Config.Parameters(), e.dtype)
	switch e.format {
	case "gguf":
		template, err := chat.Text(policy) // "" for a policy that ships with pith
		if err != nil {
			return "", err
		}
		name := filepath.Base(strings.TrimPrefix(what, "builtin:"))
		return done, gguf.Save(e.out, w, tok, gguf.Options{Name: name, Type: as, ChatTemplate: template})
	case "lora":
		return e.lora(w, base, as)
	}
	saver, ok := tok.(interface{ Save(dir string) error })
	if !ok {
		return "", fmt.Errorf("the tokenizer of %s cannot be saved", policy)
	}
	o := []model.SaveOption{model.ShardSize(e.shard)}
	switch as {
	case safetensors.BF16:
		o = append(o, model.BF16())
	case safetensors.F16:
		o = append(o, model.F16())
	}
	if err := w.Save(e.out, o...); err != nil {
		return "", err
	}
	// How servers sample by default and, for some models, further tokens that end a text.
	if text, err := os.ReadFile(filepath.Join(policy, generationFile)); err == nil {
		if err := os.WriteFile(filepath.Join(e.out, generationFile), text, 0o644); err != nil {
			return "", err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return done, saver.Save(e.out)
}

// find is the directory or name of the policy, and of the base that it was trained from.
func (e exporting) find(what string) (policy, base string, err error) {
	if !isRun(what) {
		return what, e.base, nil
	}
	if policy, err = trainer.LatestPolicy(what); err != nil {
		return "", "", err
	}
	if base = e.base; base == "" && e.format == "lora" {
		var flags configFlags
		c, err := flags.load([]string{filepath.Join(what, "config.yaml")})
		if err != nil {
			return "", "", err
		}
		base = c.Policy.Base
	}
	return policy, base, nil
}

// isRun says whether a path is a run's directory.
func isRun(path string) bool {
	_, err := os.Stat(filepath.Join(path, traces.ManifestFile))
	return err == nil
}

// lora writes what w has learned over base.
func (e exporting) lora(w *model.Weights, base string, as safetensors.DType) (string, error) {
	if base == "" {
		return "", usagef("--format lora needs --base, the policy that the adapter is for")
	}
	from, _, err := builtin.Open(base)
	if err != nil {
		return "", err
	}
	x, err := lora.Extract(from, w, lora.Options{Rank: e.rank, Base: base})
	if err != nil {
		return "", err
	}
	if err := lora.Save(e.out, x.Adapter, as); err != nil {
		return "", err
	}
	worst := 0.0
	for _, f := range x.Fits {
		worst = max(worst, f.Left)
	}
	text := fmt.Sprintf("%s: rank %d, %d parameters, lacks at most %.1f%% of the change of a matrix", e.out, e.rank, x.Adapter.Parameters(), 100*worst)
	if len(x.Missed) > 0 {
		text += fmt.Sprintf("; it cannot hold the change of %d tensors: %s", len(x.Missed), strings.Join(x.Missed[:min(4, len(x.Missed))], ", "))
	}
	return text, nil
}
