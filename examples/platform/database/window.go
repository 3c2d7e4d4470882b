package database

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ErrOpen says that somebody may still go back to the version before.
var ErrOpen = errors.New("the rollback window is not closed")

// Window asks whether nobody goes back to the version before anymore: nil says
// so.
type Window func(context.Context) error

// Command is a Window that runs a program, "greenroom rollback-window app" for
// one. Its exit code 0 says that the window is closed. Everything else says that
// it is open or not known, which is the same: no code, no contract.
func Command(line string) Window {
	return func(ctx context.Context) error {
		words := strings.Fields(line)
		if len(words) == 0 {
			return fmt.Errorf("%w: there is no command to ask: say -window 'greenroom rollback-window app'", ErrOpen)
		}
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		if err != nil {
			said, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			return fmt.Errorf("%w: %s: %w: %s", ErrOpen, line, err, said)
		}
		return nil
	}
}
