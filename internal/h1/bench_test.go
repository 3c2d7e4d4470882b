package h1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

const typical = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 01 May 2026 12:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n" +
	"Cache-Control: no-store\r\nEtag: \"abc\"\r\nVary: Accept-Encoding\r\nX-Request-Id: 0123456789abcdef\r\n\r\n"

var asked = http.Header{
	"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}, "User-Agent": {"bench"}, "Cookie": {"a=b; c=d"},
	"Referer": {"https://a.example/"}, "X-Request-Id": {"0123456789abcdef"}, "Connection": {"keep-alive"},
}

// answers is a server that costs as little as can be: it looks for ends of heads.
func answers(b *testing.B, say []byte) func(context.Context) (net.Conn, error) {
	return serve(b, func(c net.Conn, br *bufio.Reader) {
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				if _, err := c.Write(say); err != nil {
					return
				}
			}
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	dial := answers(b, []byte(typical+strings.Repeat("x", 1024)))
	p := make([]byte, 32<<10)
	b.Run("h1", func(b *testing.B) {
		pool := NewPool(Config{Dial: dial})
		defer pool.Close()
		r := Request{Method: "GET", Target: "/a", Host: "a.example", Header: asked, Set: []Field{{"X-Forwarded-For", "192.0.2.1"}, {"Via", "1.1 a"}}}
		b.ReportAllocs()
		for b.Loop() {
			c, _, err := pool.Get(b.Context(), now)
			must(b, err)
			must(b, c.WriteHead(&r))
			_, err = c.ReadHead(nil, nil)
			must(b, err)
			for err == nil {
				_, err = c.Read(p)
			}
			pool.Put(c, now)
		}
	})
	b.Run("http.Transport", func(b *testing.B) {
		t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, DisableCompression: true}
		defer t.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			r, err := http.NewRequestWithContext(b.Context(), "GET", "http://a.example/a", nil)
			must(b, err)
			r.Header = asked
			res, err := t.RoundTrip(r)
			must(b, err)
			for err == nil {
				_, err = res.Body.Read(p)
			}
			_ = res.Body.Close()
		}
	})
}

func BenchmarkReadHead(b *testing.B) {
	b.Run("h1", func(b *testing.B) {
		s := &script{}
		c := NewConn(s, Limits{})
		b.ReportAllocs()
		for b.Loop() {
			s.say = typical
			c.in, c.out = incoming{}, outgoing{begun: true, done: true}
			_, err := c.ReadHead(nil, nil)
			must(b, err)
			c.dropAhead()
		}
	})
	b.Run("http.ReadResponse", func(b *testing.B) {
		br := bufio.NewReader(nil)
		b.ReportAllocs()
		for b.Loop() {
			br.Reset(strings.NewReader(typical))
			_, err := http.ReadResponse(br, nil)
			must(b, err)
		}
	})
}

func BenchmarkWriteHead(b *testing.B) {
	r := Request{Method: "GET", Target: "/a", Host: "a.example", Header: asked, Set: []Field{{"X-Forwarded-For", "192.0.2.1"}, {"Via", "1.1 a"}}}
	b.Run("h1", func(b *testing.B) {
		var buf [4096]byte
		b.ReportAllocs()
		for b.Loop() {
			_, what := r.append(buf[:0])
			equal(b, "flaw", what, "")
		}
	})
	b.Run("http.Request.Write", func(b *testing.B) {
		out, err := http.NewRequest("GET", "http://a.example/a", nil)
		must(b, err)
		out.Header = asked
		b.ReportAllocs()
		for b.Loop() {
			must(b, out.Write(io.Discard))
		}
	})
}

func BenchmarkBulk(b *testing.B) {
	const size = 64 << 20
	dial := answers(b, []byte("HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"+strings.Repeat("x", size)))
	p := make([]byte, 256<<10)
	b.Run("h1", func(b *testing.B) {
		c := connect(b, dial)
		b.SetBytes(size)
		for b.Loop() {
			must(b, c.WriteHead(get))
			_, err := c.ReadHead(nil, nil)
			must(b, err)
			for err == nil {
				_, err = c.Read(p)
			}
			equal(b, "whole", c.Next(), true)
		}
	})
	b.Run("http.Transport", func(b *testing.B) {
		t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
		defer t.CloseIdleConnections()
		b.SetBytes(size)
		for b.Loop() {
			r, err := http.NewRequest("GET", "http://a.example/", nil)
			must(b, err)
			res, err := t.RoundTrip(r)
			must(b, err)
			for err == nil {
				_, err = res.Body.Read(p)
			}
			_ = res.Body.Close()
		}
	})
}

// What an exchange costs beyond its header: a map, its values, and one string.
func TestAnExchangeAllocatesLittle(t *testing.T) {
	s := &script{}
	c := NewConn(s, Limits{})
	h := make(http.Header)
	n := testing.AllocsPerRun(200, func() {
		s.say = typical
		s.heard.Reset()
		c.in, c.out = incoming{}, outgoing{}
		must(t, c.WriteHead(get))
		_, err := c.ReadHead(h, nil)
		must(t, err)
		c.dropAhead()
	})
	if n > 10 {
		t.Errorf("%v allocations", n)
	}
}
