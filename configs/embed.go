package configs

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed presets/*.yaml methods/*.yaml pretrain/*.yaml sweeps/*.yaml engines/*.yaml
var files embed.FS

//go:embed all:policies
var policies embed.FS

// Presets lists the embedded presets.
func Presets() []string { return names("presets") }

// Engines lists the embedded engine files, which are laid over a config with --engine.
func Engines() []string { return names("engines") }

// EngineYAML returns the text of an engine file.
func EngineYAML(name string) ([]byte, error) { return read("engines", "engine", name) }

// MethodFiles lists the methods that have a YAML file.
func MethodFiles() []string { return names("methods") }

// PresetYAML returns the text of a preset.
func PresetYAML(name string) ([]byte, error) { return read("presets", "preset", name) }

// MethodYAML returns the text of a method file.
func MethodYAML(name string) ([]byte, error) { return read("methods", "method", name) }

// Recipes lists the embedded recipes of pith pretrain.
func Recipes() []string { return names("pretrain") }

// RecipeYAML returns the text of a recipe.
func RecipeYAML(name string) ([]byte, error) { return read("pretrain", "recipe", name) }

// Sweeps lists the embedded sweep files.
func Sweeps() []string { return names("sweeps") }

// SweepYAML returns the text of a sweep file, which package trainer/sweep reads.
func SweepYAML(name string) ([]byte, error) { return read("sweeps", "sweep", name) }

// BasePolicies lists the policies that ship with pith, for policy.base builtin:NAME.
func BasePolicies() []string {
	entries, err := fs.ReadDir(policies, "policies")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

// BasePolicy is the Hugging Face directory of a policy that ships with pith.
func BasePolicy(name string) (fs.FS, error) {
	dir, err := fs.Sub(policies, path.Join("policies", name))
	if err == nil {
		_, err = fs.Stat(dir, "config.json")
	}
	if err != nil {
		return nil, &Error{[]string{fmt.Sprintf("policy.base: builtin:%s does not exist; valid: %s", name, strings.Join(BasePolicies(), ", "))}}
	}
	return dir, nil
}

func names(dir string) []string {
	entries, err := files.ReadDir(dir)
	if err != nil {
		panic(err) // the directory is compiled in
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

func read(dir, what, name string) ([]byte, error) {
	text, err := files.ReadFile(path.Join(dir, name+".yaml"))
	if err != nil {
		return nil, &Error{[]string{fmt.Sprintf("%s %q does not exist%s; valid: %s", what, name, suggestion(name, names(dir)), strings.Join(names(dir), ", "))}}
	}
	return text, nil
}
