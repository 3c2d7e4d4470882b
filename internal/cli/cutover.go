package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// cutoverFlags are those that say how a cutover goes, for plan, too.
type cutoverFlags struct {
	to, ramp string
	options  *optionFlags
}

func addCutoverFlags(cmd *cobra.Command) *cutoverFlags {
	c := &cutoverFlags{options: addOptions(cmd, true)}
	flags := cmd.Flags()
	flags.StringVar(&c.to, "to", "", "Color to move to: blue or green (required)")
	flags.StringVar(&c.ramp, "ramp", "", `Steps before the flip as weight:hold in percent and time, like "10:5m,50:hold"; "" flips at once (default: the service's own)`)
	_ = cmd.MarkFlagRequired("to") // fails only for a flag that is not there
	_ = cmd.RegisterFlagCompletionFunc("to", completeColors)
	return c
}

func (c *cutoverFlags) request(cmd *cobra.Command, base switcher.Request) (switcher.CutoverRequest, error) {
	to, err := switcher.ParseColor(c.to)
	if err != nil {
		return switcher.CutoverRequest{}, invalid("--to: %w", err)
	}
	req := switcher.CutoverRequest{Request: base, To: to}
	if req.Options, err = c.options.options(); err != nil {
		return switcher.CutoverRequest{}, err
	}
	if cmd.Flags().Changed("ramp") {
		ramp, err := switcher.ParseRamp(c.ramp)
		if err != nil {
			return switcher.CutoverRequest{}, invalid("--ramp: %w", err)
		}
		req.Ramp = &ramp
	}
	return req, nil
}

func cutoverCommand() command {
	return command{
		name: "cutover", usage: "<service...> --to blue|green [--ramp <steps>] [--no-wait]",
		short: "Moves all traffic to a color, and waits until the other is safe to stop",
		long: `
Moves all traffic of the services to a color: asks the gates, takes the steps
of the ramp, flips, and drains the color that the traffic has left. Several
services move as one.

It waits until the move has ended, and says then whether the old color is safe
to stop. Ctrl-C ends the wait, not the move: greenroom rollback undoes it.

Where the service pins sessions, those of the old color stay there while they
live, until their deadline; no session begins there any more. --pins drop moves
them with the flip, and greenroom drain <service> --pins drop later on.

It ends at once, with exit code 0, where the color is active already.`,
		example: `  $ greenroom cutover app --to green
  $ greenroom cutover app api --to green --reason "release 42"
  $ greenroom cutover app --to green --ramp 10:5m,50:hold --gate-timeout 2m
  $ greenroom cutover app --to green --drain-timeout 5m --drain-deadline websocket=30m,upload=2h
  $ greenroom cutover app --to green --no-wait --json`,
		args: services, timeoutIs: waitTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			how, flags := addCutoverFlags(cmd), addWaitFlags(cmd)
			return func(ctx context.Context, s *session, args []string) (report, error) {
				req, err := how.request(cmd, flags.request(args))
				if err != nil {
					return report{}, err
				}
				return s.make(ctx, flags, move{
					verb: "cutover", wants: []switcher.Result{switcher.ResultDone},
					nothing: already(req.To.String() + " is active already"), taken: begun("cutover"),
					post: func(ctx context.Context) (switcher.Receipt, error) { return s.edge.Cutover(ctx, req) },
				})
			}
		},
	}
}

// make carries out a move, and waits for it if the flags say so.
func (s *session) make(ctx context.Context, flags *moveFlags, m move) (report, error) {
	if flags.waits() {
		return s.carry(ctx, m)
	}
	return s.send(ctx, m)
}

func planCommand() command {
	return command{
		name: "plan", usage: "<service...> --to blue|green [--ramp <steps>]",
		short: "Says what a cutover would do now, and moves nothing",
		long: `
Asks the gates and prints what a cutover would do, step by step, and what would
refuse it or keep it waiting. Nothing moves.

Exit code 0 says that it would go through now, or that the color is active
already; 10 that it would not.`,
		example: "  $ greenroom plan app --to green\n  $ greenroom plan app api --to green --ramp 10:5m,50:10m --json",
		args:    services, timeout: answerTimeout, timeoutIs: answerTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			how, flags := addCutoverFlags(cmd), addMoveFlags(cmd)
			return func(ctx context.Context, s *session, args []string) (report, error) {
				req, err := how.request(cmd, flags.request(args))
				if err != nil {
					return report{}, err
				}
				return plan(ctx, s, req)
			}
		},
	}
}

func plan(ctx context.Context, s *session, req switcher.CutoverRequest) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	p, err := s.edge.Plan(ctx, req)
	if err != nil {
		return report{}, err
	}
	views, err := s.named(ctx, p.Services)
	if err != nil {
		return report{}, err
	}
	if allOn(views, req.To) {
		p.Blocked = nil
		var lines []line
		for i := range views {
			lines = append(lines, already(req.To.String()+" is active already")(&views[i]))
		}
		return report{lines, p}, nil
	}
	r := report{planLines(&p), p}
	if len(p.Blocked) > 0 {
		return r, &failure{Code: "refused", Exit: exitRefused, Detail: "the cutover would not go through now: " + p.Blocked[0],
			Hint: "mend what the plan names, then ask again"}
	}
	return r, nil
}

// allOn reports that a cutover to c would find nothing to do.
func allOn(views []switcher.ServiceView, c switcher.Color) bool {
	return !slices.ContainsFunc(views, func(v switcher.ServiceView) bool { return v.Active != c || v.Phase != switcher.Steady })
}
