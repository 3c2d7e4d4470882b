package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// auditCommand holds what is done with audit logs. It asks no edge.
func auditCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "audit", Usage: "verify <file...>", Short: "Checks the files of an audit log",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Long = "Checks the files of an audit log. It reads them itself, and needs no running edge."
			cmd.SetHelpTemplate(helpTemplate)
			cmd.AddCommand(auditVerifyCommand())
		},
	}
}

func auditVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify <file...> [--json]", Short: "Checks that no line of an audit log was changed, removed, added or moved",
		Long: strings.TrimSpace(`
Checks that no line of an audit log was changed, removed, added or moved. The
files of a log that was rotated are given oldest first, unpacked: each must
continue the one before. A first file that continues another is accepted; where
it begins, only the file before can prove.

It prints the number and hash of the last line. A copy of them, kept elsewhere,
proves later that no lines were cut off at the end.

It exits with 0 where all holds, and with 1 where it does not or a file cannot
be read.`) + "\n\n" + exitTable,
		Example:               "  $ greenroom audit verify audit.jsonl\n  $ greenroom audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl\n  $ greenroom audit verify audit.jsonl --json",
		DisableFlagsInUseLine: true,
	}
	asJSON := cmd.Flags().Bool("json", false, "Print JSON on stdout, errors included")
	tellUsage(cmd, func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("name at least one file of the audit log, the oldest first")
		}
		return nil
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s := &session{command: "audit verify", json: *asJSON, out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr()}
		result, err := verifyFiles(args)
		return exit(cmd, args, s.finish(result, err))
	}
	return cmd
}

// auditFile is one file that was checked, as --json prints it.
type auditFile struct {
	File string `json:"file"`
	// Lines is how many hold.
	Lines int `json:"lines"`
	// Last is where the file ends, if all hold.
	Last *control.AuditEnd `json:"last,omitempty"`
}

// verifyFiles checks files up to the first that does not hold.
func verifyFiles(paths []string) (report, error) {
	var lines []line
	files := []auditFile{}
	var end control.AuditEnd
	for i, path := range paths {
		count, next, err := verifyFile(path, end)
		checked := auditFile{File: path, Lines: count}
		if err == nil {
			end, checked.Last = next, &next
			l := line{{bold, path}}.add(plain, ": ").add(good, "%d lines hold", count)
			if count > 0 {
				l = l.add(plain, ", the last has number %d and hash %s", end.Seq, end.Hash)
			}
			lines = append(lines, l)
		}
		files = append(files, checked)
		if err != nil {
			return report{lines, map[string]any{"files": files}}, doesNotHold(paths, i, count, err)
		}
	}
	return report{lines, map[string]any{"files": files}}, nil
}

func verifyFile(path string, before control.AuditEnd) (lines int, end control.AuditEnd, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, before, err
	}
	lines, end, err = control.VerifyAuditAfter(file, before)
	return lines, end, errors.Join(err, file.Close())
}

// doesNotHold explains why file i does not after a number of lines.
func doesNotHold(paths []string, i, lines int, err error) *failure {
	f := &failure{Code: "broken", Exit: exitError, Detail: fmt.Sprintf("%s: after %d lines that hold: %s", paths[i], lines, err)}
	switch {
	case errors.As(err, new(*os.PathError)):
		f.Code, f.Detail = "error", err.Error()
	case lines == 0 && i > 0:
		f.Detail = fmt.Sprintf("%s does not continue %s: %s", paths[i], paths[i-1], err)
		f.Hint = "give the files oldest first, and all of them: one may be missing in between"
	}
	return f
}
