package cli

import (
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"
)

// tellUsage has wrong usage of cmd end as any other error does under --json:
// with a document. cmd must have its flags; args checks its arguments, or is
// nil. Caddy prints the error and exits with 1.
func tellUsage(cmd *cobra.Command, args cobra.PositionalArgs) {
	cmd.SetFlagErrorFunc(wrongUsage)
	cmd.Args = func(cmd *cobra.Command, list []string) error {
		if args == nil {
			return nil
		}
		return wrongUsage(cmd, args(cmd, list))
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { // cobra would check these next, and print
		return wrongUsage(cmd, errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()))
	}
}

func wrongUsage(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	// Where a flag cannot be read, those behind it are not read either.
	asJSON, _ := cmd.Flags().GetBool("json")
	if asJSON || slices.Contains(os.Args[1:], "--json") {
		f := &failure{Code: "usage", Detail: err.Error(), Exit: exitError, Hint: "see the command's --help"}
		if err := printJSON(cmd.OutOrStdout(), nil, f); err != nil {
			return err
		}
	}
	return err
}
