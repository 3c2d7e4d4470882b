package origin

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const ok = "HTTP/1.1 200 OK\r\n"

// endless writes the text over and over, until nobody reads any more.
func endless(first, text string) func(net.Conn) {
	return func(c net.Conn) {
		_, err := io.WriteString(c, first)
		for err == nil {
			_, err = io.WriteString(c, text)
		}
	}
}

// silent waits until the other side has closed.
func silent(first string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, first)
		_, _ = io.Copy(io.Discard, c)
	}
}

func TestAnAnswerThatLiesIsAnError(t *testing.T) {
	redirect := "\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n"
	part := "HTTP/1.1 206 Partial Content\r\n"
	ranged := http.Header{"Range": {"bytes=0-4"}}
	for name, c := range map[string]struct {
		answer func(net.Conn)
		send   http.Header
		status int
		text   string
	}{
		"301":                     {says("HTTP/1.1 301 Moved" + redirect), nil, 502, "status 301: a redirect is never followed"},
		"302":                     {says("HTTP/1.1 302 Found" + redirect), nil, 502, "status 302: a redirect"},
		"303":                     {says("HTTP/1.1 303 See" + redirect), nil, 502, "status 303: a redirect"},
		"307":                     {says("HTTP/1.1 307 Temporary" + redirect), nil, 502, "status 307: a redirect"},
		"308":                     {says("HTTP/1.1 308 Permanent" + redirect), nil, 502, "status 308: a redirect"},
		"300":                     {says("HTTP/1.1 300 Choices" + redirect), nil, 502, "status 300: a redirect"},
		"304 to no condition":     {says("HTTP/1.1 304 Not Modified\r\n\r\n"), ranged, 502, "status 304 without"},
		"206 to no range":         {says(part + "Content-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\nabcde"), nil, 502, "status 206 without a Range"},
		"206 without a range":     {says(part + "Content-Length: 5\r\n\r\nabcde"), ranged, 502, "status 206 without exactly one Content-Range"},
		"206 with two ranges":     {says(part + "Content-Range: bytes 0-4/10\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde"), ranged, 502, "exactly one"},
		"206 of another length":   {says(part + "Content-Range: bytes 0-4/10\r\nContent-Length: 6\r\n\r\nabcdef"), ranged, 502, "not that of its Content-Range"},
		"206 of another part":     {says(part + "Content-Range: bytes 1-5/10\r\nContent-Length: 5\r\n\r\nbcdef"), ranged, 502, "another part"},
		"206 unsatisfied":         {says(part + "Content-Range: bytes */10\r\nContent-Length: 6\r\n\r\nabcdef"), ranged, 502, "cannot be read"},
		"101":                     {says("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"), nil, 502, "status 101"},
		"999":                     {says("HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"), nil, 502, "status 999"},
		"until it closes":         {says(ok + "\r\nabc"), nil, 502, "cannot be told from a cut"},
		"HTTP/1.0":                {says("HTTP/1.0 200 OK\r\n\r\nabc"), nil, 502, "cannot be told from a cut"},
		"two lengths":             {says(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), nil, 502, "Content-Length"},
		"no length":               {says(ok + "Content-Length: -1\r\n\r\nab"), nil, 502, "Content-Length"},
		"other transfer encoding": {says(ok + "Transfer-Encoding: gzip\r\n\r\nab"), nil, 502, "transfer encoding"},
		"no HTTP":                 {says("\x1b[31mEVIL\r\n\r\n"), nil, 502, "malformed"},
		"nothing":                 {says(""), nil, 502, "EOF"},
		"half a head":             {says(ok + "Content-"), nil, 502, "malformed"},
		"a head without end":      {endless(ok, "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"), nil, 502, "exceeded"},
		"a line without end":      {endless(ok+"X-A: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), nil, 502, "exceeded"},
		"1xx without end":         {endless("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), nil, 502, "exceeded"},
		"short":                   {says(ok + "Content-Length: 10\r\n\r\nabc"), nil, 502, "the body: unexpected EOF"},
		"short part":              {says(part + "Content-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\nabc"), ranged, 502, "the body: unexpected EOF"},
		"chunks without end":      {says(ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), nil, 502, "the body: unexpected EOF"},
		"half a chunk":            {says(ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"), nil, 502, "the body: unexpected EOF"},
		"broken chunks":           {says(ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n"), nil, 502, "the body: "},
		"chunks of no size":       {says(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"), nil, 502, "the body: "},
	} {
		o := made(t, Config{Endpoints: at(raw(t, c.answer)), Timeouts: Timeouts{Head: time.Minute}})
		g := fetch(t, o.Object("/a", ""), "GET", c.send)
		g.wants(t, c.status, c.text)
		if g.err != nil && (strings.ContainsAny(g.err.Error(), "\x1b\r\n") || len(g.err.Error()) > 2*maxReason || strings.Contains(g.err.Error(), "169.254")) {
			t.Errorf("%s: %q", name, g.err)
		}
		if s := o.Status(); s.Endpoints[0].InFlight != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestNobodyButTheEndpointIsDialed(t *testing.T) {
	second := newStore(t, media(10))
	second.tell(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	})
	o, err := New(Config{Name: "vod", Endpoints: at(nobody(t), second.URL)})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var dialed []string
	inner := o.dial
	o.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		dialed = append(dialed, addr)
		return inner(ctx, network, addr)
	}
	run(t, o)
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:3128")
	fetch(t, o.Object("/a", ""), "GET", nil).wants(t, 502, "redirect")
	if s := o.Status(); !s.Endpoints[1].Healthy || s.Endpoints[1].Failures != 0 {
		t.Errorf("a redirect is the object's, and blames the endpoint: %+v", s)
	}
	if len(dialed) != 2 || dialed[0] != o.endpoints[0].addr || dialed[1] != o.endpoints[1].addr {
		t.Errorf("%q", dialed)
	}
	r, _ := http.NewRequest("GET", "http://169.254.169.254/", nil)
	if _, err := o.endpoints[0].transport.RoundTrip(r); err == nil || !strings.Contains(err.Error(), "is not an endpoint") {
		t.Error(err)
	}
}

func TestAnEndpointThatTakesTooLongIsATimeout(t *testing.T) {
	drip := func(c net.Conn) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for _, err := io.WriteString(c, ok+"X-A: "); err == nil; _, err = c.Write([]byte("a")) {
			<-tick.C
		}
	}
	for name, c := range map[string]struct {
		answer func(net.Conn)
		text   string
	}{
		"says nothing":       {silent(""), "no head of a response in time"},
		"half a head":        {silent(ok), "no head"},
		"one 1xx":            {silent("HTTP/1.1 100 Continue\r\n\r\n"), "no head"},
		"drips a head":       {drip, "no head"},
		"a body that stops":  {silent(ok + "Content-Length: 10\r\n\r\nabc"), "the body: no bytes of the body in time"},
		"a chunk that stops": {silent(ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"), "the body: no bytes"},
	} {
		timeouts := Timeouts{Head: time.Minute, Idle: 100 * time.Millisecond}
		if strings.HasPrefix(c.text, "no head") {
			timeouts = Timeouts{Head: 100 * time.Millisecond, Idle: time.Minute}
		}
		o := made(t, Config{Endpoints: at(raw(t, c.answer)), Timeouts: timeouts})
		g := fetch(t, o.Object("/a", ""), "GET", nil)
		g.wants(t, 504, c.text)
		if s := o.Status().Endpoints[0]; s.InFlight != 0 || s.Failures != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestAnInformationalResponseIsIgnored(t *testing.T) {
	s := raw(t, says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nETag: \"no\"\r\n\r\n"+ok+"Content-Length: 3\r\n\r\nabc"))
	g := fetch(t, made(t, Config{Endpoints: at(s)}).Object("/a", ""), "GET", nil)
	if g.err != nil || string(g.body) != "abc" || len(g.Header) != 1 {
		t.Errorf("%v %v", g.Header, g.err)
	}
}

func TestOnlyFieldsOfUseComeBack(t *testing.T) {
	use := "Content-Type: video/mp4\r\nContent-Encoding: br\r\nContent-Language: de\r\nContent-Disposition: inline\r\nETag: \"v1\"\r\nLast-Modified: Fri, 01 May 2026 12:00:00 GMT\r\n" +
		"Accept-Ranges: bytes\r\nCache-Control: max-age=1\r\nCache-Control: public\r\nCDN-Cache-Control: max-age=9\r\nExpires: 0\r\nDate: Fri, 01 May 2026 13:00:00 GMT\r\nAge: 3\r\nCache-Status: up; hit\r\nRetry-After: 4\r\n"
	none := "Set-Cookie: a=b\r\nServer: evil\r\nX-Amz-Request-Id: 1\r\nX-Amz-Meta-A: b\r\nX-Minio-Deployment-Id: 1\r\nAlt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\nAccess-Control-Allow-Origin: *\r\n" +
		"Connection: close, X-A\r\nX-A: b\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nWww-Authenticate: Basic\r\nUpgrade: h2c\r\nTrailer: X-T\r\nVary: Cookie\r\nLocation: http://evil.example\r\nRefresh: 0\r\nLink: </a>\r\n" +
		"Clear-Site-Data: *\r\nContent-Security-Policy: x\r\nX-Accel-Redirect: /a\r\nX-Sendfile: /etc/passwd\r\nReport-To: x\r\nVia: 1.1 a\r\nP3p: x\r\nContent-Location: /b\r\n"
	s := raw(t, says(ok+use+none+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: evil\r\n\r\n"))
	g := fetch(t, made(t, Config{Endpoints: at(s)}).Object("/a", ""), "GET", nil)
	if g.err != nil || string(g.body) != "abc" || g.ContentLength != -1 {
		t.Fatal(g.err)
	}
	want := map[string]int{}
	for line := range strings.SplitSeq(strings.TrimSpace(use), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		name = http.CanonicalHeaderKey(name)
		want[name]++
		if vv := g.Header[name]; len(vv) < want[name] || vv[want[name]-1] != value {
			t.Errorf("%s: %q", name, vv)
		}
	}
	if len(g.Header) != len(want) || g.Request != nil || g.Trailer != nil || g.TLS != nil || !slices.Equal(g.TransferEncoding, []string{"chunked"}) {
		t.Errorf("%v", g.Response)
	}

	s = raw(t, says(ok+"ETag: \"a\"\r\nETag: \"b\"\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 3\r\n\r\nabc"))
	if g := fetch(t, made(t, Config{Endpoints: at(s)}).Object("/a", ""), "GET", nil); len(g.Header) != 1 || g.Header.Get("Content-Length") != "3" {
		t.Errorf("of two values: %v", g.Header)
	}
}
