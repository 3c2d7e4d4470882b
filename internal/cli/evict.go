package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func evictCommand() command {
	return command{
		name: "evict", usage: "<service> [--color blue|green] [--kind <kind>,…] [--id <id>,…] [--reason <why>]",
		short: "Asks streams to end, before any deadline",
		long: `
Asks streams of one color to end, at the service's pace and each in the way of
its kind: a WebSocket by a close frame, server-sent events and gRPC between two
messages. What is neither is cut. Without --color they are those of the idle
color, which a drain waits for.

It returns once the edge has chosen them; greenroom streams shows what is left.
Those that come back go to where the traffic goes, pinned sessions too: streams
of the active color go to the active color again.`,
		example: `  $ greenroom evict app
  $ greenroom evict app --kind websocket,sse --reason "blue is to be stopped at noon"
  $ greenroom evict app --id 3k7,3kc`,
		args: oneService, timeout: answerTimeout, timeoutIs: answerTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			flags, which := addMoveFlags(cmd), addStreamFlags(cmd, "Color whose streams end: blue or green (default: the idle one)")
			ids := cmd.Flags().StringSlice("id", nil, fmt.Sprintf("Only these, as greenroom streams shows them; a list of at most %d, or repeated (default: all)", switcher.MaxStreams))
			return func(ctx context.Context, s *session, args []string) (report, error) {
				color, kinds, err := which.parse()
				if err != nil {
					return report{}, err
				}
				for _, id := range *ids {
					if id == "" {
						return report{}, invalid("--id is empty: want the id of a stream, as greenroom streams shows it")
					}
				}
				return evict(ctx, s, switcher.EvictRequest{Request: flags.request(args), Color: color, Kinds: kinds, IDs: *ids})
			}
		},
	}
}

// evicted is the document of the command.
type evicted struct {
	Service string `json:"service"`
	switcher.Eviction
	Warnings []string `json:"warnings,omitempty"`
}

func evict(ctx context.Context, s *session, req switcher.EvictRequest) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	e, err := s.edge.Evict(ctx, req)
	if err != nil {
		return report{}, err
	}
	doc := evicted{Service: req.Services[0], Eviction: e}
	// The eviction is under way, whether the edge says more or not.
	if v, err := s.edge.View(ctx, doc.Service); err == nil && v.Active == e.Color && e.Streams > 0 {
		doc.Warnings = []string{e.Color.String() + " is the active color: whoever comes back comes to it again"}
	}
	return report{evictedLines(&doc), doc}, nil
}

func evictedLines(e *evicted) []line {
	l := line{{bold, e.Service}}.add(plain, ": ")
	show := fmt.Sprintf("greenroom streams %s --color %s shows what is left", e.Service, e.Color)
	switch e.Streams {
	case 0:
		l = l.add(plain, "no such streams of ").join(line{inked(e.Color)}).add(plain, ", or they are ending already: nothing to do")
	case 1:
		l = l.add(plain, "1 stream of ").join(line{inked(e.Color)}).add(plain, " is asked to end; %s", show)
	default:
		l = l.add(plain, "%d streams of ", e.Streams).join(line{inked(e.Color)}).add(plain, " are asked to end, %d per second; %s", e.Pace, show)
	}
	lines := []line{l}
	for _, w := range e.Warnings {
		lines = append(lines, line{{warn, "  warning: "}, {plain, w}})
	}
	return lines
}
