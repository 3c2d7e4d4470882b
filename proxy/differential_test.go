package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The same bytes of a client go through httputil.ReverseProxy and our
// forwarders, to an upstream that says the same bytes to each. Upstreams must
// see the same request and clients the same response, but for what is intended:
// sentBy and answeredBy say what, and why.

// reference stands for httputil.ReverseProxy among the names of forwarders.
const reference = "httputil"

// exchanged is what came of one exchange, in words that can be compared.
type exchanged struct {
	request  string // as the upstream saw it, but for its trailer; "": nothing came
	trailer  string // of the request
	response string // as the client saw it
}

// refused reports whether the proxy did not pass on what the upstream said.
func (e exchanged) refused() bool {
	return strings.Contains(e.response, "502 Bad Gateway\n") || strings.HasSuffix(e.response, "(cut)") || e.response == ""
}

// contest is the three proxies.
type contest struct {
	fronts map[string]string // addresses
	place  map[string]*place
}

// place is where a proxy finds the upstream of the exchange that is going on.
type place struct{ addr string }

func newContest(t testing.TB, forwarders map[string]Forwarder) *contest {
	c := &contest{fronts: make(map[string]string), place: make(map[string]*place)}
	start := func(name string, h http.Handler) {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Start()
		t.Cleanup(s.Close)
		c.fronts[name] = s.Listener.Addr().String()
	}
	for name, fw := range forwarders {
		at := new(place)
		c.place[name] = at
		start(name, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f := &front{fw: fw, upstreams: []string{at.addr}, results: make(chan error, 1), exchanges: make(chan *Exchange, 1), finished: make(chan struct{}, 1)}
			f.ServeHTTP(w, r)
		}))
	}
	at := new(place)
	c.place[reference] = at
	tr := &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Hour}
	t.Cleanup(tr.CloseIdleConnections)
	start(reference, &httputil.ReverseProxy{
		Transport: tr,
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", at.addr, r.In.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery // of which it would drop what it cannot parse
		},
	})
	return c
}

// run has a proxy forward the request to an upstream that says answer.
func (c *contest) run(t testing.TB, name, request, answer string) exchanged {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.place[name].addr = l.Addr().String()
	saw, heard := make(chan [2]string, 1), make(chan struct{})
	defer close(heard)
	go func() {
		defer close(saw)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if listen(name, conn, answer, saw) {
			<-heard // a connection that ends early may take what it said with it
		}
	}()
	conn, err := net.Dial("tcp", c.fronts[name])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(conn, strings.ReplaceAll(request, "HOST", "site.example")) }()
	e := exchanged{response: hearAnswer(name, conn, request, answer)}
	l.Close()
	both := <-saw
	e.request, e.trailer = both[0], both[1]
	return e
}

// listen reads a request, tells what it was, and answers. It reports whether the
// connection goes on.
func listen(name string, conn net.Conn, answer string, saw chan<- [2]string) bool {
	m, err := readMessage(bufio.NewReader(conn), func(line string, fields map[string][]string) string {
		if len(fields["expect"]) > 0 {
			_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		return framingOf(fields, "none")
	})
	if err != nil {
		saw <- [2]string{fmt.Sprintf("%s (%v)", m.line, err)}
		return false
	}
	trailer := fmt.Sprintf("%q announced %q", m.trailer, names(m.fields["trailer"]))
	sentBy(name, &m)
	saw <- [2]string{m.String(), trailer}
	answer, ends := strings.CutSuffix(answer, shut)
	_, _ = io.WriteString(conn, answer)
	return !ends
}

// hearAnswer reads the responses to a request, and wants nothing behind them.
func hearAnswer(name string, conn net.Conn, request, said string) string {
	method, _, _ := strings.Cut(request, " ")
	br := bufio.NewReader(conn)
	line, _, _ := strings.Cut(request, "\r\n")
	old := strings.HasSuffix(line, " HTTP/1.0")
	var all strings.Builder
	for {
		var status int
		m, err := readMessage(br, func(line string, fields map[string][]string) string {
			if len(line) >= 12 {
				status, _ = strconv.Atoi(line[9:12])
			}
			if method == http.MethodHead || status < 200 || status == 204 || status == 304 {
				return "none"
			}
			return framingOf(fields, "close")
		})
		if m.line == "" {
			return all.String()
		}
		m.line = strings.TrimPrefix(strings.TrimPrefix(m.line, "HTTP/1.1 "), "HTTP/1.0 ")
		answeredBy(name, &m, said, method == http.MethodHead)
		switch {
		case err != nil:
			fmt.Fprintf(&all, "%s (cut)", m.line)
			return all.String()
		case status == http.StatusContinue: // the upstream's, or the server's own
		case status < 200 && old:
			// httputil says it to a client that knows of none (RFC 9110 §15.2).
			if name != reference {
				all.WriteString(m.String())
			}
		default:
			all.WriteString(m.String())
		}
		if status >= 200 {
			break
		}
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if rest, _ := io.ReadAll(br); len(rest) > 0 {
		fmt.Fprintf(&all, "(and %q)", rest)
	}
	return all.String()
}

// names are the items of a list, in their order.
func names(lines []string) []string {
	all := strings.Split(strings.ReplaceAll(strings.Join(lines, ","), " ", ""), ",")
	slices.Sort(all)
	return all
}

// message is a request or a response as it goes over the wire. The names of
// fields are in lower case.
type message struct {
	line            string
	fields, trailer map[string][]string
	framing, body   string
}

func framingOf(fields map[string][]string, without string) string {
	switch {
	case len(fields["transfer-encoding"]) > 0:
		return "chunked"
	case len(fields["content-length"]) > 0:
		return "length"
	}
	return without
}

func readMessage(br *bufio.Reader, framing func(line string, fields map[string][]string) string) (m message, err error) {
	if m.line, err = plainLine(br); err != nil {
		return m, err
	}
	if m.fields, err = fieldLines(br); err != nil {
		return m, err
	}
	switch m.framing = framing(m.line, m.fields); m.framing {
	case "chunked":
		m.body, m.trailer, err = chunkedBody(br)
	case "length":
		var n int64
		if n, err = strconv.ParseInt(m.fields["content-length"][0], 10, 64); err != nil {
			return m, err
		}
		body := make([]byte, min(n, 1<<20))
		_, err = io.ReadFull(br, body)
		m.body = string(body)
	case "close":
		var body []byte
		body, err = io.ReadAll(br)
		m.body = string(body)
	}
	return m, err
}

// String is the message with its fields in order of their names.
func (m *message) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", m.line)
	for _, fields := range []map[string][]string{m.fields, m.trailer} {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			for _, v := range fields[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, v)
			}
		}
		b.WriteString("--\n")
	}
	fmt.Fprintf(&b, "%s %q\n", m.framing, m.body)
	return b.String()
}
