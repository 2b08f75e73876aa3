package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"pith/policies/kernel"
	"pith/trainer"
)

func newVersion(io stdio) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the toolchain and the arithmetic in use",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version    string   `json:"version"`
				Go         string   `json:"go"`
				Platform   string   `json:"platform"`
				Kernel     string   `json:"kernel"`
				Kernels    []string `json:"kernels"`
				Arithmetic string   `json:"arithmetic"`
			}{trainer.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, kernel.Name(), kernel.Available(), trainer.Arithmetic}
			if asJSON {
				return json.NewEncoder(io.out).Encode(v)
			}
			fmt.Fprintf(io.out, "pith %s, %s, %s, kernel %s of %v, arithmetic %s\n", v.Version, v.Go, v.Platform, v.Kernel, v.Kernels, v.Arithmetic)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
