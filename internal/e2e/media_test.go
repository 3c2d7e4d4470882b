package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// archive is an origin of media that counts what it is asked.
type archive struct {
	*httptest.Server
	asked   atomic.Int64
	objects map[string][]byte
	slow    chan struct{} // not nil: bodies pause in their middle until it is closed
}

func newArchive(t testing.TB, objects map[string][]byte) *archive {
	t.Helper()
	l := &archive{objects: objects}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.asked.Add(1)
	body, ok := l.objects[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d-%x"`, len(body), body[:min(8, len(body))]))
	if l.slow != nil {
		w = &pausing{w, len(body) / 2, l.slow}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// pausing stops after so many bytes until it is let go on.
type pausing struct {
	http.ResponseWriter
	left int
	on   chan struct{}
}

func (p *pausing) Write(b []byte) (int, error) {
	if p.left > 0 && len(b) >= p.left {
		n, err := p.ResponseWriter.Write(b[:p.left])
		b, p.left = b[n:], 0
		_ = http.NewResponseController(p.ResponseWriter).Flush()
		<-p.on
		if err != nil {
			return n, err
		}
		more, err := p.ResponseWriter.Write(b)
		return n + more, err
	}
	p.left -= len(b)
	return p.ResponseWriter.Write(b)
}

// mediaEdge is an edge whose media_edge has the options; all else is the
// service "app", which fails the test when it is asked for media.
func mediaEdge(t testing.TB, options string) *edge {
	t.Helper()
	return mediaSite(t, "media_edge {\n"+options+"\n}")
}

// mediaSite is mediaEdge with whole directives.
func mediaSite(t testing.TB, directives string) *edge {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/media/") || strings.HasPrefix(r.URL.Path, "/raw/") {
			t.Errorf("the application was asked for %s", r.URL)
		}
		fmt.Fprint(w, "app")
	}))
	t.Cleanup(app.Close)
	at := strings.TrimPrefix(app.URL, "http://")
	services := fmt.Sprintf("service app {\nblue %s\ngreen %s\ndrain_timeout 1s\n}", at, at)
	e := newEdge(t, services)
	e.write(services, directives+"\n"+siteBlueGreen)
	e.start()
	e.healthy()
	return e
}

func TestAThousandClientsOnAColdSegmentAreOneFetch(t *testing.T) {
	segment := film(3 << 20)
	origin := newArchive(t, map[string][]byte{"/seg1.m4s": segment})
	origin.slow = make(chan struct{})
	e := mediaEdge(t, "path /media/\nstrip_prefix /media\norigin "+origin.URL+" {\nidle_timeout 5m\n}") // it pauses for all of them

	clients := 1000
	if raceFlag == "-race" {
		clients = 200 // each byte that is read costs ten times as much
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 0}}
	var begun, wrong atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			res, err := client.Get("http://" + e.http + "/media/seg1.m4s?CMCD=sid%3D%22" + fmt.Sprint(i) + "%22")
			if err != nil {
				wrong.Add(1)
				begun.Add(1)
				t.Error(err)
				return
			}
			defer res.Body.Close()
			first := make([]byte, 1000)
			_, err = io.ReadFull(res.Body, first)
			begun.Add(1)
			if i%10 == 3 {
				return // leaves in the middle
			}
			rest, err2 := io.ReadAll(res.Body)
			if err != nil || err2 != nil || !bytes.Equal(append(first, rest...), segment) {
				wrong.Add(1)
				t.Errorf("%d bytes, %v, %v, %s", len(first)+len(rest), err, err2, res.Header["Cache-Status"])
			}
		})
	}
	e.until("all clients have begun to read", func() bool { return begun.Load() == int64(clients) })
	close(origin.slow)
	all.Wait()
	client.CloseIdleConnections()
	if n := origin.asked.Load(); n != 1 || wrong.Load() != 0 {
		t.Errorf("the origin was asked %d times, %d clients did not have the segment", n, wrong.Load())
	}
}

func TestACutoverChangesNothingOfMedia(t *testing.T) {
	origin := newArchive(t, map[string][]byte{"/a.mp4": film(5 << 20), "/b.m4s": film(100_000)})
	e := mediaEdge(t, "name vod\npath /media/\nstrip_prefix /media\norigin "+origin.URL)
	get := func(path, ranges string) (string, []byte) {
		t.Helper()
		r, _ := http.NewRequest(http.MethodGet, "http://"+e.http+path, nil)
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.Header.Get("Cache-Status"), body
	}
	get("/media/a.mp4", "")
	get("/media/b.m4s", "")
	cold := origin.asked.Load()
	for _, to := range []string{"green", "blue", "green"} {
		if out := e.cli("cutover", "app", "--to", to); out.code != 0 {
			t.Fatal(out)
		}
		e.reload()
		for path, want := range map[string][]byte{"/media/a.mp4": origin.objects["/a.mp4"][1_000_000:3_000_001], "/media/b.m4s": origin.objects["/b.m4s"]} {
			ranges := ""
			if path == "/media/a.mp4" {
				ranges = "bytes=1000000-3000000"
			}
			status, body := get(path, ranges)
			if !strings.Contains(status, "; hit") || !bytes.Equal(body, want) {
				t.Errorf("%s after a cutover to %s: %s, %d bytes", path, to, status, len(body))
			}
		}
	}
	if n := origin.asked.Load(); n != cold {
		t.Errorf("the origin was asked %d times, then %d", cold, n)
	}
	if out := e.cli("purge", "--prefix", "/media/"); out.code != 0 || !strings.Contains(out.stdout, "2") {
		t.Errorf("purge: %s", out)
	}
	if status, _ := get("/media/b.m4s", ""); strings.Contains(status, "; hit") {
		t.Errorf("after a purge: %s", status)
	}
	if out := e.cli("media"); out.code != 0 || !strings.Contains(out.stdout, "vod") {
		t.Errorf("media: %s", out)
	}
}

func TestARedirectIsSignedAndItsTokenIsInNoLog(t *testing.T) {
	e := newEdge(t, "service app {\nblue 127.0.0.1:1\n}")
	keys := e.dir + "/keys"
	if err := os.WriteFile(keys, []byte("demo 0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.write("service app {\nblue 127.0.0.1:1\n}", "log\nencode gzip\nmedia_edge {\nredirect http://cdn.example.com/base {\nsign akamai "+keys+
		" {\nparameter hdnts\ndirectory\n}\n}\n}\n"+siteBlueGreen)
	e.start()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, _ := http.NewRequest(http.MethodGet, "http://"+e.http+"/vod/master.m3u8?evil=1&CMCD=sid&hdnts=clientsecret", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	location := res.Header.Get("Location")
	if res.StatusCode != http.StatusFound || !strings.HasPrefix(location, "http://cdn.example.com/base/vod/master.m3u8?hdnts=") ||
		strings.Contains(location, "evil") || !strings.Contains(location, "hmac=") || !strings.HasPrefix(res.Header.Get("Cache-Control"), "private, max-age=") {
		t.Fatalf("%d %q", res.StatusCode, res.Header)
	}
	e.until("the request is logged", func() bool { return strings.Contains(e.log.String(), "handled request") })
	for _, secret := range []string{"clientsecret", "hmac=", "0123456789abcdef"} {
		if strings.Contains(e.log.String(), secret) {
			t.Errorf("the log has %q:\n%s", secret, e.log)
		}
	}
	if !strings.Contains(e.log.String(), "/vod/master.m3u8") || !strings.Contains(e.log.String(), `"status":302`) {
		t.Errorf("the log does not tell of the request:\n%s", e.log)
	}
}
