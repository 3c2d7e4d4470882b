package e2e

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// backend is an upstream in the test's own process.
type backend struct {
	address string
	server  *http.Server
	open    atomic.Int64 // connections, of those that were accepted
}

// newBackend serves handler on loopback, and 200 on /healthz.
func newBackend(t testing.TB, handler http.Handler) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveBackend(t, listener, handler)
}

func serveBackend(t testing.TB, listener net.Listener, handler http.Handler) *backend {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/", handler)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	b := &backend{address: listener.Addr().String(), server: &http.Server{Handler: mux, Protocols: protocols}}
	b.server.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			b.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			b.open.Add(-1)
		}
	}
	go func() { _ = b.server.Serve(listener) }()
	t.Cleanup(func() { _ = b.server.Close() })
	return b
}

// saying is a handler that answers with text.
func saying(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

// freeAddress is for an edge: nobody else listens there until the test ends.
func freeAddress(t testing.TB) string {
	t.Helper()
	address, release, err := realserver.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}
