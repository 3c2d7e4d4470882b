package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check probes with far more time than loopback needs.
func check(t *testing.T, p Probe, address string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.Probe(ctx, address)
}

func wantPass(t *testing.T, p Probe, address string) {
	t.Helper()
	if err := check(t, p, address); err != nil {
		t.Fatalf("%v of %s: %v, want a pass", p, address, err)
	}
}

func wantFailure(t *testing.T, p Probe, address, want string) {
	t.Helper()
	if err := check(t, p, address); err == nil || err.Error() != want {
		t.Errorf("%v of %s:\n got %v\nwant %s", p, address, err, want)
	}
}

// listen gives a listener on loopback, closed when the test ends.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// listenUnix gives a listener and its address. The path is short: sun_path has
// 108 bytes, which t.TempDir may exceed.
func listenUnix(t *testing.T) (net.Listener, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, "unix/" + path
}

// serveRaw accepts connections one by one, reads a first chunk and answers
// with what answer writes; then it closes the connection.
func serveRaw(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			answer(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// hang keeps a connection open, silent, until the other side closes it.
func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// closedAddress is one that nothing listens on.
func closedAddress(t *testing.T) string {
	t.Helper()
	l := listen(t)
	l.Close()
	return l.Addr().String()
}

func serveHTTP(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// serveTLS has a certificate for 127.0.0.1 and example.com; trust accepts it.
func serveTLS(t *testing.T, handler http.HandlerFunc) (address string, trust *tls.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = discardLog
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.Listener.Addr().String(), &tls.Config{RootCAs: roots}
}

// flipping answers 503 while down is set.
func flipping(down *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}
