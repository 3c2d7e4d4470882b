package origin

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck"
)

var quick = healthcheck.Settings{Interval: 100 * time.Millisecond, Rise: 1, Fall: 1, HoldMin: time.Millisecond, FlapWindow: time.Millisecond}

func TestAnEndpointWhoseProbesFailIsNotAskedUntilTheyPass(t *testing.T) {
	first, second := newStore(t, media(10)), newStore(t, media(10))
	var down atomic.Bool
	first.tell(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/base/health" {
			if down.Load() {
				w.WriteHeader(500)
			}
			return
		}
		first.honest(w, r)
	})
	var logged lines
	o := made(t, Config{
		Endpoints: at(first.URL+"/base", second.URL), Check: &Check{Path: "/health", Settings: quick}, Header: http.Header{"X-Secret": {"hush"}},
		Log: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	healthy := func(want bool) func() bool { return func() bool { return o.Status().Endpoints[0].Healthy == want } }
	down.Store(true)
	eventually(t, "the first is out", healthy(false))
	if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || g.StatusCode != 200 || len(second.asked()) == 0 {
		t.Errorf("%v", g)
	}
	for _, r := range first.asked() {
		if r.URL.Path != "/base/health" || r.Method != "GET" || r.Header.Get("X-Secret") != "hush" || r.Header.Get("User-Agent") != "greenroom" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
	}
	if s := o.Status().Endpoints[0]; !strings.Contains(s.Reason, "status 500, want 200-299") {
		t.Errorf("%+v", s)
	}
	down.Store(false)
	eventually(t, "the first is back", healthy(true))
	fetch(t, o.Object("/a", ""), "GET", nil)
	all := first.asked()
	if !strings.Contains(logged.String(), "is not healthy") || strings.Contains(logged.String(), "hush") || len(all) == 0 {
		t.Error(logged.String())
	}
	asked := 0
	for _, r := range first.asked() {
		if r.URL.Path == "/base/a" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("the first was asked %d times", asked)
	}
}

func TestABucketIsProbedWithASignedHead(t *testing.T) {
	for path, want := range map[string]string{"": "/media/", "/a b": "/media/a%20b"} {
		s := bucket(t, media(10))
		o := made(t, Config{Endpoints: at(s.URL), S3: &S3{Bucket: "media", Signer: signer(t, "hush")}, Check: &Check{Path: path, Settings: quick}})
		eventually(t, "three probes", func() bool { return len(s.asked()) >= 3 })
		for _, r := range s.asked() {
			if r.Method != "HEAD" || r.RequestURI != want {
				t.Errorf("%s %s", r.Method, r.RequestURI)
			}
		}
		if !o.Status().Endpoints[0].Healthy {
			t.Errorf("%+v", o.Status())
		}
	}
}

func TestAProbeThatIsRedirectedFails(t *testing.T) {
	s := newStore(t, nil)
	s.tell(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	o := made(t, Config{Endpoints: at(s.URL), Check: &Check{Settings: quick}})
	eventually(t, "a verdict", func() bool { return !o.Status().Endpoints[0].Healthy })
	for _, r := range s.asked() {
		if r.RequestURI != "/" {
			t.Error("followed")
		}
	}
}

func TestAnEndpointWithTLSIsAskedOverHTTP1AndVerified(t *testing.T) {
	content := media(megabyte)
	s := newStore(t, content)
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = discardLog
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	o := made(t, Config{Endpoints: at(server.URL), TLS: &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}}})
	for range 3 {
		if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || !bytes.Equal(g.body, content) {
			t.Error(g.err)
		}
	}
	for _, r := range s.asked() {
		if r.ProtoMajor != 1 || r.RemoteAddr != s.asked()[0].RemoteAddr {
			t.Errorf("%s on %s", r.Proto, r.RemoteAddr)
		}
	}
	o = made(t, Config{Endpoints: at(server.URL)})
	fetch(t, o.Object("/a", ""), "GET", nil).wants(t, 502, "certificate")
}
