package main

import (
	"os"

	"github.com/spf13/cobra"

	"pith/configs"
)

// configFlags are the flags of every command that reads a config.
type configFlags struct {
	presets []string
	method  string
	scale   string
	engine  string
	set     []string
}

func (f *configFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.presets, "preset", nil, "a preset to start from (repeatable); see pith config presets")
	cmd.Flags().StringVar(&f.method, "method", "", "a method file laid over the config; see pith methods")
	cmd.Flags().StringVar(&f.scale, "scale", "", "sizes of --method: config (the config's, the default) or paper (the paper's)")
	cmd.Flags().StringVar(&f.engine, "engine", "", "an engine file laid over the config; see pith config engines")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "path=value, over everything else (repeatable); method.X is rewards.params.X")
}

// load merges defaults < presets < file < method < engine < environment < --set. Without a preset
// and a file it is the preset that the method starts from, the quickstart for most, and the run has
// the method's name.
func (f *configFlags) load(args []string) (configs.Config, error) {
	s := configs.Sources{Presets: f.presets, Files: args, Method: f.method, Scale: f.scale, Engine: f.engine, Environ: os.Environ(), Set: f.set}
	if s.Scale != "" && s.Method == "" {
		return configs.Config{}, usagef("--scale is about the sizes of a method; name one with --method")
	}
	if len(s.Presets) == 0 && len(s.Files) == 0 {
		s.Presets = []string{"quickstart"}
		if s.Method != "" {
			m, err := configs.OpenMethod(s.Method)
			if err != nil {
				return configs.Config{}, err
			}
			s.Presets = []string{m.Base}
			s.Set = append([]string{"run.name=" + s.Method}, s.Set...)
		}
	}
	return configs.Load(s)
}
