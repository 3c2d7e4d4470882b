package healthcheck

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var discardLog = log.New(io.Discard, "", 0)

func answer(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func mustStatus(t *testing.T, text string) StatusSet {
	t.Helper()
	set, err := ParseStatusSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestAnHTTPProbePassesOnTheWantedStatus(t *testing.T) {
	wantPass(t, HTTP{}, serveHTTP(t, answer(200, "")))
	wantPass(t, HTTP{}, "tcp/"+serveHTTP(t, answer(204, "")))
	wantPass(t, HTTP{Status: mustStatus(t, "4xx")}, serveHTTP(t, answer(401, "")))
	wantFailure(t, HTTP{}, serveHTTP(t, answer(503, "")), "status 503, want 200-299")
	wantFailure(t, HTTP{Status: mustStatus(t, "200,204")}, serveHTTP(t, answer(201, "")), "status 201, want 200,204")
}

func TestAnHTTPProbeSendsWhatItIsTold(t *testing.T) {
	seen := make(chan string, 1)
	address := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		seen <- fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.Header["X-A"], " ", r.UserAgent(), " ", r.Close)
	})
	for _, c := range []struct {
		probe HTTP
		want  string
	}{
		{HTTP{}, "GET / " + address + " [] greenroom-healthcheck true"},
		{
			HTTP{Method: "HEAD", Path: "/a%2Fb/ready?deep=1&x=%20", Host: "app.example:81", Headers: http.Header{"x-a": {"1", "2"}, "User-Agent": {"me"}}},
			"HEAD /a%2Fb/ready?deep=1&x=%20 app.example:81 [1 2] me true",
		},
	} {
		wantPass(t, c.probe, address)
		if got := <-seen; got != c.want {
			t.Errorf("the upstream saw\n %s, want\n %s", got, c.want)
		}
	}
}

func TestEachHTTPProbeOpensAConnectionOfItsOwn(t *testing.T) {
	seen := make(chan string, 2)
	address := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.RemoteAddr })
	wantPass(t, HTTP{}, address)
	wantPass(t, HTTP{}, address)
	if first, second := <-seen, <-seen; first == second {
		t.Errorf("both probes came from %s", first)
	}
}

func TestARedirectIsAStatusAndIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed.Store(true)
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	wantFailure(t, HTTP{}, address, "status 302, want 200-299")
	wantPass(t, HTTP{Status: mustStatus(t, "302")}, address)
	if followed.Load() {
		t.Error("the redirect was followed")
	}
}

func TestABodyMustMatchWithinItsBound(t *testing.T) {
	ok := regexp.MustCompile(`^ok$|late`)
	wantPass(t, HTTP{BodyMatch: ok}, serveHTTP(t, answer(200, "ok")))
	wantFailure(t, HTTP{BodyMatch: ok}, serveHTTP(t, answer(200, "starting")),
		`body does not match "^ok$|late" (first 8 bytes: "starting")`)
	wantFailure(t, HTTP{BodyMatch: ok}, serveHTTP(t, answer(200, "")),
		`body does not match "^ok$|late" (first 0 bytes: "")`)
	wantFailure(t, HTTP{BodyMatch: ok}, serveHTTP(t, answer(500, "ok")), "status 500, want 200-299")

	late := serveHTTP(t, answer(200, strings.Repeat("x", 100)+"late"))
	wantPass(t, HTTP{BodyMatch: ok, MaxBody: 104}, late)
	wantFailure(t, HTTP{BodyMatch: ok, MaxBody: 103}, late,
		`body does not match "^ok$|late" (first 64 bytes: "`+strings.Repeat("x", 64)+`")`)
}

func TestAnEndlessBodyIsReadOnlyUpToItsBound(t *testing.T) {
	endless := serveRaw(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
		for chunk := []byte(strings.Repeat("x", 4096)); ; {
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	})
	wantPass(t, HTTP{}, endless)
	wantFailure(t, HTTP{BodyMatch: regexp.MustCompile("ok")}, endless,
		`body does not match "ok" (first 64 bytes: "`+strings.Repeat("x", 64)+`")`)
}

func TestHugeAndEndlessHeadersAreRefused(t *testing.T) {
	endless := serveRaw(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
		for line := []byte("X-A: " + strings.Repeat("x", 1000) + "\r\n"); ; {
			if _, err := conn.Write(line); err != nil {
				return
			}
		}
	})
	wantFailure(t, HTTP{}, endless, "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted")
}

func TestAnAnswerThatIsNotHTTPFailsAndSaysSo(t *testing.T) {
	raw := func(text string) string {
		return serveRaw(t, func(conn net.Conn) { io.WriteString(conn, text) })
	}
	wantFailure(t, HTTP{}, raw(""), "connection closed without an answer")
	wantFailure(t, HTTP{}, raw("HTTP/1.1 200 OK\r\n"), "connection closed in the middle of the answer")
	wantFailure(t, HTTP{}, raw("SSH-2.0-x\r\n\r\n"), `net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-x"`)
	wantFailure(t, HTTP{BodyMatch: regexp.MustCompile("ok")}, raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
		"connection closed in the middle of the answer")
	wantFailure(t, HTTP{}, "unix//nonexistent/s", "dial unix /nonexistent/s: connect: no such file or directory")
	closed := closedAddress(t)
	wantFailure(t, HTTP{}, closed, "dial tcp "+closed+": connect: connection refused")
}

func TestControlCharactersOfAnUpstreamAreEscapedAndItsTextIsBounded(t *testing.T) {
	body := serveHTTP(t, answer(200, "\x1b[2J\r\n\x00\u202e\xff"))
	wantFailure(t, HTTP{BodyMatch: regexp.MustCompile("ok")}, body,
		`body does not match "ok" (first 11 bytes: "\x1b[2J\r\n\x00\u202e\xff")`)

	header := serveRaw(t, func(conn net.Conn) {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n\x1b[31m%s\r\n\r\n", strings.Repeat("x", 1000))
	})
	err := check(t, HTTP{}, header)
	if err == nil || strings.ContainsRune(err.Error(), 0x1b) || !strings.Contains(err.Error(), `\x1b[31mxxx`) || len(err.Error()) > maxText+3 {
		t.Errorf("got %q", err)
	}
}

func TestAServerThatHangsTimesOut(t *testing.T) {
	silent := serveRaw(t, hang)
	stalled := serveRaw(t, func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nstill")
		hang(conn)
	})
	for _, c := range []struct {
		probe   Probe
		address string
	}{
		{HTTP{}, silent},
		{HTTP{TLS: insecureTLS}, silent},
		{HTTP{BodyMatch: regexp.MustCompile("ok")}, stalled},
		{TCP{TLS: insecureTLS}, silent},
		{GRPC{}, silent},
		{GRPC{TLS: insecureTLS}, silent},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := c.probe.Probe(ctx, c.address); err == nil || !strings.HasPrefix(err.Error(), "no answer within ") {
			t.Errorf("%v: %v, want no answer within about 50ms", c.probe, err)
		}
		cancel()
	}
}

func TestAProbeEndsWhenItsContextIsCanceled(t *testing.T) {
	for _, probe := range []Probe{HTTP{}, TCP{TLS: insecureTLS}, GRPC{}} {
		ctx, cancel := context.WithCancel(t.Context())
		address := serveRaw(t, func(conn net.Conn) { cancel(); hang(conn) })
		if err := probe.Probe(ctx, address); err != context.Canceled {
			t.Errorf("%v: %v, want context.Canceled", probe, err)
		}
	}
}

func TestAnHTTPProbeSpeaksTLSAndChecksTheName(t *testing.T) {
	names := make(chan string, 1)
	address, trust := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) { names <- r.TLS.ServerName + " " + r.Host + " " + r.Proto })
	trust.NextProtos = []string{"h2"}
	wantPass(t, HTTP{TLS: trust}, address)
	if got, want := <-names, " "+address+" HTTP/1.1"; got != want {
		t.Errorf("the upstream saw %q, want %q", got, want)
	}
	wantPass(t, HTTP{TLS: trust, Host: "example.com:443"}, address)
	if got, want := <-names, "example.com example.com:443 HTTP/1.1"; got != want {
		t.Errorf("the upstream saw %q, want %q", got, want)
	}
	wantFailure(t, HTTP{TLS: trust, Host: "other.test"}, address,
		"tls handshake: tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not other.test")
	wantFailure(t, HTTP{}, address, "status 400, want 200-299")
	wantFailure(t, HTTP{TLS: insecureTLS}, serveHTTP(t, answer(200, "")),
		"tls handshake: tls: first record does not look like a TLS handshake")
}

func TestAnHTTPProbeSpeaksOverAUnixSocket(t *testing.T) {
	l, address := listenUnix(t)
	hosts := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host })}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	wantPass(t, HTTP{}, address)
	if got := <-hosts; got != "localhost" {
		t.Errorf("Host was %q, want localhost", got)
	}
}

func TestAnHTTPProbeThatCannotBeSentIsRefusedBeforeItRuns(t *testing.T) {
	for want, probe := range map[string]HTTP{
		`path "healthz": want a leading slash`:                    {Path: "healthz"},
		`path "/%zz": invalid URL escape "%zz"`:                   {Path: "/%zz"},
		`method "A B": net/http: invalid method "A B"`:            {Method: "A B"},
		`host "a b": want name or name:port`:                      {Host: "a b"},
		`host "a/b": want name or name:port`:                      {Host: "a/b"},
		`max_body -1: want 1 to 16777216 bytes`:                   {MaxBody: -1},
		`max_body 16777217: want 1 to 16777216 bytes`:             {MaxBody: 16<<20 + 1},
		`path "/a\nb": net/url: invalid control character in URL`: {Path: "/a\nb"},
	} {
		if err := probe.Validate(); err == nil || err.Error() != want {
			t.Errorf("Validate:\n got %v\nwant %s", err, want)
		}
	}
	if err := (HTTP{Path: "//a?b#c", Host: "[::1]:80"}).Validate(); err != nil {
		t.Errorf("a valid probe was refused: %v", err)
	}
}

func TestProbesNameThemselves(t *testing.T) {
	for want, probe := range map[string]Probe{
		"http GET /":            HTTP{},
		"https HEAD /healthz":   HTTP{Method: "HEAD", Path: "/healthz", TLS: insecureTLS},
		"tcp":                   TCP{},
		"tcp+tls":               TCP{TLS: insecureTLS},
		"grpc":                  GRPC{},
		"grpc my.Service":       GRPC{Service: "my.Service"},
		"grpc+tls media.Player": GRPC{Service: "media.Player", TLS: insecureTLS},
	} {
		if got := probe.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
