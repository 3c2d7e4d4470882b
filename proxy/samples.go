package proxy

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// samples counts what the colors of one service do while both serve. It belongs
// to the runtime, so that a reload in the middle of a ramp forgets nothing.
type samples struct {
	service string
	colors  switcher.PerColor[compare.Collector]
	viewers *cmcd.Meter // of all services
}

func (rt *runtime) samplesOf(service string) *samples {
	s, _ := rt.samples.LoadOrStore(service, &samples{service: service, viewers: rt.viewers})
	return s.(*samples)
}

// sampled implements switcher.Hooks.Samples.
func (rt *runtime) sampled(service string, c switcher.Color) compare.Counts {
	known, ok := rt.samples.Load(service)
	if !ok {
		return compare.Counts{}
	}
	s := known.(*samples)
	n := s.colors.At(c).Read()
	v := s.viewers.Viewers(s.scope(c), time.Now())
	n.Watching, n.Joined, n.Starved = uint64(v.Watching), v.Joined, v.Starved
	return n
}

func (s *samples) scope(c switcher.Color) cmcd.Scope {
	return cmcd.Scope{Name: s.service, Color: c.String()}
}

// sampled returns what counts for the color that the trip is at; nil: nothing
// does, as the other color serves nobody beside it, or it is a preview, or the
// traffic is divided otherwise than when the color was chosen. Else what takes long would be
// counted for the weight before, and what does not for the one now.
func (t *trip) sampled() *compare.Collector {
	table := t.lease.Table
	if t.edge.samples == nil || t.edge.config.limits == nil || t.preview.idle || table == nil {
		return nil
	}
	if table.Split.Blue == 0 || table.Split.Green == 0 {
		return nil
	}
	if now := t.edge.service.Table(); now == nil || now.Generation != table.Generation {
		return nil
	}
	return t.edge.samples.colors.At(t.lease.Color)
}

// answered counts the head of an upstream's answer. What comes after it does not
// matter: streams and downloads end too late to be compared.
func (t *trip) answered(r *http.Request, status int) {
	into := t.sampled()
	if into == nil {
		return
	}
	into.Connected()
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported:
		into.Failed(t.who(r)) // clients can choose the two, by their method and their version
	case hasBody(r):
		into.Untimed()
	default:
		into.Answered(time.Since(t.started), t.who(r))
	}
	if t.edge.config.limits.Starvation.Off {
		return
	}
	if report, ok, err := cmcd.ParseRequest(r); err == nil && ok && report.Session != "" {
		s := t.edge.samples
		s.viewers.Observe(s.scope(t.lease.Color), report, time.Now())
	}
}

// failed counts a request without an answer, and one whose answer broke off,
// which its head has counted as a good one.
func (t *trip) failed(r *http.Request) {
	if into := t.sampled(); into != nil {
		into.Failed(t.who(r))
	}
}

// left counts a client that went before there was a head: it has waited at least
// so long. Otherwise a color that is silent would have no samples.
func (t *trip) left(r *http.Request) {
	if into := t.sampled(); into != nil && !hasBody(r) {
		into.Answered(time.Since(t.started), t.who(r))
	}
}

// who tells clients apart, by their address; of IPv6 by the /64, as one host has
// as many addresses in it as it likes.
func (t *trip) who(r *http.Request) uint64 {
	ip := clientIP(r)
	if a, err := netip.ParseAddr(ip); err == nil && a.Is6() && !a.Is4In6() {
		ip = netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
	}
	return switcher.HashKey(t.edge.name, ip)
}
