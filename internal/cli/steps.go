package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func splitCommand() command {
	return command{
		name: "split", usage: "<service> <color>=<percent> [--no-wait]",
		short: "Gives a color a fixed share of the traffic, and holds it there",
		long: `
Gives a color a share of the traffic, 0 to 100 percent, and holds it there. The
gates are asked before a color gains traffic. It waits until the split serves.

From there, resume or cutover goes on to 100 percent, another split changes the
share, and abort undoes it. A share of 100 is a cutover, and waited for like
one; 0 for the color that gains undoes the move.`,
		example: "  $ greenroom split app green=25\n  $ greenroom split app green=50 --reason \"half is fine so far\"",
		args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 || !strings.Contains(args[1], "=") {
				return errors.New("name a service and a share, as in: greenroom split app green=25")
			}
			return nil
		},
		timeoutIs: waitTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			flags := addWaitFlags(cmd)
			options := addOptions(cmd, true)
			cmd.ValidArgsFunction = completeSplit
			return func(ctx context.Context, s *session, args []string) (report, error) {
				req := switcher.SplitRequest{Request: flags.request(args[:1])}
				color, share, _ := strings.Cut(args[1], "=")
				var err error
				if req.Options, err = options.options(); err != nil {
					return report{}, err
				}
				if req.Color, err = switcher.ParseColor(color); err != nil {
					return report{}, invalid("%w", err)
				}
				if req.Weight, err = percent(share); err != nil {
					return report{}, err
				}
				return s.make(ctx, flags, splitMove(s, req))
			}
		},
	}
}

func splitMove(s *session, req switcher.SplitRequest) move {
	split := switcher.Weighted(req.Color, req.Weight)
	m := move{
		verb: "split", wants: []switcher.Result{switcher.ResultDone},
		nothing: already(split.String() + " serves already"), taken: begun("split"),
		post: func(ctx context.Context) (switcher.Receipt, error) { return s.edge.Split(ctx, req) },
	}
	if req.Weight > 0 && req.Weight < 100 {
		m.until, m.taken = &split, atSplit(split)
		return m
	}
	// All or nothing ends the move: forth, or back to where it came from.
	m.wants = append(m.wants, switcher.ResultAborted)
	return m
}

// atSplit says that a split serves, or will.
func atSplit(split switcher.Split) func(*switcher.ServiceView) line {
	return func(v *switcher.ServiceView) line {
		if v.Split == split {
			return held(v)
		}
		return begun("split")(v)
	}
}

func rollbackCommand() command {
	return command{
		name: "rollback", usage: "<service...> [--force] [--no-wait]",
		short: "Goes back at once: undoes the move under way, or the last cutover",
		long: `
Goes back to the color that the move under way came from; with none under way,
to the color before the last cutover. Services that were moved as one go back
as one. It works in every phase, asks no gate, works under a lock, and when the
edge cannot store its state.

It is refused only where the color to go back to has no healthy upstream while
the other has, unless forced. It waits until the color that was left has
drained; the traffic moves before that, at once.`,
		example: "  $ greenroom rollback app\n  $ greenroom rollback app --force --reason \"green loses orders\"",
		args:    services, timeoutIs: waitTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			flags := addWaitFlags(cmd)
			force := cmd.Flags().Bool("force", false, "Go back even to a color without a healthy upstream")
			return func(ctx context.Context, s *session, args []string) (report, error) {
				req := switcher.RollbackRequest{Request: flags.request(args), Force: *force}
				return s.make(ctx, flags, move{
					verb: "rollback", taken: begun("rollback"), nothing: already("rolled back already"),
					wants: []switcher.Result{switcher.ResultDone, switcher.ResultRolledBack, switcher.ResultAborted},
					post:  func(ctx context.Context) (switcher.Receipt, error) { return s.edge.Rollback(ctx, req) },
				})
			}
		},
	}
}

func abortCommand() command {
	return command{
		name: "abort", usage: "<service...> [--no-wait]",
		short: "Undoes the move under way: all traffic goes back at once",
		long: `
Undoes the move under way: all traffic goes back to where it came from, at once.
A drain is ended where it is. It works under a lock. It waits until the color
that was left has drained.

To go back after a move has ended, use rollback.`,
		example: "  $ greenroom abort app --reason \"error rate\"",
		args:    services, timeoutIs: waitTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			flags := addWaitFlags(cmd)
			return func(ctx context.Context, s *session, args []string) (report, error) {
				req := flags.request(args)
				return s.make(ctx, flags, move{
					verb: "abort", taken: begun("abort"), nothing: already("no move is under way"),
					wants: []switcher.Result{switcher.ResultAborted, switcher.ResultRolledBack},
					post:  func(ctx context.Context) (switcher.Receipt, error) { return s.edge.Abort(ctx, req) },
				})
			}
		},
	}
}

func drainCommand() command {
	return command{
		name: "drain", usage: "<service...> [--drain-timeout <time>] [--no-wait]",
		short: "Waits until the idle color is safe to stop",
		long: `
Waits until the idle color has finished its work, and cuts what is left at the
deadline. A cutover does so by itself: this is for what came after, as previews
of the idle color. greenroom evict ends streams sooner.

With --pins drop, a drain that is under way no longer waits for the sessions
pinned to the old color: they move at once, and what they have in-flight ends
by itself or at its deadline.`,
		example: "  $ greenroom drain app --drain-timeout 2m\n  $ greenroom drain app --drain-deadline websocket=30m,upload=2h\n  $ greenroom drain app --pins drop",
		args:    services, timeoutIs: waitTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			flags := addWaitFlags(cmd)
			options := addOptions(cmd, false)
			return func(ctx context.Context, s *session, args []string) (report, error) {
				req := switcher.DrainRequest{Request: flags.request(args)}
				var err error
				if req.Options, err = options.options(); err != nil {
					return report{}, err
				}
				return s.make(ctx, flags, move{
					verb: "drain", wants: []switcher.Result{switcher.ResultDone},
					nothing: already("drained already"), taken: begun("drain"),
					post: func(ctx context.Context) (switcher.Receipt, error) { return s.edge.Drain(ctx, req) },
				})
			}
		},
	}
}
