package h1

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// tlsPair is a dialer to a TLS server that answers as it is told. It asks for a
// client certificate, since Go sends its tickets after the handshake only then.
func tlsPair(t *testing.T, each func(net.Conn, *bufio.Reader)) func(context.Context) (net.Conn, error) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // for its certificate
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	certs := s.TLS.Certificates
	s.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certs, ClientAuth: tls.RequestClientCert})
	must(t, err)
	serveOn(t, l, each)
	d := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", l.Addr().String()) }
}

func TestOverTLSTicketsAreNoSurplusAndSurplusIsSeen(t *testing.T) {
	for say, fit := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":                                    true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n":             false,
		"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20001):     false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nsurplus!": false,
	} {
		p := NewPool(Config{Dial: tlsPair(t, answering(say))})
		n, err := p.Warm(t.Context(), now, 1)
		must(t, err)
		equal(t, "made", n, 1)
		p.mu.Lock()
		warm := p.idle[0]
		p.mu.Unlock()
		eventually(t, "tickets", warm.Waiting)
		c, idled, err := p.Get(t.Context(), now)
		must(t, err)
		equal(t, "warm", idled && c == warm, true)
		must(t, c.WriteHead(get))
		res, err := c.ReadHead(nil, nil)
		must(t, err)
		for left := max(res.Length, 2); left > 0; { // never asking for more than there is
			n, err := c.Read(make([]byte, min(left, 700)))
			if left -= int64(n); err == io.EOF {
				break
			}
			must(t, err)
		}
		_, _ = c.Read(make([]byte, 1))
		p.Put(c, now)
		again, idled, err := p.Get(t.Context(), now)
		must(t, err)
		equal(t, "the same again", again == c && idled, fit)
		p.Put(again, now)
		p.Close()
	}
}
