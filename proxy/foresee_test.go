package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// heads is an upstream that tells the heads of what it gets, and answers "ok".
func heads(t *testing.T) (addr string, seen chan string) {
	seen = make(chan string, 16)
	return rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		for {
			head := readHead(br)
			if head == "" {
				return
			}
			seen <- head
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}), seen
}

func TestARequestWithoutContentIsNoneOfUnknownLengthUpstream(t *testing.T) {
	upstream, seen := heads(t)
	h := secureHouse(t, pair("app", upstream, upstream))
	for name, transport := range anyHTTP(t) {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, http.MethodPost, "PROPFIND"} {
			until(t, name+": a "+method+" goes on without content", func() bool { // at once, unless the machine stands still
				roundTrip(t, transport, method, h.url("https", "/"), nil).Body.Close()
				return !strings.Contains(strings.ToLower(receive(t, seen)), "\r\ntransfer-encoding:")
			})
		}
	}
}

func TestAGETWithContentGoesOnWholeOverAnyHTTP(t *testing.T) {
	begun := make(chan struct{}, 1)
	upstream := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		content, _ := io.ReadAll(r.Body) // HTTP/1 servers answer when they have read
		_, _ = w.Write(content)
	})
	h := secureHouse(t, pair("app", upstream, upstream))
	for name, transport := range anyHTTP(t) {
		for _, text := range []string{"x", strings.Repeat("long ", 100_000)} {
			res := roundTrip(t, transport, http.MethodGet, h.url("https", "/"), struct{ io.Reader }{strings.NewReader(text)})
			equal(t, name+": echo", readAll(t, res.Body) == text, true)
			receive(t, begun)
		}
		// Content that waits for the request to have arrived.
		pr, pw := io.Pipe()
		go func() {
			<-begun
			_, _ = io.WriteString(pw, "late")
			pw.Close()
		}()
		res := roundTrip(t, transport, http.MethodGet, h.url("https", "/"), pr)
		equal(t, name+": late echo", readAll(t, res.Body), "late")
	}
}

func TestAnAnswerBeforeAGETsContentEndsTheReading(t *testing.T) {
	upstream, seen := heads(t)
	h := secureHouse(t, pair("app", upstream, upstream))
	for name, transport := range anyHTTP(t) {
		pr, pw := io.Pipe()
		res := roundTrip(t, transport, http.MethodGet, h.url("https", "/"), pr)
		equal(t, name, readAll(t, res.Body), "ok")
		res.Body.Close()
		pw.Close()
		receive(t, seen)
	}
}
