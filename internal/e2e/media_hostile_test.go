package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
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

func newTarget(t *testing.T) *target {
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
	}
	media_edge {
		name cdn
		path /cdn/
		strip_prefix /cdn
		redirect https://cdn.example.com/base {
			sign akamai %s
		}
	}
	%s`, origin.URL, keys, siteBlueGreen))
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

// throw sends raw bytes on a connection of their own, and returns what comes back.
func throw(t testing.TB, address, raw string) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, closes := strings.CutSuffix(raw, shut)
	go func() {
		_, _ = io.WriteString(conn, raw) // the edge may have had enough of it
		if closes {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	answer, err := io.ReadAll(conn)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Errorf("%.200q: no end of the answer", raw)
	}
	return answer
}

// verdict says what came of a request: no, app, none, "media <path>", "part
// <path>" or "redirect <path>" for what is as it has to be, else what is wrong.
// All answers on the connection count.
func (g *target) verdict(method string, answer []byte) string {
	found := no
	in := bufio.NewReader(bytes.NewReader(answer))
	for first := true; ; first = false {
		if _, err := in.Peek(1); err != nil {
			return found
		}
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return "an answer that cannot be read: " + err.Error()
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return cut
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		one := g.one(method, res, body)
		if first || one != no {
			found = one
		}
	}
}

func (g *target) one(method string, res *http.Response, body []byte) string {
	for name := range res.Header {
		if strings.HasPrefix(name, "X-Injected") || name == "X-Origin-Secret" || name == "Set-Cookie" {
			return "a field that must not be there: " + name
		}
	}
	if origin := res.Header["Access-Control-Allow-Origin"]; len(origin) > 0 && !slices.Equal(origin, []string{"https://player.example.com"}) {
		return fmt.Sprintf("access is allowed to %q", origin)
	}
	switch code := res.StatusCode; {
	case code >= 400:
		if bytes.Contains(body, []byte("X-Injected")) {
			return "an error that says what was asked"
		}
		return no
	case code == http.StatusNoContent, code == http.StatusNotModified, method == http.MethodOptions && len(body) == 0:
		return none
	case code >= 300:
		return redirected(res.Header["Location"])
	case code == http.StatusPartialContent:
		return g.part(res, body)
	case code == http.StatusOK && string(body) == app:
		return app
	case code == http.StatusOK && method == http.MethodHead:
		for p, object := range g.objects {
			if res.ContentLength == int64(len(object)) {
				return "media " + p
			}
		}
	case code == http.StatusOK:
		for p, object := range g.objects {
			if bytes.Equal(object, body) {
				return "media " + p
			}
		}
	}
	return fmt.Sprintf("status %d with a body of %d bytes: %.100q", res.StatusCode, len(body), body)
}

// redirected is the path that a signed redirect leads to.
func redirected(locations []string) string {
	if len(locations) != 1 {
		return fmt.Sprintf("%d fields Location", len(locations))
	}
	u, err := url.Parse(locations[0])
	if err != nil || u.Scheme != "https" || u.Host != "cdn.example.com" || u.User != nil || u.Fragment != "" || !strings.HasPrefix(locations[0], "https://cdn.example.com/base/") {
		return "a redirect to " + locations[0]
	}
	p, err := plainpath.Canonical(u.EscapedPath())
	query, _ := url.ParseQuery(u.RawQuery)
	token := query.Get("__token__")
	if err != nil || len(query) != 1 || !strings.Contains(token, "~hmac=") || strings.Contains(token, "acl=") {
		return "a redirect to " + locations[0]
	}
	return "redirect " + strings.TrimPrefix(p, "/base")
}

// part finds the object that each of the parts is of.
func (g *target) part(res *http.Response, body []byte) string {
	kind, parameters, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "multipart/byteranges" {
		return g.slice(res.Header.Get("Content-Range"), body)
	}
	found := ""
	for parts := multipart.NewReader(bytes.NewReader(body), parameters["boundary"]); ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			return found
		}
		if err != nil {
			return "parts that cannot be read: " + err.Error()
		}
		content, _ := io.ReadAll(p)
		if found = g.slice(p.Header.Get("Content-Range"), content); !strings.HasPrefix(found, "part ") {
			return found
		}
	}
}

func (g *target) slice(contentRange string, body []byte) string {
	var first, last, size int
	if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size); err == nil {
		for p, object := range g.objects {
			if len(object) == size && first <= last && last < size && bytes.Equal(object[first:last+1], body) {
				return "part " + p
			}
		}
	}
	return fmt.Sprintf("a part %q with %d bytes of nothing that is known", contentRange, len(body))
}

func TestNoHostileRequestPassesAndNoneSpoilsAnything(t *testing.T) {
	g := newTarget(t)
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
