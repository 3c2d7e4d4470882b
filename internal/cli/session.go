package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// session is one command on its way.
type session struct {
	edge    edge
	socket  string
	command string // as typed, for errors
	json    bool
	timeout time.Duration // 0: none
	in      io.Reader
	out     io.Writer
	errs    io.Writer
}

// report is what a command has to show: lines for a person, or a document
// for --json.
type report struct {
	lines []line
	doc   any
}

// action is what a command does. The report is printed with an error, too.
type action func(ctx context.Context, s *session, args []string) (report, error)

// perform runs an action as cobra's RunE: it prints what comes of it and ends
// with the exit code.
func perform(cmd *cobra.Command, args []string, common *commonFlags, do action) error {
	socket := control.FindSocket(common.socket)
	s := &session{
		edge: control.NewClient(socket), socket: socket, command: strings.Join(append([]string{cmd.Name()}, args...), " "),
		json: common.json, timeout: common.timeout,
		in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(),
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // the second Ctrl-C ends the process
	if s.timeout < 0 {
		return exit(cmd, args, s.finish(report{}, invalid("--timeout %s is negative", s.timeout)))
	}
	result, err := do(ctx, s, args)
	return exit(cmd, args, s.finish(result, err))
}

// finish prints a report and an error, and returns the exit code.
func (s *session) finish(r report, err error) int {
	f := failed(err)
	if s.json {
		if r.doc != nil || f != nil {
			if err := printJSON(s.out, r.doc, f); err != nil && f == nil {
				f = failed(err)
			}
		}
	} else {
		s.paper(s.out).print(s.out, r.lines...)
	}
	if f == nil {
		return exitDone
	}
	s.paper(s.errs).print(s.errs, f.explain(s.command, s.socket)...)
	return f.Exit
}

// exit ends a cobra command with a code, by Caddy's own means: its type for
// exit codes is not exported.
func exit(cmd *cobra.Command, args []string, code int) error {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	switch code {
	case exitDone:
		return nil
	case exitError:
		return errors.New("failed") // Caddy's code for any other error
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, args)
}

// answer bounds the wait for an answer to one question.
func (s *session) answer(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.timeout > 0 {
		return context.WithTimeout(ctx, s.timeout)
	}
	return context.WithTimeout(ctx, answerTimeout)
}

// paper is how lines are to be printed on w: in color on a terminal, else
// plain. Nothing is cut: a terminal wraps what is too long for it.
func (s *session) paper(w io.Writer) paper {
	_, ok := terminal(w)
	return paper{color: ok && colorful()}
}

// width is the room for a table on stdout: 0, without limit, if that is not a
// terminal.
func (s *session) width() int {
	file, ok := terminal(s.out)
	if !ok {
		return 0
	}
	width, _ := sizeOf(file)
	return max(width, minWidth)
}

// colorful follows no-color.org.
func colorful() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

// live returns the terminal that can be redrawn, if there is one.
func (s *session) live() (*os.File, bool) {
	if os.Getenv("TERM") == "dumb" || s.json {
		return nil, false
	}
	return terminal(s.out)
}

// terminal returns the file behind w if it is a terminal.
func terminal(w any) (*os.File, bool) {
	file, ok := w.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// sizeOf returns the size of a terminal in cells, 80 by 24 where it does not
// tell.
func sizeOf(file *os.File) (width, height int) {
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}
