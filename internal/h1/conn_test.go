package h1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestInterimResponsesAreHandedOnAndMayEndIt(t *testing.T) {
	const say = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nlink: a\r\nLink: b\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n"
	c := NewConn(&script{say: say}, Limits{})
	must(t, c.WriteHead(get))
	into := http.Header{"Stale": {"a"}}
	var seen []string
	res, err := c.ReadHead(into, func(status int, h http.Header) error {
		seen = append(seen, http.StatusText(status)+strings.Join(h["Link"], ""))
		return nil
	})
	must(t, err)
	equal(t, "seen", strings.Join(seen, ";"), "Early Hintsab")
	equal(t, "fields", len(into), 2)
	equal(t, "X", res.Header.Get("X"), "y")

	c = NewConn(&script{say: say}, Limits{})
	must(t, c.WriteHead(get))
	enough := errors.New("enough")
	_, err = c.ReadHead(nil, func(int, http.Header) error { return enough })
	if !errors.Is(err, enough) || c.Reusable() {
		t.Errorf("got %v", err)
	}
}

func TestTrailersComeAfterTheBody(t *testing.T) {
	c := NewConn(&script{say: "HTTP/1.1 200 OK\r\nTrailer: x-a, Connection\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-a: b\r\nConnection: close\r\nX-C: d\r\n\r\n"}, Limits{})
	must(t, c.WriteHead(get))
	res, err := c.ReadHead(nil, nil)
	must(t, err)
	equal(t, "announced", strings.Join(res.Announced, " "), "X-A")
	_, err = io.ReadAll(c)
	must(t, err)
	equal(t, "X-A", c.Trailer().Get("X-A"), "b")
	equal(t, "fields", len(c.Trailer()), 2)
}

func TestContentWaitsForLeave(t *testing.T) {
	for name, c := range map[string]struct {
		say, rest string
		proceed   bool
		status    int
	}{
		"100":              {"HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
		"103 and 100":      {"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
		"a final response": {"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", "", false, 417},
		"silence":          {"", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
		"half a head":      {"HTTP/1.1 1", "00 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 1)
			conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
				for line := ""; line != "\r\n"; {
					line, _ = br.ReadString('\n')
				}
				_, _ = io.WriteString(nc, c.say)
				if c.proceed {
					p := make([]byte, 5)
					_, _ = io.ReadFull(br, p)
					got <- string(p)
				}
				_, _ = io.WriteString(nc, c.rest)
				_, _ = br.ReadByte()
			}))
			must(t, conn.WriteHead(&Request{Method: "PUT", Target: "/", Length: 5, Expect: true}))
			if !strings.Contains(c.say, "\r\n\r\n") {
				must(t, conn.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
			}
			proceed, err := conn.AwaitContinue(nil)
			must(t, err)
			must(t, conn.SetReadDeadline(time.Time{}))
			equal(t, "proceed", proceed, c.proceed)
			if proceed {
				_, err = conn.Write([]byte("hello"))
				must(t, err)
				must(t, conn.End(nil))
				equal(t, "content", <-got, "hello")
			}
			res, err := conn.ReadHead(nil, nil)
			must(t, err)
			equal(t, "status", res.Status, c.status)
			equal(t, "reusable", conn.Reusable(), proceed)
		})
	}
}

func TestAnEarlyAnswerIsReadWhileContentIsSent(t *testing.T) {
	conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = br.ReadString('\n')
		_, _ = io.WriteString(nc, "HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, br)
	}))
	must(t, conn.WriteHead(&Request{Method: "PUT", Target: "/", Length: -1}))
	must(t, conn.Flush())
	var sending sync.WaitGroup
	sending.Go(func() {
		for p := make([]byte, 64<<10); ; {
			if _, err := conn.Write(p); err != nil {
				failed(t, err, StageSending, KindClosed, "")
				return
			}
		}
	})
	eventually(t, "the answer waits", conn.Waiting)
	res, err := conn.ReadHead(nil, nil)
	must(t, err)
	body, err := io.ReadAll(conn)
	must(t, err)
	equal(t, "answer", res.Status, 413)
	equal(t, "body", string(body), "no")
	equal(t, "canceled", conn.Cancel(conn.Exchange()), true)
	sending.Wait()
	equal(t, "reusable", conn.Reusable(), false)
}

func TestAConnectionSwitchesOnlyWhereAsked(t *testing.T) {
	const agree = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	nc := &script{say: agree + "early"}
	c := NewConn(nc, Limits{})
	must(t, c.WriteHead(&Request{Method: "GET", Target: "/", Upgrade: "websocket"}))
	res, err := c.ReadHead(nil, nil)
	must(t, err)
	equal(t, "status", res.Status, 101)
	equal(t, "reusable", c.Reusable(), false)
	got, ahead, ok := c.Hijack()
	if got != nc || string(ahead) != "early" || !ok || c.Cancel(c.Exchange()) {
		t.Errorf("got %v %q %v", got, ahead, ok)
	}
	if _, _, ok := c.Hijack(); ok {
		t.Error("taken over twice")
	}
}

func TestErrorsTellHowFarItCame(t *testing.T) {
	reset := func(nc net.Conn) { _ = nc.(*net.TCPConn).SetLinger(0) }
	for name, c := range map[string]struct {
		say   string
		end   func(net.Conn)
		stage Stage
		kind  Kind
	}{
		"closed before a byte":  {"", nil, StageWaiting, KindEOF},
		"closed in the head":    {"HTTP/1.1 2", nil, StageHead, KindEOF},
		"closed after a 103":    {"HTTP/1.1 103 E\r\n\r\n", nil, StageHead, KindEOF},
		"closed in the body":    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", nil, StageBody, KindEOF},
		"closed in the trailer": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX", nil, StageBody, KindEOF},
		"reset before a byte":   {"", reset, StageWaiting, KindReset},
		"silent":                {"", func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageWaiting, KindTimeout},
		"silent in the head":    {"HTTP/1.1 2", func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageHead, KindTimeout},
		"silent in the body": {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
			func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageBody, KindTimeout},
		"silent in the trailer": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX",
			func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageBody, KindTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
				if hear(br) == nil {
					_, _ = io.WriteString(nc, c.say)
					if c.end != nil {
						c.end(nc)
					}
				}
			}))
			must(t, conn.WriteHead(get))
			if c.kind == KindTimeout {
				if c.say != "" {
					eventually(t, "it is said", conn.Waiting)
				}
				must(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
			}
			_, err := conn.ReadHead(nil, nil)
			if err == nil {
				_, err = io.ReadAll(conn)
			}
			failed(t, err, c.stage, c.kind, "")
			equal(t, "reusable", conn.Reusable(), false)
		})
	}
}

func TestALateCancelDoesNothingToTheNextExchange(t *testing.T) {
	conn := connect(t, serve(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
	late := conn.Exchange()
	_, _, err := ask(conn)
	must(t, err)
	equal(t, "next", conn.Next(), true)
	equal(t, "late", conn.Cancel(late), false)
	_, body, err := ask(conn)
	must(t, err)
	equal(t, "body", body, "ok")
	equal(t, "in time", conn.Cancel(conn.Exchange()), true)
	equal(t, "next", conn.Next(), false)
	failed(t, conn.WriteHead(get), StageSending, KindClosed, "")
}

func TestWhatCannotBeLookedAtServesOnce(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	go answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(far, bufio.NewReader(far))
	c := NewConn(near, Limits{})
	_, body, err := ask(c)
	must(t, err)
	equal(t, "body", body, "ok")
	equal(t, "next", c.Next(), false)
}
