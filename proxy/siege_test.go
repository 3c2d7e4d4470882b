package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// siege is an edge with a strictBackend behind it.
type siege struct {
	*house
	forwarder string
	backend   *strictBackend
	targets   []string // that the backend may be asked for
}

// besiege runs a test on both forwarders.
func besiege(t *testing.T, test func(t *testing.T, s *siege)) {
	for _, name := range []string{forwardTransport, forwardFast} {
		t.Run(name, func(t *testing.T) {
			s := &siege{forwarder: name, house: newHouse(t), backend: newStrictBackend(t)}
			s.secure = true
			s.load(pair("app", s.backend.address, s.backend.address, "forwarder "+name), "blue_green app")
			s.healthy("app")
			s.certified()
			test(t, s)
			must(t, caddy.Stop())
			// Every byte has arrived now, and nothing else will.
			for _, r := range s.backend.others(s.targets) {
				t.Errorf("the backend heard %s", r)
			}
		})
	}
}

// hostileRequest is what a client says: HOST stands for the edge's address, TARGET
// for a path of its own. TARGET/next is a request that is one by the standard.
// /smuggled never is.
type hostileRequest struct {
	name, raw string
	want      string // whether it reaches the backend
	body      string // that the backend gets then
}

// Whether a request reaches the backend.
const (
	stopped = "stopped"
	passed  = "passed"
	open    = "" // either will do
)

// A smuggled request, and how long it is in hexadecimal.
const (
	smuggled    = "GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n"
	smuggledHex = "31" // HOST has a port of five digits
)

func (s *siege) fill(raw, target string) string {
	return strings.NewReplacer("HOST", s.http, "TARGET", target).Replace(raw)
}

// throw sends a request with a marker request behind it, lets another client
// ask, and wants everybody to have answers of their own only.
func (s *siege) throw(t *testing.T, n int, c hostileRequest) {
	t.Helper()
	target := fmt.Sprintf("/%d", n)
	mine := []string{target}
	if strings.Contains(c.raw, "TARGET/next") {
		mine = append(mine, target+"/next")
	}
	mine = append(mine, target+"/marker")
	s.targets = append(s.targets, mine...)
	raw, ends := strings.CutSuffix(s.fill(c.raw, target), shut)
	conn, br := dialRaw(t, s.http)
	defer conn.Close()
	go func() {
		marker := s.fill("GET TARGET/marker HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", target)
		if ends {
			marker = ""
		}
		_, _ = io.WriteString(conn, raw+marker) // the edge may have had enough of it
		if ends {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	method, _, _ := strings.Cut(strings.TrimLeft(raw, "\r\n"), " ")
	responses := responsesOn(t, c.name, br, method)
	s.judge(t, c.name, responses, mine)
	if c.want == passed && (len(responses) == 0 || responses[0].Header.Get("X-Answer") != target) {
		t.Errorf("%s: no answer", c.name)
	}
	s.asks(t, c.name, fmt.Sprintf("%s/other", target))

	heard := s.backend.of(target)
	switch {
	case len(heard) > 1, c.want == stopped && len(heard) > 0, c.want == passed && len(heard) == 0:
		t.Errorf("%s: it was to be %s; the backend heard %s", c.name, c.want, heard)
	case len(heard) == 1 && (heard[0].body != s.fill(c.body, target) || !heard[0].whole) && !strings.HasPrefix(s.fill(c.body, target), heard[0].body):
		t.Errorf("%s: the backend heard %s", c.name, heard[0])
	case len(heard) == 1 && c.want == passed && (!heard[0].whole || heard[0].body != s.fill(c.body, target)):
		t.Errorf("%s: the backend heard %s", c.name, heard[0])
	}
}

// judge wants responses to be for targets, in their order; the edge's own are
// for any.
func (s *siege) judge(t *testing.T, name string, responses []*response, targets []string) {
	t.Helper()
	if len(responses) > len(targets) {
		t.Errorf("%s: %d responses to %d requests", name, len(responses), len(targets))
		return
	}
	for i, res := range responses {
		if a := res.Header.Get("X-Answer"); a != "" && a != targets[i] || a != "" && res.body != "" && res.body != answerTo(a) {
			t.Errorf("%s: response %d, to %s, is for %s: %q", name, i, targets[i], a, res.body)
		}
	}
}

// asks wants an ordinary request to be answered as it should.
func (s *siege) asks(t *testing.T, name, target string) {
	t.Helper()
	s.targets = append(s.targets, target)
	a := s.get(target)
	if a.status != http.StatusOK || a.header.Get("X-Answer") != target || a.body != answerTo(target) {
		t.Errorf("%s: another client asked for %s and got %d for %s: %q", name, target, a.status, a.header.Get("X-Answer"), a.body)
	}
	if n := len(s.backend.of(target)); n != 1 {
		t.Errorf("%s: %s reached the backend %d times", name, target, n)
	}
}

// response is a response, read as far as it goes.
type response struct {
	*http.Response
	body string
	cut  bool
}

// responsesOn reads all final responses on a connection, of which the first is to method.
func responsesOn(t *testing.T, name string, br *bufio.Reader, method string) (all []*response) {
	t.Helper()
	for {
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: behind %d responses: %v", name, len(all), err)
			}
			return all
		}
		if res.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(res.Body)
		all = append(all, &response{res, string(body), err != nil})
		method = http.MethodGet
	}
}
