package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

func purgeCommand() command {
	return command{
		name: "purge", usage: "<path>… | --prefix <prefix> | --all [--origin <name>] [--reason <why>] [--json]",
		short: "Takes media out of the edge's cache, so that it is asked for anew",
		long: `
Takes what the media edge has cached of these paths, each with all its variants
and ranges, or of all below a prefix. A prefix is of whole segments, so it ends
in a slash: /vod/42/ is not /vod/420/. Everything is --all.

A path is written as in a URL or decoded, without a query, and must have one
reading: dot segments, encoded slashes and the like are refused, and then
nothing is dropped. It says how many objects are gone, by origin; that none was
cached is no error. What is dropped is asked of the origins anew, all at once
where many want it: hence the role flip.`,
		example: `  $ greenroom purge /vod/42/master.m3u8 /vod/42/seg1.ts
  $ greenroom purge --prefix /vod/42/ --reason "takedown 7"
  $ greenroom purge --all --origin bucket`,
		args: purged, timeout: answerTimeout, timeoutIs: answerTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
			flags := cmd.Flags()
			prefixes := flags.StringArray("prefix", nil, "All below this, as /vod/42/; can be repeated")
			all := flags.Bool("all", false, "All that is cached")
			origin := flags.String("origin", "", "Only what came from this origin (default: from any)")
			reason := flags.String("reason", "", "Why; it is kept in the audit log")
			cmd.MarkFlagsMutuallyExclusive("prefix", "all")
			_ = cmd.RegisterFlagCompletionFunc("origin", completeOrigins)
			return func(ctx context.Context, s *session, paths []string) (report, error) {
				var list []control.PurgeRequest
				for _, path := range paths {
					list = append(list, control.PurgeRequest{Path: path})
				}
				for _, prefix := range *prefixes {
					list = append(list, control.PurgeRequest{Prefix: prefix})
				}
				if *all {
					list = append(list, control.PurgeRequest{Prefix: "/", All: true})
				}
				for i := range list {
					list[i].Origin, list[i].Request = *origin, switcher.Request{Reason: *reason}
				}
				return purge(ctx, s, list)
			}
		},
	}
}

// purged wants something to purge.
func purged(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	switch below := flags.Changed("prefix") || flags.Changed("all"); {
	case len(args) == 0 && !below:
		return errors.New("name at least one path, or --prefix, or --all")
	case len(args) > 0 && below:
		return errors.New("name either paths, or --prefix, or --all")
	}
	return nil
}

// purges is the document of the command.
type purges struct {
	Dropped int         `json:"dropped"`
	Purged  []purgeDone `json:"purged"`
}

// purgeDone is one path or prefix of them.
type purgeDone struct {
	Path   string `json:"path,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	control.PurgeResult
}

// purge asks for one after the other, if all of them can be asked for. What was
// dropped before an error is reported with it.
func purge(ctx context.Context, s *session, list []control.PurgeRequest) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	for i, q := range list {
		var err error
		switch list[i], err = q.Canonical(); {
		case q.Path+q.Prefix == "":
			err = invalid("a path or prefix is empty")
		case q.Prefix == "/" && !q.All:
			err = invalid("--prefix / is all that is cached: say --all")
		}
		if err != nil {
			return report{}, fmt.Errorf("%w; nothing is purged", err)
		}
	}
	doc := purges{Purged: []purgeDone{}}
	for _, q := range list {
		result, err := s.edge.Purge(ctx, q)
		if err != nil {
			if len(doc.Purged) == 0 {
				return report{}, err
			}
			return report{purgeLines(&doc), doc}, err
		}
		doc.Dropped += result.Dropped
		doc.Purged = append(doc.Purged, purgeDone{q.Path, q.Prefix, result})
	}
	return report{purgeLines(&doc), doc}, nil
}

func purgeLines(p *purges) (lines []line) {
	for _, d := range p.Purged {
		l := line{{bold, d.Path + d.Prefix}}.add(plain, ": ")
		switch {
		case d.Dropped > 0:
			l = l.add(plain, "%s dropped%s", number(d.Dropped, "object"), byOrigin(d.Origins))
		case strings.HasSuffix(d.Path, "/"):
			l = l.add(plain, "nothing of it was cached; what is below it goes with --prefix")
		default:
			l = l.add(plain, "nothing of it was cached")
		}
		lines = append(lines, l)
	}
	if len(p.Purged) > 1 {
		lines = append(lines, line{{dim, number(p.Dropped, "object") + " in all"}})
	}
	return lines
}

func byOrigin(origins []control.PurgedOrigin) string {
	var list []string
	for _, o := range origins {
		list = append(list, fmt.Sprintf("%s %s", o.Name, grouped(o.Dropped)))
	}
	return inBrackets(list)
}
