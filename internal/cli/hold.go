package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// still is a command that stops a service from moving, or lets it move again:
// the edge's answer is its end.
func still(c command, post func(edge, context.Context, switcher.Request) (switcher.Receipt, error), m move) command {
	c.args, c.timeout, c.timeoutIs = services, answerTimeout, answerTimeoutIs
	m.verb = c.name
	c.setup = func(cmd *cobra.Command) action {
		flags := addMoveFlags(cmd)
		return func(ctx context.Context, s *session, args []string) (report, error) {
			m := m
			m.post = func(ctx context.Context) (switcher.Receipt, error) {
				return post(s.edge, ctx, flags.request(args))
			}
			return s.send(ctx, m)
		}
	}
	return c
}

func holdCommand() command {
	return still(command{
		name: "hold", usage: "<service...> [--reason <why>]",
		short: "Stops a ramp where it is, until resume",
		long: `
Stops the ramp under way at its present split, until somebody says resume.
Abort and rollback undo it from there.`,
		example: "  $ greenroom hold app --reason \"look at the logs first\"",
	}, edge.Hold, move{nothing: already("no ramp is under way"), taken: held})
}

func lockCommand() command {
	c := still(command{
		name: "lock", usage: "<service...> --reason <why>",
		short: "Refuses every move but abort and rollback, until unlock",
		long: `
Keeps a service where it is: every move but abort and rollback is refused, and a
ramp under way stands still, until somebody says unlock. Whoever is stopped by
the lock reads its reason.`,
		example: "  $ greenroom lock app --reason \"no deploys during the match\"",
	}, edge.Lock, move{nothing: already("locked already"), taken: func(v *switcher.ServiceView) line {
		l := line{{bold, v.Name}}.add(plain, ": ").add(warn, "locked").add(plain, " at %s", v.Split)
		return l.add(plain, ". Only abort and rollback move it, until: greenroom unlock %s", v.Name)
	}})
	setup := c.setup
	c.setup = func(cmd *cobra.Command) action {
		do := setup(cmd)
		_ = cmd.MarkFlagRequired("reason") // fails only for a flag that is not there
		return do
	}
	return c
}

func unlockCommand() command {
	return still(command{
		name: "unlock", usage: "<service...>",
		short:   "Lifts the lock of a service",
		long:    "\nLifts the lock of a service; a ramp that stood still under it goes on.",
		example: "  $ greenroom unlock app",
	}, edge.Unlock, move{nothing: already("it is not locked"), taken: func(v *switcher.ServiceView) line {
		return line{{bold, v.Name}}.add(plain, ": unlocked")
	}})
}

func resumeCommand() command {
	return command{
		name: "resume", usage: "<service...> [--no-wait]",
		short: "Goes on with a ramp that is held, and waits until it has ended",
		long: `
Goes on with a ramp or split that is held, and waits until the move has ended,
as cutover does.`,
		example: "  $ greenroom resume app\n  $ greenroom resume app --no-wait",
		args:    services, timeoutIs: waitTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			flags := addWaitFlags(cmd)
			return func(ctx context.Context, s *session, args []string) (report, error) {
				req := flags.request(args)
				return s.make(ctx, flags, move{
					verb: "resume", wants: []switcher.Result{switcher.ResultDone},
					nothing: already("nothing is held"), taken: begun("resume"),
					post: func(ctx context.Context) (switcher.Receipt, error) { return s.edge.Resume(ctx, req) },
				})
			}
		},
	}
}
