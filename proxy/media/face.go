package media

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// Face is the media edge of the process for its control socket.
type Face struct{}

var _ control.Media = Face{}

// Purge implements control.Media. While a config is replaced, it purges what
// either of the two has.
func (Face) Purge(_ context.Context, q control.PurgeRequest) (control.PurgeResult, error) {
	apps := started.all()
	if !slices.ContainsFunc(apps, (*App).any) {
		return control.PurgeResult{}, control.ErrNoMedia
	}
	path, prefix := q.Path, q.Prefix != ""
	if prefix {
		path = q.Prefix
	}
	dropped, caches := make(map[string]int), make(map[*cache.Cache]map[string]bool)
	for _, app := range apps {
		for _, h := range app.handlers {
			if h.source == nil || q.Origin != "" && q.Origin != h.Name {
				continue
			}
			done := caches[app.cell.Cache]
			if done == nil {
				done = make(map[string]bool)
				caches[app.cell.Cache] = done
			}
			n := 0
			for _, at := range h.spellings(path, prefix) {
				if !done[h.source.scope+" "+at] {
					done[h.source.scope+" "+at] = true
					n += app.cell.Purge(h.source.scope, at, prefix)
				}
			}
			dropped[h.Name] += n
		}
	}
	if q.Origin != "" && len(dropped) == 0 {
		return control.PurgeResult{}, fmt.Errorf("%w: no origin is called %q: there are %s", switcher.ErrInvalid, q.Origin, origins(apps))
	}
	var result control.PurgeResult
	for name, n := range dropped {
		if n > 0 {
			result.Dropped += n
			result.Origins = append(result.Origins, control.PurgedOrigin{Name: name, Dropped: n})
		}
	}
	slices.SortFunc(result.Origins, func(a, b control.PurgedOrigin) int { return strings.Compare(a.Name, b.Name) })
	return result, nil
}

// spellings are what a path or prefix can mean at the origin: as it is, or as a
// viewer has it. A prefix that all viewers' paths have is everything.
func (h *Handler) spellings(path string, prefix bool) []string {
	all := []string{path}
	if stripped := h.strip(path); stripped != path {
		all = append(all, stripped)
	} else if prefix && strings.HasPrefix(h.StripPrefix+"/", path) {
		all = append(all, "/")
	}
	return all
}

func (app *App) any() bool { return len(app.handlers) > 0 }

func origins(apps []*App) string {
	var names []string
	for _, app := range apps {
		for _, h := range app.handlers {
			if h.source != nil && !slices.Contains(names, h.Name) {
				names = append(names, h.Name)
			}
		}
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(names, ", "), "none")
}

// Media implements control.Media.
func (Face) Media(context.Context) (control.MediaView, error) {
	apps := started.all()
	if !slices.ContainsFunc(apps, (*App).any) {
		return control.MediaView{}, control.ErrNoMedia
	}
	app := apps[0]
	v := control.MediaView{Since: app.shared.since}
	sessions := app.shared.meter.Snapshot(time.Now())
	seen := make(map[string]bool)
	for _, h := range app.handlers {
		rule := control.MediaRule{Name: h.Name, Mode: "redirect"}
		if h.Redirect != nil {
			rule.Origin = h.Redirect.to.Host
		} else {
			rule.Mode, rule.Origin = "proxy", h.Name
			if !seen[h.Name] {
				v.Origins = append(v.Origins, h.source.view())
			}
		}
		if seen[h.Name] {
			continue
		}
		seen[h.Name] = true
		rule.Requests, rule.Bytes = h.counts.sum(), h.counts.sent()
		for _, s := range sessions {
			if s.Scope.Name == h.Name {
				rule.Sessions += uint64(s.Sessions)
				rule.Starved += uint64(s.StarvedSessions)
			}
		}
		v.Rules = append(v.Rules, rule)
	}
	if len(v.Origins) > 0 {
		v.Cache = app.view()
	}
	return v, nil
}

func (s *source) view() control.MediaOrigin {
	status := s.Status()
	v := control.MediaOrigin{Name: s.name, Requests: status.Requests, Failures: status.Failures, Failovers: status.Failovers, Resumes: status.Resumes}
	for _, e := range status.Endpoints {
		v.Endpoints = append(v.Endpoints, control.MediaEndpoint{
			Address: e.URL, Healthy: e.Healthy, Reason: cmp.Or(e.Reason, e.LastError), Requests: e.Attempts, Failures: e.Failures,
		})
	}
	return v
}

// view is the cache, with what came of the requests that it was asked for.
func (app *App) view() *control.MediaCache {
	s := app.cell.Stats()
	v := &control.MediaCache{
		Objects: int64(s.Objects), MemoryUsed: s.MemoryBytes, MemoryLimit: app.cell.config.Memory, DiskUsed: s.DiskBytes, DiskLimit: app.cell.config.Disk,
		Evictions: uint64(s.Evictions), DiskErrors: uint64(s.DiskErrors),
	}
	seen := make(map[*counts]bool)
	for _, h := range app.handlers {
		if seen[h.counts] {
			continue
		}
		seen[h.counts] = true
		v.Hits += h.counts.sum(result(cache.Hit), result(cache.Stale), result(cache.Collapsed))
		v.Misses += h.counts.sum(result(cache.Miss), result(cache.Partial), result(cache.Revalidated), result(cache.Bypass))
		v.Coalesced += h.counts.sum(result(cache.Collapsed))
	}
	return v
}
