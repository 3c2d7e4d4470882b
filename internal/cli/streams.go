package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func streamsCommand() command {
	return command{
		name: "streams", usage: "<service> [--color blue|green] [--kind <kind>,…] [--limit <n> | --all] [--json]",
		short: "Lists the streams under way, the oldest first",
		long: `
Lists what a service has under way: WebSockets, server-sent events, gRPC calls,
responses of unknown length, and whatever else lasts longer than a second. The
oldest come first: those that a drain waits for.

STATE is waiting before the response has begun, open, or ending once a stream
has been asked to end. RECEIVED is what came from the client, SENT what went to
it, RATE both per second since somebody last looked, half a second ago or longer;
at first, since the stream began. On a terminal that is too narrow the path is cut, and columns are left out;
piped, and with --json, everything is there.`,
		example: `  $ greenroom streams app
  $ greenroom streams app --color blue --kind websocket,sse
  $ greenroom streams app --all --json | jq -r '.streams[].client' | sort | uniq -c`,
		args: oneService, timeout: answerTimeout, timeoutIs: answerTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			which := addStreamFlags(cmd, "Only on this color: blue or green (default: both)")
			limit := cmd.Flags().Int("limit", 100, fmt.Sprintf("How many to list at most, 1 to %d", switcher.MaxStreams))
			all := cmd.Flags().Bool("all", false, "List all there are")
			cmd.MarkFlagsMutuallyExclusive("limit", "all")
			return func(ctx context.Context, s *session, args []string) (report, error) {
				color, kinds, err := which.parse()
				if err != nil {
					return report{}, err
				}
				if *limit < 1 || *limit > switcher.MaxStreams {
					return report{}, invalid("--limit %d: want 1 to %d", *limit, switcher.MaxStreams)
				}
				return streams(ctx, s, args[0], switcher.StreamQuery{Color: color, Kinds: kinds, Limit: *limit}, *all)
			}
		},
	}
}

// streamList is the document of the command.
type streamList struct {
	Service string `json:"service"`
	switcher.StreamPage
}

func streams(ctx context.Context, s *session, service string, q switcher.StreamQuery, all bool) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	ask := s.edge.Streams
	if all {
		ask = s.allStreams
	}
	page, err := ask(ctx, service, q)
	if err != nil {
		return report{}, err
	}
	if page.Streams == nil {
		page.Streams = []switcher.Stream{}
	}
	return report{streamTable(&page, q, s.width(), time.Now()), streamList{service, page}}, nil
}

// allStreams asks for one page after the other.
func (s *session) allStreams(ctx context.Context, service string, q switcher.StreamQuery) (whole switcher.StreamPage, err error) {
	q.Limit = switcher.MaxStreams
	for {
		page, err := s.edge.Streams(ctx, service, q)
		if err != nil {
			return whole, err
		}
		whole.Streams = append(whole.Streams, page.Streams...)
		whole.Total = max(page.Total, len(whole.Streams)) // some ended since
		if page.Next == "" || len(page.Streams) == 0 {
			return whole, nil
		}
		q.After = page.Next
	}
}

// streamTable renders a page to fit width; 0 is without limit.
func streamTable(p *switcher.StreamPage, q switcher.StreamQuery, width int, now time.Time) []line {
	if len(p.Streams) == 0 {
		text := "no streams are under way"
		if q.Color != 0 {
			text += " on " + q.Color.String()
		}
		if len(q.Kinds) > 0 {
			text += " of " + enumerate(q.Kinds)
		}
		return []line{say("%s", text)}
	}
	lines := grid(fit(streamRows(p.Streams, width, now), width))
	if p.Next != "" || len(p.Streams) < p.Total {
		lines = append(lines, line{{dim, fmt.Sprintf("%d of %d shown; --all shows all", len(p.Streams), p.Total)}})
	}
	return lines
}

func enumerate(kinds []switcher.StreamKind) string {
	text := "the kind "
	for i, k := range kinds {
		if i > 0 {
			text += " or "
		}
		text += k.String()
	}
	return text
}

// The columns of streams, and how narrow that of the path may become.
var (
	streamColumns = []string{"ID", "KIND", "COLOR", "STATE", "AGE", "CLIENT", "UPSTREAM", "PATH", "RECEIVED", "SENT", "RATE", "LAST BYTE"}
	// dispensable are left out of a narrow table, the first one first.
	dispensable = []string{"UPSTREAM", "RATE", "COLOR", "RECEIVED", "STATE", "SENT", "LAST BYTE"}
)

const leastPath = 16

// streamRows are the headings and the streams, with all columns.
func streamRows(list []switcher.Stream, width int, now time.Time) [][]line {
	address := func(text string) line {
		if width > 0 {
			text = cut(clean(text), 21) // as long as that of IPv4 with a port
		}
		return line{{plain, text}}
	}
	rows := [][]line{headings(streamColumns...)}
	for i := range list {
		s := &list[i]
		state := line{{plain, s.State}}
		if s.State == "ending" {
			state[0].style = warn
		}
		rows = append(rows, []line{
			{{bold, s.ID}}, say("%s", s.Kind), {inked(s.Color)}, state, say("%s", short(now.Sub(s.Started))),
			address(s.Client), address(s.Upstream), {{plain, s.Path}},
			say("%s", bytesize(s.Received)), say("%s", bytesize(s.Sent)), say("%s/s", bytesize(s.Rate)), say("%s", ago(s.LastByte, now)),
		})
	}
	return rows
}

// fit leaves out columns, and cuts the paths, until rows fit width.
func fit(rows [][]line, width int) [][]line {
	if width <= 0 {
		return rows
	}
	names := slices.Clone(streamColumns)
	room := func() int { // for the path
		left := width
		for x, name := range names {
			widest := 0
			for _, row := range rows {
				widest = max(widest, row[x].width())
			}
			if name != "PATH" {
				left -= widest + 2
			}
		}
		return left
	}
	for _, name := range dispensable {
		if room() >= leastPath {
			break
		}
		x := slices.Index(names, name)
		names = slices.Delete(names, x, x+1)
		for y := range rows {
			rows[y] = slices.Delete(rows[y], x, x+1)
		}
	}
	left, x := max(room(), 1), slices.Index(names, "PATH")
	for _, row := range rows {
		if row[x].width() > left {
			row[x] = line{{row[x][0].style, cut(clean(row[x][0].text), left)}}
		}
	}
	return rows
}
