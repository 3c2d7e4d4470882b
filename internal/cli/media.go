package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher/control"
)

func mediaCommand() command {
	return command{
		name: "media", usage: "[--json]",
		short: "Shows the media edge: origins, cache, rules",
		long: `
Shows what media does beside the application: of each origin its endpoints, with
their health and what they were asked for; of the cache how full it is and what
it has saved the origins; of each rule what it has answered, and the share of
sessions whose players reported an empty buffer (CMCD). Counts are since the
edge started; what is 0 is left out.

FAILOVERS went on to another endpoint before an answer had begun, RESUMES
midway. Media that still goes through the application is in greenroom status.`,
		example: `  $ greenroom media
  $ greenroom media --json | jq '.cache | .hits / (.hits + .misses)'`,
		args: cobra.NoArgs, timeout: answerTimeout, timeoutIs: answerTimeoutIs,
		setup: func(cmd *cobra.Command) action {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
			return media
		},
	}
}

func media(ctx context.Context, s *session, _ []string) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	v, err := s.edge.Media(ctx)
	if err != nil {
		return report{}, err
	}
	return report{mediaLines(&v, time.Now()), v}, nil
}

func mediaLines(v *control.MediaView, now time.Time) []line {
	var lines []line
	if !v.Since.IsZero() {
		lines = append(lines, line{{dim, "counts are of the last " + short(now.Sub(v.Since))}})
	}
	if len(v.Origins) > 0 {
		lines = append(lines, originTable(v.Origins)...)
	}
	if v.Cache != nil {
		lines = append(lines, cacheLines(v.Cache)...)
	} else {
		lines = append(lines, line{{bold, "cache"}}.add(plain, ": none"))
	}
	if len(v.Rules) > 0 {
		return append(lines, ruleTable(v.Rules)...)
	}
	return append(lines, say("no rule sends any media here"))
}

// originTable has a row for each origin, and below it one for each endpoint.
func originTable(origins []control.MediaOrigin) []line {
	rows := [][]line{headings("ORIGIN", "HEALTHY", "REQUESTS", "FAILURES", "FAILOVERS", "RESUMES", "")}
	for i := range origins {
		o := &origins[i]
		rows = append(rows, []line{
			{{bold, cut(clean(o.Name), 24)}}, endpointsHealthy(o.Endpoints), tally(o.Requests), troubled(o.Failures), tally(o.Failovers), tally(o.Resumes), nil,
		})
		for _, e := range o.Endpoints {
			state, why := line{{good, "yes"}}, line{{dim, e.Reason}}
			if !e.Healthy {
				state, why = line{{bad, "no"}}, line{{plain, e.Reason}}
			}
			rows = append(rows, []line{say("  %s", cut(clean(e.Address), 48)), state, tally(e.Requests), troubled(e.Failures), nil, nil, why})
		}
	}
	return grid(rows)
}

func endpointsHealthy(endpoints []control.MediaEndpoint) line {
	n := 0
	for _, e := range endpoints {
		if e.Healthy {
			n++
		}
	}
	s := good
	switch {
	case n == 0:
		s = bad
	case n < len(endpoints):
		s = warn
	}
	return line{{s, fmt.Sprintf("%d/%d", n, len(endpoints))}}
}

func cacheLines(c *control.MediaCache) []line {
	first := line{{bold, "cache"}}.add(plain, ": %s", number(c.Objects, "object"))
	for _, store := range []struct {
		name        string
		used, limit int64
	}{{"memory", c.MemoryUsed, c.MemoryLimit}, {"disk", c.DiskUsed, c.DiskLimit}} {
		if store.limit > 0 {
			first = first.add(plain, ", %s %s of %s", store.name, bytesize(store.used), bytesize(store.limit))
		}
	}
	var saved []string
	if ratio, known := c.HitRatio(); known {
		saved = append(saved, fmt.Sprintf("hit ratio %.1f%% of %s", 100*ratio, number(c.Hits+c.Misses, "request")))
	}
	if c.Coalesced > 0 {
		saved = append(saved, number(c.Coalesced, "fetch")+" saved by coalescing")
	}
	if c.Evictions > 0 {
		saved = append(saved, number(c.Evictions, "eviction"))
	}
	if c.DiskErrors > 0 {
		saved = append(saved, number(c.DiskErrors, "disk error"))
	}
	if len(saved) == 0 {
		return []line{first}
	}
	return []line{first, say("  %s", strings.Join(saved, ", "))}
}

func ruleTable(rules []control.MediaRule) []line {
	rows := [][]line{headings("RULE", "MODE", "ORIGIN", "REQUESTS", "BYTES", "SESSIONS", "STARVED")}
	for i := range rules {
		r := &rules[i]
		var sent, starved line
		if r.Bytes > 0 {
			sent = say("%s", bytesize(int64(r.Bytes)))
		}
		if r.Sessions > 0 {
			share := 100 * float64(r.Starved) / float64(r.Sessions)
			starved = line{{plain, fmt.Sprintf("%.1f%%", share)}}
			if r.Starved > 0 {
				starved[0].style = warn
			}
		}
		rows = append(rows, []line{
			{{bold, cut(clean(r.Name), 40)}}, say("%s", r.Mode), {{plain, cut(clean(r.Origin), 24)}}, tally(r.Requests), sent, tally(r.Sessions), starved,
		})
	}
	return grid(rows)
}

// tally is a count in a table; 0 is left out.
func tally(n uint64) line {
	if n == 0 {
		return nil
	}
	return say("%s", grouped(n))
}

func troubled(n uint64) line {
	l := tally(n)
	if l != nil {
		l[0].style = warn
	}
	return l
}
