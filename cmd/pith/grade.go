package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"pith/rewards/grade"
	"pith/rewards/grade/gradeio"
)

func newGrade(std stdio) *cobra.Command {
	var in string
	var o gradeio.Options
	cmd := &cobra.Command{
		Use:   "grade",
		Short: "Verdicts for pairs of gold answer and prediction, as JSON lines",
		Long:  `Reads {"id":…,"gold":"…","prediction":"…"} lines and writes {"id":…,"verdict":"right|wrong|no_score","extracted":"…","reason":"…"}.`,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			params := map[string]any{}
			if o.Profile != "" {
				params["profile"] = o.Profile
			}
			if _, err := grade.New(o.Grader, params); err != nil {
				return usageError{err}
			}
			r, done, err := input(std, in)
			if err != nil {
				return err
			}
			defer done()
			_, err = gradeio.Run(cmd.Context(), r, std.out, o)
			return err
		},
	}
	cmd.Flags().StringVar(&in, "in", "-", "JSON lines; - is standard input")
	cmd.Flags().StringVar(&o.Grader, "grader", "math", "which grader")
	cmd.Flags().StringVar(&o.Profile, "profile", "", "reproduce another grader's decisions: math_verify, dapo, hendrycks, deepscaler, gsm8k")
	cmd.Flags().BoolVar(&o.Explain, "explain", false, "add what was extracted, how both sides were read and which rule decided")
	cmd.Flags().IntVar(&o.Jobs, "jobs", 0, "pairs at a time; 0 is one a core")
	return cmd
}

// input opens a path, or standard input for -.
func input(std stdio, path string) (io.Reader, func(), error) {
	if path == "-" {
		return std.in, func() {}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--in: %w", err)}
	}
	return f, func() { f.Close() }, nil
}
