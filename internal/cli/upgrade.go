package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// upgradeStep is how often a process is asked how far it has come.
const upgradeStep = 50 * time.Millisecond

func upgradeCommand() command {
	return command{
		name: "upgrade", usage: "[--reason <why>]",
		short: "Replaces the running edge by a new process, without closing its door",
		long: `
Starts the edge's program anew, from the file that is in its place now and as it
was started then. The new process reads its config, checks the upstreams, and
then takes over: new connections, state, control socket and place in a fleet.
The old one finishes the streams it has, which status, streams and drains go on
counting, and ends with the last one. If the new process cannot take over, the
old one goes on as if nothing had been.

It returns when the new process has taken over. SIGUSR2 does the same.`,
		example: `  $ install -m 755 greenroom-new /usr/local/bin/greenroom
  $ greenroom upgrade --reason "version 1.5"`,
		args: cobra.NoArgs, timeout: 2 * time.Minute, timeoutIs: "Longest wait for the new process, as 30s or 5m",
		setup: func(cmd *cobra.Command) action {
			reason := cmd.Flags().String("reason", "", "Why; it is kept in the audit log")
			return func(ctx context.Context, s *session, _ []string) (report, error) {
				return upgrade(ctx, s, *reason)
			}
		},
	}
}

// upgraded is the document of the command.
type upgraded struct {
	From int `json:"from"`
	control.ProcessView
}

func upgrade(ctx context.Context, s *session, reason string) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	before, err := s.edge.Upgrade(ctx, reason)
	if err != nil {
		return report{}, err
	}
	for {
		now, err := s.edge.Process(ctx)
		switch {
		case ctx.Err() != nil:
			return report{}, unawaited(ctx, before.Successor)
		case err != nil: // the socket changes hands
		case now.Pid != before.Pid:
			doc := upgraded{before.Pid, now}
			return report{upgradedLines(&doc), doc}, nil
		case now.Successor == 0 && now.Failed != "":
			return report{}, &failure{
				Code: "upgrade", Exit: exitRefused, Detail: now.Failed,
				Hint: fmt.Sprintf("process %d goes on as before; see the edge's log", now.Pid),
			}
		}
		select {
		case <-time.After(upgradeStep):
		case <-ctx.Done():
		}
	}
}

// unawaited is the end of a wait for a process that may take over yet.
func unawaited(ctx context.Context, pid int) *failure {
	f := &failure{
		Code: "timeout", Exit: exitTimeout, Detail: fmt.Sprintf("process %d has not taken over yet", pid),
		Hint: "it may yet, or the edge goes on as before: see its log; --timeout waits longer",
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		f.Code, f.Exit = "interrupted", exitInterrupted
	}
	return f
}

func upgradedLines(u *upgraded) []line {
	l := line{{bold, "edge"}}.add(plain, ": process %d has taken over from %d", u.Pid, u.From)
	for _, e := range u.Elders {
		if e.Pid == u.From && e.Inflight > 0 {
			l = l.add(plain, ", which finishes %d exchanges", e.Inflight)
		}
	}
	return []line{l}
}
