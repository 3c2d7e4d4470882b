package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// commands lists the subcommands.
func commands() []command {
	return []command{
		statusCommand(), watchCommand(), streamsCommand(), planCommand(), historyCommand(),
		cutoverCommand(), splitCommand(), rollbackCommand(), abortCommand(), drainCommand(),
		evictCommand(), holdCommand(), resumeCommand(), lockCommand(), unlockCommand(),
		mediaCommand(), purgeCommand(), windowCommand(),
	}
}

// services wants one service or more.
func services(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("name at least one service; greenroom status lists them")
	}
	return nil
}

// oneService wants exactly one.
func oneService(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one service, not %d; greenroom status lists them", len(args))
	}
	return nil
}

func statusCommand() command {
	return command{
		name: "status", usage: "[service...] [--fleet] [--json]",
		short: "Shows the services: who serves, how healthy, what moves",
		long: `
Shows all services in a table: phase, active color, split, healthy upstreams
and in-flight work of blue and green, generation, and below each what is
unusual: a lock, a move under way, warnings.

Of services named, and of the only one there is, it shows all that is known:
each upstream with its health, the reason and the last results of its checks,
whether a color is safe to stop, what a drain waits for by kind of stream, and
where the pools come from.

With --fleet it shows what all edges on one Consul report: where each service is
agreed to be, the last trigger written to Consul's KV, and how each edge stands.
The exit code is 19 unless all edges are where the fleet is.`,
		example:   "  $ greenroom status\n  $ greenroom status app\n  $ greenroom status app --json | jq .services[0].green.safe_to_stop\n  $ greenroom status --fleet",
		timeout:   answerTimeout,
		timeoutIs: answerTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			fleet := cmd.Flags().Bool("fleet", false, "Show what all edges on one Consul report")
			return func(ctx context.Context, s *session, names []string) (report, error) {
				if *fleet {
					return fleetStatus(ctx, s, names)
				}
				return status(ctx, s, names)
			}
		},
	}
}

func status(ctx context.Context, s *session, names []string) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	views, err := s.named(ctx, names)
	if err != nil {
		return report{}, err
	}
	r := report{doc: map[string]any{"services": views}}
	if len(names) == 0 && len(views) != 1 {
		r.lines = statusTable(views, s.width(), time.Now())
		return r, nil
	}
	for i := range views {
		if i > 0 {
			r.lines = append(r.lines, nil)
		}
		r.lines = append(r.lines, details(&views[i], time.Now())...)
	}
	return r, nil
}

// named returns the services named, in that order, or all.
func (s *session) named(ctx context.Context, names []string) ([]switcher.ServiceView, error) {
	if len(names) == 0 {
		all, err := s.edge.Services(ctx)
		if all == nil {
			all = []switcher.ServiceView{}
		}
		return all, err
	}
	views := make([]switcher.ServiceView, 0, len(names))
	for _, name := range names {
		v, err := s.edge.View(ctx, name)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

func historyCommand() command {
	return command{
		name: "history", usage: "<service> [--json]",
		short: "Lists the latest moves of a service",
		long: `
Lists the latest 20 moves of a service, the newest first: when each ended, what
it was, how it ended, how much was cut at the deadline of its drain, who asked
for it, and why. A move under way is not among them: see status.`,
		example:   "  $ greenroom history app",
		args:      oneService,
		timeout:   answerTimeout,
		timeoutIs: answerTimeoutIs,
		setup:     func(*cobra.Command) action { return history },
	}
}

func history(ctx context.Context, s *session, args []string) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	moves, err := s.edge.History(ctx, args[0])
	if err != nil {
		return report{}, err
	}
	if moves == nil {
		moves = []switcher.Move{}
	}
	return report{historyLines(moves), map[string]any{"service": args[0], "moves": moves}}, nil
}
