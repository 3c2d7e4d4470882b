package proxy

//lint:file-ignore SA1019 net/http's Transport does not send an extended CONNECT

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// briefTimeouts are a global option: either side of a body is waited for a moment only.
const briefTimeouts = "servers {\ntimeouts {\nread_body_idle 150ms\nwrite_idle 150ms\n}\n}"

// idleHouse is a secure house that waits only a moment for a client's body.
func idleHouse(t *testing.T, services string) *house {
	t.Helper()
	h := newHouse(t)
	h.secure = true
	h.globals = briefTimeouts
	h.load(services, "blue_green app")
	h.healthy("app")
	h.certified()
	return h
}

// swallowing is an upstream that reads a body and answers "whole" at its end.
// At /duplex it answers each line as it comes, after its head.
func swallowing(t *testing.T) string {
	return upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/duplex" {
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				_, _ = io.WriteString(w, "whole")
			}
			return
		}
		rc := http.NewResponseController(w)
		must(t, rc.EnableFullDuplex())
		must(t, rc.Flush())
		for in := bufio.NewReader(r.Body); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, strings.ToUpper(line))
			_ = rc.Flush()
		}
	})
}

// firstThen writes "first", and goes on when it is told, or the client has left.
func firstThen(w http.ResponseWriter, r *http.Request, goOn <-chan struct{}) {
	_, _ = io.WriteString(w, "first")
	_ = http.NewResponseController(w).Flush()
	select {
	case <-goOn:
	case <-r.Context().Done():
	}
}

// begin sends a request for what begins with "first", and reads that.
func begin(t *testing.T, transport http.RoundTripper, url string) *http.Response {
	t.Helper()
	res := roundTrip(t, transport, http.MethodGet, url, nil)
	_, err := io.ReadFull(res.Body, make([]byte, len("first")))
	must(t, err)
	return res
}

// rest is what still comes of a response, and how it ends.
func rest(res *http.Response) string {
	text, err := io.ReadAll(res.Body)
	return fmt.Sprintf("%q %v", text, err)
}

// beginUpload begins a request whose body goes on until out is closed.
func beginUpload(t *testing.T, transport http.RoundTripper, url string, size int64) (answer chan *http.Response, out *io.PipeWriter) {
	t.Helper()
	body, out := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() { cancel(); out.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	must(t, err)
	r.ContentLength = size
	answer = make(chan *http.Response, 1)
	go func() {
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Error(err)
		}
		answer <- res
	}()
	return answer, out
}

// stall sends a part of a body and wants the server to lose its patience.
func stall(t *testing.T, h *house, transport http.RoundTripper) {
	t.Helper()
	answer, out := beginUpload(t, transport, h.url("https", "/"), 100)
	send(t, out, "a part")
	if res := receive(t, answer); res != nil {
		equal(t, "a stalled upload", res.StatusCode, http.StatusRequestTimeout)
		res.Body.Close()
	}
}

func TestAStreamBothWaysMayBeSilentWhereAnUploadMayNot(t *testing.T) {
	upstream := swallowing(t)
	h := idleHouse(t, pair("app", upstream, upstream))
	for name, transport := range map[string]http.RoundTripper{"HTTP/2": http2Only(t), "HTTP/3": http3Only(t)} {
		t.Run(name, func(t *testing.T) {
			answer, out := beginUpload(t, transport, h.url("https", "/duplex"), -1)
			res := receive(t, answer)
			defer res.Body.Close()
			for range 4 {
				stall(t, h, transport) // takes the idle timeout each
			}
			send(t, out, "still here\n")
			must(t, out.Close())
			equal(t, "echo", readAll(t, res.Body), "STILL HERE\n")
		})
	}
}

func TestAStalledUploadOverHTTP1IsToldSo(t *testing.T) {
	upstream := swallowing(t)
	h := idleHouse(t, pair("app", upstream, upstream))
	for _, framing := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		for _, part := range []string{"", "5\r\nparts"} {
			c, br := dialRaw(t, h.http)
			send(t, c, "POST / HTTP/1.1\r\nHost: "+h.http+"\r\n"+framing+"\r\n\r\n"+part)
			head := readHead(br)
			if !strings.HasPrefix(head, "HTTP/1.1 408 ") || !strings.Contains(head, "Connection: close\r\n") {
				t.Errorf("%s, %q: head %q", framing, part, head)
			}
		}
	}
	until(t, "nothing is in-flight", func() bool { return h.view("app").Blue.Inflight == 0 })
}

func TestAWebSocketOverAStreamMayBeSilent(t *testing.T) {
	if !withExtendedConnect(t) {
		return
	}
	swallows, echoes := swallowing(t), upgradeUpstream(t, "", func(c net.Conn, br *bufio.Reader) { _, _ = io.Copy(c, br) })
	h := newHouse(t)
	h.secure = true
	h.globals = briefTimeouts
	h.load(pair("app", swallows, swallows)+pair("chat", echoes, echoes), "blue_green /chat chat\nblue_green app")
	h.healthy("app", "chat")
	h.certified()
	for name, transport := range map[string]http.RoundTripper{"HTTP/2": http2Only(t), "HTTP/3": http3Only(t)} {
		t.Run(name, func(t *testing.T) {
			res, out := connectThrough(t, h, transport, "/chat")
			for range 4 {
				stall(t, h, transport)
			}
			send(t, out, "hi")
			must(t, out.Close())
			equal(t, "echo", readAll(t, res.Body), "hi")
		})
	}
	until(t, "no WebSocket counts any more", func() bool { return h.view("chat").Blue.Inflight == 0 })
}

// connectThrough opens a WebSocket by an extended CONNECT.
func connectThrough(t *testing.T, h *house, transport http.RoundTripper, path string) (*http.Response, *io.PipeWriter) {
	t.Helper()
	target, err := url.Parse(h.url("https", path))
	must(t, err)
	body, out := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	res, err := transport.RoundTrip(extendedConnect(ctx, transport, target, body))
	must(t, err)
	t.Cleanup(func() { out.Close(); res.Body.Close(); cancel() })
	equal(t, "status", res.StatusCode, http.StatusOK)
	return res, out
}

// silentUploads begins an upload that stalls for each framing and version of
// HTTP, and returns what reads their statuses.
func silentUploads(t *testing.T, h *house) map[string]func() int {
	t.Helper()
	statuses := make(map[string]func() int)
	for name, framing := range map[string]string{"HTTP/1 with a length": "Content-Length: 100", "HTTP/1 in chunks": "Transfer-Encoding: chunked"} {
		c, br := dialRaw(t, h.http)
		send(t, c, "POST / HTTP/1.1\r\nHost: "+h.http+"\r\n"+framing+"\r\n\r\n5\r\nparts\r\n")
		statuses[name] = func() int {
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return 0
			}
			return res.StatusCode
		}
	}
	for name, transport := range map[string]http.RoundTripper{"HTTP/2": http2Only(t), "HTTP/3": http3Only(t)} {
		for suffix, size := range map[string]int64{" with a length": 100, " without a length": -1} {
			answer, out := beginUpload(t, transport, h.url("https", "/"), size)
			send(t, out, "parts")
			statuses[name+suffix] = func() int {
				if res := receive(t, answer); res != nil {
					return res.StatusCode
				}
				return 0
			}
		}
	}
	return statuses
}

func TestADrainEndsUploadsWhoseClientsAreSilent(t *testing.T) {
	upstream := swallowing(t)
	h := secureHouse(t, pair("app", upstream, upstream, "drain_timeout 1ms"))
	statuses := silentUploads(t, h)
	until(t, "all uploads are under way", func() bool { return h.view("app").Blue.Inflight == int64(len(statuses)) })
	h.cutover("app", switcher.Green)
	until(t, "nothing is in-flight", func() bool { return h.view("app").Blue.Inflight == 0 })
	for name, status := range statuses {
		equal(t, name, status(), http.StatusServiceUnavailable)
	}
}

func TestAnUpstreamThatLeavesEndsUploadsWhoseClientsAreSilent(t *testing.T) {
	leave := make(chan struct{})
	upstream := rawUpstream(t, func(_ net.Conn, br *bufio.Reader) {
		if readHead(br) != "" {
			<-leave
		}
	})
	h := secureHouse(t, pair("app", upstream, upstream))
	statuses := silentUploads(t, h)
	until(t, "all uploads are under way", func() bool { return h.view("app").Blue.Inflight == int64(len(statuses)) })
	close(leave)
	for name, status := range statuses {
		equal(t, name, status(), http.StatusBadGateway)
	}
	until(t, "nothing is in-flight", func() bool { return h.view("app").Blue.Inflight == 0 })
}
