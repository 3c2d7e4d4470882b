package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// sink is a ResponseWriter that costs nothing.
type sink struct{ h http.Header }

func (s sink) Header() http.Header         { return s.h }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}

func BenchmarkHitOf8MiBOverLoopback(b *testing.B) {
	content := random(8 * MiB)
	o := newOrigin(b, file(content, `"v1"`))
	e := newEdge(b, newCache(b, Options{}), o, Terms{TTL: time.Hour})
	e.get("/a")
	b.SetBytes(8 * MiB)
	b.ReportAllocs()
	for b.Loop() {
		res := e.begin(b.Context(), "/a")
		if n, err := io.Copy(io.Discard, res.Body); n != 8*MiB || err != nil {
			b.Fatal(n, err)
		}
		res.Body.Close()
	}
}

func BenchmarkHitOfARangeOf64KiB(b *testing.B) {
	content := random(8 * MiB)
	c := newCache(b, Options{})
	req := Request{Key: "a", Path: "/a", Origin: memory(content), Terms: Terms{TTL: time.Hour}}
	r := httptest.NewRequest("GET", "/a", nil)
	if _, err := c.Serve(sink{http.Header{}}, r, req); err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Range", "bytes=3000000-3065535")
	b.ReportAllocs()
	for b.Loop() {
		if out, err := c.Serve(sink{http.Header{}}, r, req); err != nil || out.Served != 64*KiB {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkHitInParallel(b *testing.B) {
	content := random(8 * MiB)
	c := newCache(b, Options{})
	req := Request{Key: "a", Path: "/a", Origin: memory(content), Terms: Terms{TTL: time.Hour}}
	r := httptest.NewRequest("GET", "/a", nil)
	if _, err := c.Serve(sink{http.Header{}}, r, req); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Serve(sink{http.Header{}}, r, req); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMissOf8MiB(b *testing.B) {
	content := random(8 * MiB)
	c := newCache(b, Options{})
	r := httptest.NewRequest("GET", "/a", nil)
	b.SetBytes(8 * MiB)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		req := Request{Key: strconv.Itoa(n), Path: "/a", Origin: memory(content), Terms: Terms{TTL: time.Hour}}
		if out, err := c.Serve(sink{http.Header{}}, r, req); err != nil || out.Served != 8*MiB {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkMissOf8MiBOverLoopback(b *testing.B) {
	content := random(8 * MiB)
	o := newOrigin(b, file(content, `"v1"`))
	e := newEdge(b, newCache(b, Options{}), o, Terms{TTL: time.Hour})
	b.SetBytes(8 * MiB)
	n := 0
	for b.Loop() {
		n++
		res := e.begin(b.Context(), fmt.Sprintf("/%d", n))
		if n, err := io.Copy(io.Discard, res.Body); n != 8*MiB || err != nil {
			b.Fatal(n, err)
		}
		res.Body.Close()
	}
}

func BenchmarkDirectOf8MiBOverLoopback(b *testing.B) {
	content := random(8 * MiB)
	o := newOrigin(b, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
	})
	b.SetBytes(8 * MiB)
	for b.Loop() {
		res, err := o.at("/a").Fetch(b.Context(), "GET", http.Header{})
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != 8*MiB || err != nil {
			b.Fatal(n, err)
		}
		res.Body.Close()
	}
}

// memory is an origin without sockets.
type memory []byte

func (m memory) Fetch(context.Context, string, http.Header) (*http.Response, error) {
	return &http.Response{StatusCode: 200, ContentLength: int64(len(m)), Header: http.Header{"Etag": {`"v1"`}, "Content-Type": {"video/mp4"}},
		Body: io.NopCloser(&reads{m})}, nil
}

type reads struct{ rest []byte }

func (r *reads) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
