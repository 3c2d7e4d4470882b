package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// BenchmarkHandler is what surrounds forwarding: the choice of a color and an
// upstream, counts, budget, metrics.
func BenchmarkHandler(b *testing.B) {
	for _, c := range []struct {
		name   string
		config *Service
	}{
		{"plain", new(Service)},
		{"round_robin", &Service{Balance: "round_robin"}},
		{"hash", &Service{Balance: "hash"}},
		{"sticky none", &Service{Sticky: &Sticky{By: "none"}}},
		{"sticky header", &Service{Sticky: &Sticky{By: "header", Name: "X-Tenant"}}},
		{"sticky cookie", &Service{Sticky: &Sticky{By: "cookie"}}},
		{"pin", &Service{Pin: &Pin{Keys: []*PinKey{{By: "path", Match: "/live/"}, {By: "query", Name: "session"}, {By: "cookie", Name: "other"}}}}},
		{"preview", &Service{Preview: &Preview{Header: "X-Preview", Cookie: "preview", Hosts: []string{"next.example.com"}, secret: []byte(previewSecret)}}},
		{"color header", &Service{ColorHeader: "X-Color"}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkHandler(b, c.config) })
	}
}

func benchmarkHandler(b *testing.B, config *Service) {
	e, sw := newTestEdge(b, config, func(_ http.ResponseWriter, _ *http.Request, x *Exchange) error {
		x.Status = http.StatusOK
		return nil
	}, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	mustTB(b, sw.Configure(b.Context(), map[string]switcher.Config{"app": e.config.switcherConfig()}))
	h := &Handler{edge: e}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequest(http.MethodGet, "/a/path?with=query", nil)
		r.Header.Set("X-Tenant", "t1")
		r.Header.Set("Cookie", "greenroom_client=ABCDEFGHIJKLMNOPQRSTUVWXYZ; other=1")
		r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: "10.1.2.3"}))
		w := discard{make(http.Header)}
		for pb.Next() {
			clear(w.header)
			if err := h.ServeHTTP(w, r, nil); err != nil {
				b.Error(err)
			}
		}
	})
}

// discard is a ResponseWriter that keeps nothing but its header.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestWhatSurroundsForwardingCostsFewAllocations(t *testing.T) {
	e, _ := newTestEdge(t, new(Service), func(_ http.ResponseWriter, _ *http.Request, x *Exchange) error {
		x.Status = http.StatusOK
		return nil
	})
	h, w, r := &Handler{edge: e}, discard{make(http.Header)}, from("10.1.2.3", "/")
	n := testing.AllocsPerRun(1000, func() { _ = h.ServeHTTP(w, r, nil) })
	if n > 3 { // the trip, the entry, and its finish
		t.Errorf("%v allocations", n)
	}
}
