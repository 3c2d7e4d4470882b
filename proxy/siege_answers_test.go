package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// An answer that nobody asked for.
const unasked = "HTTP/1.1 200 OK\r\nX-Answer: /unasked\r\nContent-Length: 7\r\n\r\nunasked"

// hostileAnswer is what an upstream says to a GET, or to a HEAD where the name
// begins so, and what the client gets: a status and content, "failed" for the
// edge's own 502 or a response that is cut, or any of several, divided by |.
type hostileAnswer struct {
	name, raw, want string
	more            bool // there is something behind the answer
}

var hostileAnswers = []hostileAnswer{
	{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok", false},
	{"a response behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + unasked, "200 ok", true},
	{"a response behind a length of 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + unasked, "200 ", true},
	{"a response behind chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + unasked, "200 ok", true},
	{"a response behind a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: x\r\n\r\n" + unasked, "200 ok", true},
	{"a line end behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n", "200 ok", true},
	{"one byte behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokx", "200 ok", true},
	{"half a head behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Answer: /unasked\r\n", "200 ok", true},
	{"204 with content", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n" + unasked, "204 ", true},
	{"204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "204 |failed", true},
	{"204 with a response behind it", "HTTP/1.1 204 No Content\r\n\r\n" + unasked, "204 ", true},
	{"304 with content", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n" + unasked, "304 ", true},
	{"HEAD with content", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ", true},
	{"HEAD with chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ", true},
	{"HEAD with a response as content", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + unasked, "200 ", true},
	{"TE and a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + unasked, "200 ok|failed", true},
	{"TE and a length that covers it", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + unasked, "200 |failed", true},
	{"TE and a length of 0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok|failed", false},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 0\r\n\r\nok", "failed", false},
	{"the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "200 ok", false},
	{"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "failed", false},
	{"a length with plus", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "failed", false},
	{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "failed", false},
	{"a hexadecimal length", "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", "failed", false},
	{"a length beyond int64", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok", "failed", false},
	{"an empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n" + shut, "200 |failed", false},
	{"less than a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok" + shut, "failed", false},
	{"TE xchunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "failed", false},
	{"TE gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "failed", false},
	{"TE chunked, identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n2\r\nok\r\n0\r\n\r\n", "failed", false},
	{"TE twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "failed", false},
	{"TE with a vertical tab", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\x0b\r\n\r\n2\r\nok\r\n0\r\n\r\n", "failed", false},
	{"TE with a space before its colon", "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\nok", "200 ok|failed", false},
	{"a chunk that is too large", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n", "failed", false},
	{"a chunk that goes on", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokHTTP/1.1 200 OK\r\n\r\n", "failed", false},
	{"a chunk's size that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n", "failed", false},
	{"chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + shut, "failed", false},
	{"a trailer that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + unasked, "failed|200 ok", false},
	{"a trailer with a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 0\r\n\r\n", "failed|200 ok", false},
	{"until close", "HTTP/1.1 200 OK\r\n\r\nok" + shut, "200 ok", false},
	{"until close, with keep-alive", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nok" + shut, "200 ok", false},
	{"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "200 ok", false},
	{"HTTP/1.0 with keep-alive, and a response behind", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok" + unasked, "200 ok", true},
	{"HTTP/1.0 until close", "HTTP/1.0 200 OK\r\n\r\nok" + shut, "200 ok", false},
	{"HTTP/1.0 with chunks", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + shut, "failed|200 2\r\nok\r\n0\r\n\r\n", false},
	{"Connection: close, and more", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok" + unasked, "200 ok", false},
	{"HTTP/0.9", "<html>" + shut, "failed", false},
	{"nothing", "" + shut, "failed", false},
	{"HTTP/2", "\x00\x00\x12\x04\x00\x00\x00\x00\x00" + unasked, "failed", false},
	{"a folded field", "HTTP/1.1 200 OK\r\nX: x\r\n Content-Length: 9\r\nContent-Length: 2\r\n\r\nok", "200 ok|failed", false},
	{"a bare CR in a field", "HTTP/1.1 200 OK\r\nX: x\rContent-Length: 9\r\nContent-Length: 2\r\n\r\nok", "200 ok|failed", false},
	{"bare LFs", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "200 ok|failed", false},
	{"a NUL in a field", "HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\nok", "200 ok|failed", false},
	{"a line without a name", "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nok", "failed", false},
	{"a status that is none", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", "failed", false},
	{"103 first", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok", false},
	{"103 with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok|failed", false},
	{"103 in HTTP/1.0", "HTTP/1.0 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok|failed", false},
	{"as many 1xx as may be", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 30) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok", false},
	{"a flood of 103", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 2000) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "failed", false},
	{"a flood of 100", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 2000) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "failed|200 ok", false},
	{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + unasked, "failed", false},
	{"two responses behind one", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + unasked + unasked, "200 ok", true},
}

func TestNoClientGetsTheAnswerOfAnother(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for n, c := range hostileAnswers {
			s.backend.script(fmt.Sprintf("/%d", n), c.raw)
		}
		for n, c := range hostileAnswers {
			s.provoke(t, c, fmt.Sprintf("/%d", n))
		}
		t.Logf("%d answers", len(hostileAnswers))
	})
}

// provoke asks for what a hostile upstream says, again on the same connection of
// the client's, and as another client.
func (s *siege) provoke(t *testing.T, c hostileAnswer, target string) {
	t.Helper()
	method := http.MethodGet
	if strings.HasPrefix(c.name, http.MethodHead) {
		method = http.MethodHead
	}
	// The edge may ask once more where the first connection ended without an answer.
	s.targets = append(s.targets, target, target+"/marker")
	conn, br := dialRaw(t, s.http)
	defer conn.Close()
	marker := "\r\nGET TARGET/marker HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
	if c.more && s.forwarder == forwardTransport {
		marker = "Connection: close\r\n\r\n" // see settled
	}
	send(t, conn, s.fill(method+" TARGET HTTP/1.1\r\nHost: HOST\r\n"+marker, target))
	responses := responsesOn(t, c.name, br, method)
	if len(responses) == 0 {
		if !strings.Contains(c.want, "failed") {
			t.Errorf("%s: no response", c.name)
		}
	} else {
		first := responses[0]
		got := fmt.Sprintf("%d %s", first.StatusCode, first.body)
		if first.cut || first.StatusCode == http.StatusBadGateway {
			got = "failed"
		}
		if !slices.Contains(strings.Split(c.want, "|"), got) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if !first.cut && !first.Close && len(responses) < 2 {
			t.Errorf("%s: no answer to the marker", c.name)
		}
		s.judge(t, c.name, responses[1:], []string{target + "/marker"})
	}
	if c.more {
		s.settled(t, target)
	}
	for n := range 2 {
		s.asks(t, c.name, fmt.Sprintf("%s/other/%d", target, n))
	}
}

// settled waits until the edge has closed the connection on which a target was
// answered, where it must. net/http makes a connection idle before it looks
// whether it said more than it was asked, on a goroutine of its own; until that
// has run, who asks next gets this for an answer. The fast forwarder looks first.
func (s *siege) settled(t *testing.T, target string) {
	t.Helper()
	if s.forwarder == forwardTransport {
		until(t, "the connection of "+target+" is closed", func() bool { return s.backend.left(target) })
	}
}

func TestWhatAnIdleUpstreamSaysIsNobodysAnswer(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for n, text := range []string{unasked, unasked + unasked, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "\r\n", "H", "\x00", "HTTP/1.1 103 Early Hints\r\n\r\n"} {
			s.asks(t, "before", fmt.Sprintf("/before/%d", n))
			s.backend.interject(t, text)
			s.settled(t, fmt.Sprintf("/before/%d", n))
			s.asks(t, fmt.Sprintf("behind %q", text), fmt.Sprintf("/behind/%d", n))
			s.asks(t, fmt.Sprintf("behind %q", text), fmt.Sprintf("/later/%d", n))
		}
	})
}

func TestABodyBehindAnEarlyAnswerIsNoRequest(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		s.backend.early = func(target string) bool {
			return strings.HasPrefix(target, "/early/") && strings.Count(target, "/") == 2
		}
		for n, framing := range []string{"Content-Length: 60\r\n", "Content-Length: 49\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 60\r\nExpect: 100-continue\r\n", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"} {
			target := fmt.Sprintf("/early/%d", n)
			s.targets = append(s.targets, target, target+"/marker")
			conn, br := dialRaw(t, s.http)
			send(t, conn, s.fill(posting(framing, ""), target))
			res, err := http.ReadResponse(br, nil)
			must(t, err)
			for res.StatusCode == http.StatusContinue {
				res, err = http.ReadResponse(br, nil)
				must(t, err)
			}
			equal(t, framing+"answer", readAll(t, res.Body), answerTo(target))
			go func() {
				_, _ = io.WriteString(conn, s.fill(smuggled+"GET TARGET/marker HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", target))
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			if framing != "Content-Length: 49\r\n" {
				equal(t, framing+"responses behind it", len(responsesOn(t, framing, br, "GET")), 0)
			} else {
				s.judge(t, framing, responsesOn(t, framing, br, "GET"), []string{target + "/marker"})
			}
			conn.Close()
			for i := range 3 {
				s.asks(t, framing, fmt.Sprintf("%s/other/%d", target, i))
			}
		}
	})
}
