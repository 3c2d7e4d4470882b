package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// The exit codes; see the package's comment.
const (
	exitDone        = 0
	exitError       = 1
	exitRefused     = 10
	exitTimeout     = 11
	exitConflict    = 12
	exitUnreachable = 13
	exitNotAllowed  = 14
	exitUndone      = 15
	exitUnknown     = 16
	exitInvalid     = 17
	exitStore       = 18
	exitFleet       = 19
	exitWindow      = 20
	exitInterrupted = 130
)

// exitTable is the documentation of the exit codes, for the help texts.
const exitTable = `Exit codes:
    0  done
    1  wrong usage, an audit log that does not hold, or an error that has no
       code of its own
   10  refused by a gate: no traffic moved; upgrade: the new process did not
       take over
   11  timed out waiting: the move goes on
   12  conflict: generation, another move, or a lock
   13  the edge's socket cannot be reached
   14  not allowed
   15  the move was undone while it was waited for: aborted, rolled back,
       superseded or interrupted; rollback-window: the last cutover was undone
   16  unknown service
   17  invalid request
   18  the edge cannot store its state or write its audit log
   19  not all edges of the fleet are where it is, or Consul cannot be asked
   20  rollback-window: a rollback is still open
  130  interrupted by Ctrl-C while waiting: the move goes on`

// failure is why a command did not end with exit code 0. It is also the
// "error" object of --json.
type failure struct {
	// Code is a word for scripts; it never changes its meaning.
	Code string `json:"code"`
	// Detail is a sentence: what happened, and why.
	Detail string `json:"detail"`
	Exit   int    `json:"exit"`
	// Hint says what to do.
	Hint string `json:"hint,omitempty"`
}

func (f *failure) Error() string { return f.Detail }

// classes maps errors to codes; the first match counts, the most telling
// first.
var classes = []struct {
	err  error
	code string
	exit int
	hint string
}{
	{switcher.ErrUnknownService, "unknown_service", exitUnknown, "greenroom status lists the services there are"},
	{switcher.ErrInvalid, "invalid", exitInvalid, "see the command's --help"},
	{switcher.ErrRefused, "refused", exitRefused, "mend what the gate names, then try again; greenroom plan asks the gates without moving anything"},
	{switcher.ErrLocked, "locked", exitConflict, "greenroom unlock lifts the lock, if whoever set it agrees; abort and rollback work under a lock"},
	{switcher.ErrConflict, "conflict", exitConflict, "look at it with greenroom status, then decide"},
	{switcher.ErrStore, "store", exitStore, "see the edge's log, and its disk; rollback and abort work all the same"},
	{switcher.ErrClosed, "unreachable", exitUnreachable, "the edge is stopping: start it, then look with greenroom status; a move under way resumes"},
	{control.ErrUnreachable, "unreachable", exitUnreachable, ""}, // says itself what to do
	{control.ErrStreamEnded, "unreachable", exitUnreachable, "the edge has ended the event stream, as when it stops: is it running?"},
	{context.DeadlineExceeded, "timeout", exitTimeout, "a command may have been taken all the same: look with greenroom status; --timeout waits longer"},
	{context.Canceled, "interrupted", exitInterrupted, "a command may have been taken all the same: look with greenroom status"},
}

// problems are the classes of what only the control socket knows, by code.
var problems = map[string]failure{
	control.CodeNotAllowed:  {Code: "not_allowed", Exit: exitNotAllowed, Hint: "have the role granted in the edge's control policy, or act as a user who has it"},
	control.CodeAuditFailed: {Code: "audit", Exit: exitStore, Hint: "see the edge's log, and its disk; rollback and abort work all the same"},
	control.CodeTooLarge:    {Code: "invalid", Exit: exitInvalid},
	control.CodeBusy:        {Code: "busy", Exit: exitUnreachable, Hint: "too many connections to the socket: try again"},
}

// failed classifies err; of nil it is nil.
func failed(err error) *failure {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return f
	}
	var p *control.Problem
	if errors.As(err, &p) {
		if class, known := problems[p.Code]; known {
			class.Detail = err.Error()
			return &class
		}
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return &failure{Code: c.code, Detail: inWords(err), Exit: c.exit, Hint: c.hint}
		}
	}
	return &failure{Code: "error", Detail: err.Error(), Exit: exitError}
}

// inWords is err without the jargon of package context.
func inWords(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "the edge has not answered in time"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return err.Error()
}

// invalid is a value on the command line that cannot be used.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", switcher.ErrInvalid, fmt.Errorf(format, args...))
}

// explain renders f for stderr: what and where, why, what to do.
func (f *failure) explain(command, socket string) []line {
	first := line{{bad, "greenroom: "}, {plain, command}}
	if !strings.Contains(f.Detail, socket) {
		first = first.add(dim, " (at %s)", socket)
	}
	lines := []line{first.add(plain, ": %s", strings.TrimRight(f.Detail, "\n"))}
	if f.Hint != "" {
		lines = append(lines, line{{dim, "  what to do: "}, {plain, f.Hint}})
	}
	return lines
}
