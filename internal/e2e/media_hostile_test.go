package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
)

// target is an edge with media_edge in front of an origin, another one that
// redirects, and an application behind both; all of them tell what they saw.
type target struct {
	*edge
	objects map[string][]byte // as the origin has them below /store

	mu    sync.Mutex
	wrong []string // guarded by mu: what must not have been asked of anyone
	asked int      // guarded by mu: of the origin
}

func newTarget(t *testing.T, options string) *target {
	t.Helper()
	g := &target{objects: map[string][]byte{
		"/a.mp4": film(300_000), "/dir/b.m4s": film(2 << 20), "/live.m3u8": []byte("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na.m4s\n"),
		"/c d+e=f.mp4": film(1000), "/€.mp4": film(2000),
	}}
	origin := httptest.NewServer(http.HandlerFunc(g.origin))
	t.Cleanup(origin.Close)
	application := httptest.NewServer(http.HandlerFunc(g.application))
	t.Cleanup(application.Close)
	keys := t.TempDir() + "/keys"
	if err := os.WriteFile(keys, []byte("one 00112233445566778899aabbccddeeff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := strings.TrimPrefix(application.URL, "http://")
	services := fmt.Sprintf("service app {\nblue %s\ngreen %s\ndrain_timeout 1s\n}", at, at)
	g.edge = newEdge(t, services)
	g.write(services, fmt.Sprintf(`log
	media_edge {
		name shelf
		path /media/
		all
		strip_prefix /media
		query v
		origin %s/store
		cors https://player.example.com
		cmcd_events /cmcd
		%s
	}
	media_edge {
		name cdn
		path /cdn/
		strip_prefix /cdn
		redirect https://cdn.example.com/base {
			sign akamai %s
		}
	}
	%s`, origin.URL, options, keys, siteBlueGreen))
	_, port, _ := net.SplitHostPort(g.http)
	g.rewrite(strings.NewReplacer("http://"+g.http+" {", "http://:"+port+" {", "https://localhost:", "https://:").Replace(g.config))
	g.start()
	g.healthy()
	return g
}

func (g *target) complain(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong = append(g.wrong, fmt.Sprintf(format, args...))
}

// expected are the fields that an origin may see.
var expected = []string{"User-Agent", "Via", "Accept-Encoding", "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}

func (g *target) origin(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.asked++
	g.mu.Unlock()
	raw, query, _ := strings.Cut(r.RequestURI, "?")
	canonical, err := plainpath.Canonical(raw)
	below, ok := strings.CutPrefix(canonical, "/store/")
	if err != nil || !ok || r.Method != http.MethodGet && r.Method != http.MethodHead || query != "" && !strings.HasPrefix(query, "v=") || r.ContentLength > 0 || len(r.TransferEncoding) > 0 {
		g.complain("the origin was asked: %s %.300q with a body of %d", r.Method, r.RequestURI, r.ContentLength)
	}
	for name, values := range r.Header {
		if !slices.Contains(expected, name) || len(values) != 1 || len(values[0]) > 5000 {
			g.complain("the origin was sent %s: %.300q", name, values)
		}
	}
	if encoding := r.Header.Get("Accept-Encoding"); encoding != "identity" {
		g.complain("the origin was asked for the encoding %q", encoding)
	}
	body, ok := g.objects["/"+below]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, len(body)))
	w.Header().Set("X-Origin-Secret", "origin") // is not to be passed on
	w.Header().Set("Set-Cookie", "origin=1")
	http.ServeContent(w, r, below, time.Unix(1_700_000_000, 0), bytes.NewReader(body))
}

// application also reads paths as careless servers do.
func (g *target) application(w http.ResponseWriter, r *http.Request) {
	read, _, _ := strings.Cut(r.RequestURI, "?")
	for range 4 {
		if next, err := url.PathUnescape(read); err == nil {
			read = next
		}
		read, _, _ = strings.Cut(path.Clean(strings.ReplaceAll(read, `\`, "/")), ";")
		if strings.HasPrefix(read, "/media/") || strings.HasPrefix(read, "/cdn/") && strings.HasSuffix(read, ".mp4") && path.Base(read) != ".mp4" {
			g.complain("the application was asked for media: %.300q", r.RequestURI)
		}
	}
	fmt.Fprint(w, "app")
}

func TestNoHostileRequestPassesAndNoneSpoilsAnything(t *testing.T) {
	for name, options := range map[string]string{"from the cache": "", "past the cache": "cache off"} {
		t.Run(name, func(t *testing.T) { newTarget(t, options).withstands(t) })
	}
}

// withstands throws all of the corpus at the target.
func (g *target) withstands(t *testing.T) {
	t.Helper()
	all := corpus()
	came, passed := make(map[string]int), 0
	judge := func(what, want, got string) {
		t.Helper()
		kind, _, _ := strings.Cut(got, " ")
		came[kind]++
		if !slices.Contains(strings.Split(want, "|"), got) {
			passed++
			t.Errorf("%.200q: %s; want %s", what, got, want)
		}
	}
	for _, h := range all {
		raw := strings.ReplaceAll(h.raw, "HOST", g.http)
		method, _, _ := strings.Cut(strings.TrimLeft(raw, "\r\n"), " ")
		judge(h.raw, h.want, g.verdict(method, throw(t, g.http, raw)))
	}
	two := overHTTP2()
	talk := newH2(t, "localhost:"+port(g.https))
	for _, h := range two {
		res, body := talk.throw(h.fields)
		got := no
		if res != nil {
			got = g.one(h.method(), res, body)
		}
		judge(fmt.Sprint(h.fields), h.want, got)
	}
	n := len(all) + len(two)
	if n < 300 {
		t.Errorf("only %d requests", n)
	}
	g.ordinary(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.wrong {
		t.Error(w)
	}
	if log := g.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "DATA RACE") {
		g.explain()
		t.Error("a panic or a data race in the edge")
	}
	t.Logf("%d hostile requests, %d passed: %v; the origin was asked %d times", n, passed, came, g.asked)
}

// ordinary asks for all that there is, as anyone does.
func (g *target) ordinary(t *testing.T) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	fetch := func(method, target, ranges string) (*http.Response, []byte) {
		r, err := http.NewRequest(method, "http://"+g.http+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Errorf("%s %s: %v", method, target, err)
		}
		return res, body
	}
	for p, object := range g.objects {
		escaped := (&url.URL{Path: p}).EscapedPath()
		res, body := fetch(http.MethodGet, "/media"+escaped, "")
		if res.StatusCode != http.StatusOK || !bytes.Equal(body, object) || res.Header.Get("ETag") != fmt.Sprintf(`"%d"`, len(object)) || strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d, %d bytes, %q", p, res.StatusCode, len(body), res.Header)
		}
		if res, body = fetch(http.MethodGet, "/media"+escaped, "bytes=5-14"); g.one(http.MethodGet, res, body) != "part "+p {
			t.Errorf("a part of %s: %d, %d bytes, %q", p, res.StatusCode, len(body), res.Header)
		}
		if res, _ = fetch(http.MethodHead, "/media"+escaped, ""); res.StatusCode != http.StatusOK || res.Header.Get("Content-Length") != strconv.Itoa(len(object)) {
			t.Errorf("the head of %s: %d, %q", p, res.StatusCode, res.Header)
		}
		if res, body = fetch(http.MethodGet, "/cdn"+escaped, ""); g.one(http.MethodGet, res, body) != "redirect "+p && path.Ext(p) != "" {
			t.Errorf("the redirect of %s: %d, %q", p, res.StatusCode, res.Header)
		}
	}
	for _, p := range []string{"/", "/page", "/private/secret.mp4", "/media", "/cdn", "/mediafoo/a.mp4"} {
		if res, body := fetch(http.MethodGet, p, ""); res.StatusCode != http.StatusOK || string(body) != app {
			t.Errorf("%s: %d %.100q", p, res.StatusCode, body)
		}
	}
}
