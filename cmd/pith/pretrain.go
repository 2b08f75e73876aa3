package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith/configs"
	"pith/policies/builtin"
	"pith/trainer/pretrain"
)

func newPretrain(io stdio) *cobra.Command {
	var name, out, work string
	cmd := &cobra.Command{
		Use:   "pretrain [RECIPE.yaml]",
		Short: "Make a base policy by supervised training on generated traces",
		Long: "Make a base policy by supervised training on generated traces, as a recipe says. The result is a\n" +
			"Hugging Face directory; the same recipe gives the same bytes on any machine. Built-in recipes: " + strings.Join(configs.Recipes(), ", "),
		Args: argsBetween(0, 1, "at most one recipe file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (name != "") {
				return usagef("pith pretrain needs a recipe file or --recipe with one of %s", strings.Join(configs.Recipes(), ", "))
			}
			if out == "" {
				return usagef("pith pretrain needs --out DIR for the policy")
			}
			r, err := readRecipe(args, name)
			if err != nil {
				return usageError{err}
			}
			return runPretrain(cmd.Context(), io, r, out, work)
		},
	}
	cmd.Flags().StringVar(&name, "recipe", "", "a built-in recipe")
	cmd.Flags().StringVar(&out, "out", "", "directory of the policy")
	cmd.Flags().StringVar(&work, "work", "", "directory for checkpoints, from which an interrupted run goes on; empty: none")
	return cmd
}

func readRecipe(args []string, name string) (pretrain.Recipe, error) {
	if name != "" {
		text, err := configs.RecipeYAML(name)
		if err != nil {
			return pretrain.Recipe{}, err
		}
		return pretrain.ParseRecipe(text, name)
	}
	text, err := os.ReadFile(args[0])
	if errors.Is(err, fs.ErrNotExist) {
		return pretrain.Recipe{}, fmt.Errorf("%s: no such recipe; give a YAML path, or --recipe with one of %s", args[0], strings.Join(configs.Recipes(), ", "))
	}
	if err != nil {
		return pretrain.Recipe{}, err
	}
	return pretrain.ParseRecipe(text, args[0])
}

func runPretrain(ctx context.Context, io stdio, r pretrain.Recipe, out, work string) error {
	w, words, source, err := r.Open(builtin.Open)
	if err != nil {
		return err
	}
	saver, ok := words.(interface{ Save(dir string) error })
	if !ok {
		return fmt.Errorf("recipe %s: the tokenizer of %s cannot be saved", r.Name, r.Initial)
	}
	start, tokens, said := time.Now(), 0, time.Now()
	line := newStatus(io)
	w, err = pretrain.Run(ctx, w, source, r.Train, work, func(p pretrain.Progress) {
		tokens += p.Tokens
		elapsed := time.Since(start)
		text := fmt.Sprintf("step %d/%d  loss %.3f  %.0f tokens/s", p.Step, p.Steps, p.Loss, float64(tokens)/elapsed.Seconds())
		if p.Step%100 == 0 || p.Step == p.Steps {
			line.print(fmt.Sprintf("%s  %s", text, elapsed.Round(time.Second)))
			return
		}
		if time.Since(said) > 200*time.Millisecond {
			left := time.Duration(float64(elapsed) / float64(p.Step) * float64(p.Steps-p.Step))
			line.status(fmt.Sprintf("%s  %s left", text, left.Round(time.Second)))
			said = time.Now()
		}
	})
	if err != nil {
		return err
	}
	if err := w.Save(out); err != nil {
		return err
	}
	if err := saver.Save(out); err != nil {
		return err
	}
	line.print(fmt.Sprintf("%s: %d parameters, digest %.16s, in %s", out, w.Config.Parameters(), w.Digest(), time.Since(start).Round(time.Second)))
	return nil
}
