package proxy

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// streamAge is how long an exchange lasts before it counts as a stream whatever
// it is. WebSockets, server-sent events, gRPC calls and responses of unknown
// length do at once.
const streamAge = time.Second

// maxPath is how much of a path is shown, in bytes.
const maxPath = 256

// about is what is shown of a request. Its strings are the request's own, so
// that a short one costs nothing; a tunnel takes copies.
type about struct {
	method, path, client, protocol string
	truncate                       bool // the client's address
}

func aboutRequest(r *http.Request, ip string, truncate bool) about {
	return about{method: r.Method, path: r.URL.Path, client: ip, protocol: r.Proto, truncate: truncate}
}

// shownClient is the client's address; of one that is truncated the /24 or /48.
func (a *about) shownClient() string {
	if !a.truncate {
		return a.client
	}
	ip, err := netip.ParseAddr(a.client)
	if err != nil {
		return ""
	}
	bits := 48
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	prefix, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// isStream reports whether e is more than a short request.
func (e *entry) isStream(now time.Time) bool {
	switch e.streamKind() {
	case switcher.StreamWebSocket, switcher.StreamSSE, switcher.StreamLive, switcher.StreamGRPC:
		return true
	}
	return now.Sub(e.started) >= streamAge
}

// isOf reports whether e is of one of the kinds; none stand for all.
func (e *entry) isOf(kinds []switcher.StreamKind) bool {
	return len(kinds) == 0 || slices.Contains(kinds, e.streamKind())
}

// id is short, and unique while the edge runs.
func (e *entry) id() string { return strconv.FormatUint(e.number, 36) }

// numberOf reads an id; 0: it is none.
func numberOf(id string) uint64 {
	n, err := strconv.ParseUint(id, 36, 64)
	if err != nil {
		return 0
	}
	return n
}

func (e *entry) stream(now time.Time) switcher.Stream {
	color, upstream := e.place()
	s := switcher.Stream{
		ID: e.id(), Kind: e.streamKind(), Color: color, State: e.state(), Upstream: upstream,
		Client: e.about.shownClient(), Method: e.about.method, Path: e.about.path[:min(len(e.about.path), maxPath)], Protocol: e.about.protocol,
		Started: e.started, Received: e.received.Load(), Sent: e.sent.Load(), Rate: e.rate(now),
	}
	if last := e.last.Load(); last != 0 {
		s.LastByte = time.Unix(0, last)
	} else if s.Received+s.Sent > 0 {
		s.LastByte = e.started
	}
	return s
}

// of returns the streams of a service that want chooses.
func (l *ledger) of(service string, want func(*entry) bool) (list []*entry) {
	for i := range l.parts {
		list = append(list, l.parts[i].those(func(e *entry) bool { return e.service == service && want(e) })...)
	}
	return list
}

// streams returns a page of a service's streams, the oldest first.
func (l *ledger) streams(service string, q switcher.StreamQuery, now time.Time) switcher.StreamPage {
	all := l.of(service, func(e *entry) bool {
		return e.isStream(now) && (q.Color == 0 || e.lease.Color == q.Color) && e.isOf(q.Kinds)
	})
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	page := switcher.StreamPage{Streams: []switcher.Stream{}, Total: len(all)}
	if q.After != "" {
		all = all[indexAfter(all, numberOf(q.After)):]
	}
	limit := q.PageLimit()
	for _, e := range all[:min(limit, len(all))] {
		page.Streams = append(page.Streams, e.stream(now))
	}
	if len(all) > limit {
		page.Next = page.Streams[limit-1].ID
	}
	return page
}

// indexAfter is where those begin whose number is above n.
func indexAfter(sorted []*entry, n uint64) int {
	i, found := slices.BinarySearchFunc(sorted, n, func(e *entry, n uint64) int { return cmp.Compare(e.number, n) })
	if found {
		i++
	}
	return i
}

// counts says what a color still has under way, by kind. A kind has an ETA if
// all of them are bodies of which it is known how long they will take.
func (l *ledger) counts(service string, c switcher.Color, now time.Time) (counts []switcher.StreamCount) {
	kinds := make(map[switcher.StreamKind]*switcher.StreamCount)
	unknown := make(map[switcher.StreamKind]bool)
	for _, e := range l.of(service, func(e *entry) bool { return e.lease.Color == c }) {
		k := kinds[e.streamKind()]
		if k == nil {
			k = &switcher.StreamCount{Kind: e.streamKind(), Oldest: e.started}
			kinds[k.Kind] = k
		}
		k.Count++
		if e.started.Before(k.Oldest) {
			k.Oldest = e.started
		}
		if e.ending.Load() {
			k.Ending++
		}
		if left, known := e.left(now); !known {
			unknown[k.Kind] = true
		} else if eta := now.Add(left); eta.After(k.ETA) {
			k.ETA = eta
		}
	}
	for _, kind := range switcher.StreamKinds() {
		if k := kinds[kind]; k != nil {
			if unknown[kind] {
				k.ETA = time.Time{}
			}
			counts = append(counts, *k)
		}
	}
	return counts
}
