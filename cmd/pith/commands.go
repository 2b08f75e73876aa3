package main

import "github.com/spf13/cobra"

// commands is everything that pith can do.
func commands(io stdio) []*cobra.Command {
	return []*cobra.Command{
		newPretrain(io),
	}
}
