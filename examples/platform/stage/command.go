package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Greenroom runs the command line, and returns what it says and its exit code.
func (s *Stage) Greenroom(ctx context.Context, args ...string) (string, int, error) {
	return s.run(ctx, s.Config.Greenroom, args...)
}

// Migrate brings the schema to a version. A contract asks Greenroom whether the
// rollback window of the app is closed.
func (s *Stage) Migrate(ctx context.Context, to int) error {
	_, err := s.platform(ctx, "migrate", "-to", fmt.Sprint(to), "-window", "greenroom rollback-window app")
	return err
}

// platform runs a command of this example, which fails unless its exit code is 0.
func (s *Stage) platform(ctx context.Context, args ...string) (string, error) {
	said, code, err := s.run(ctx, s.Platform, args...)
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(said))
	}
	return said, err
}

func (s *Stage) run(ctx context.Context, program string, args ...string) (string, int, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), s.env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return said.String(), exit.ExitCode(), nil
	}
	return said.String(), 0, err
}

// writeEnvironment writes what a shell needs to talk to the stage.
func (s *Stage) writeEnvironment() error {
	var out strings.Builder
	for _, one := range s.env {
		name, value, _ := strings.Cut(one, "=")
		fmt.Fprintf(&out, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return os.WriteFile(s.Environment(), []byte(out.String()), 0o600)
}

// Environment is a file that a shell reads to talk to the stage.
func (s *Stage) Environment() string { return filepath.Join(s.Dir, "run", "env") }
