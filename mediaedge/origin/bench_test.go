package origin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkForward is an origin, the edge and a client on loopback, in one
// process. direct is the same without the edge.
func BenchmarkForward(b *testing.B) {
	for name, size := range map[string]int{"64MiB": 64 << 20, "64KiB": 64 << 10} {
		s := newStore(b, media(size))
		server := front(b, made(b, Config{Endpoints: at(s.URL)}), nil)
		b.Run(name, func(b *testing.B) { download(b, server, size) })
		b.Run(name+"/direct", func(b *testing.B) { download(b, s.Server, size) })
	}
}

func download(b *testing.B, server *httptest.Server, size int) {
	client := &http.Client{Transport: &http.Transport{ReadBufferSize: 64 << 10}}
	defer client.CloseIdleConnections()
	p := make([]byte, 256<<10)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		res, err := client.Get(server.URL + "/a")
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{res.Body}, p)
		_ = res.Body.Close()
		if err != nil || n != int64(size) {
			b.Fatal(n, err)
		}
	}
}
