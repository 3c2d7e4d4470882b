package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/spool"
)

var replayTests = map[string]func(*testing.T, Forwarder){
	"an upload whose upstream dies at any byte arrives whole at the next":   testReplayAnywhere,
	"an upload whose client is slow goes on without a new connection":       testReplaySlowClient,
	"an upload that outgrew what is kept goes on, and dies with it":         testReplayOutgrown,
	"an upload goes on when the disk fails":                                 testReplayDiskFails,
	"a client is told to continue once, whatever becomes of the upstreams":  testReplayContinue,
	"trailers of an upload arrive at the next upstream":                     testReplayTrailers,
	"an early answer to an upload is no death":                              testReplayEarlyAnswer,
	"a client that leaves its upload is not the upstream's fault":           testReplayClientGone,
	"an upload that nobody answers is released before the edge answers":     testReplayUnanswered,
	"an upload that ends just as its upstream dies is asked for only once":  testReplayAtTheEnd,
	"an answer frees what was kept of the upload before its body is copied": testReplayFreed,
}

// kept are limits for a test.
func kept(t *testing.T, memory, disk int64) *spool.Limits {
	return &spool.Limits{Memory: memory, Disk: disk, AllMemory: gib, AllDisk: gib, Dir: t.TempDir()}
}

// noise is a body that is no repetition.
func noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = rng.Read(b)
	return b
}

// dyingAfter is an upstream that reads a head and so many bytes, and is gone:
// its connection is reset if there was more.
func dyingAfter(t *testing.T, n int64) string {
	return rawUpstream(t, func(_ net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.CopyN(io.Discard, br, n)
	})
}

// arrival is an upload as an upstream got it.
type arrival struct {
	sum    [sha256.Size]byte
	length int64
	method string
	err    error
}

// taking is an upstream that takes uploads.
func taking(t *testing.T) (addr string, arrivals chan arrival) {
	arrivals = make(chan arrival, 64)
	return upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		_, err := io.Copy(h, r.Body)
		arrivals <- arrival{[sha256.Size]byte(h.Sum(nil)), r.ContentLength, r.Method, err}
	}), arrivals
}

// put sends a body of known length, or else chunked.
func put(t *testing.T, f *front, body io.Reader, length int64) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, f.server.URL, struct{ io.Reader }{body})
	must(t, err)
	req.ContentLength = length
	res, err := f.server.Client().Do(req)
	must(t, err)
	res.Body.Close()
	return res
}

// freed wants nothing to be held after all.
func freed(t *testing.T, f *front) {
	t.Helper()
	until(t, "nothing is kept", func() bool { m, d := f.room.Held(); return m+d == 0 })
}

func testReplayAnywhere(t *testing.T, fw Forwarder) {
	for _, p := range []frontProtocol{frontH1, frontH2} {
		for _, size := range []int{1, 3000, 100_000, 500_000} {
			body := noise(size)
			for _, at := range []int{0, rand.IntN(size), size} {
				for _, length := range []int64{int64(size), -1} {
					addr, arrivals := taking(t)
					f := newFront(t, fw, dyingAfter(t, int64(at)), dyingAfter(t, int64(rand.IntN(size))), addr)
					f.keep = kept(t, 70_000, 500_000)
					f.start(t, p)
					what := fmt.Sprintf("%d of %d bytes, length %d, over %s: ", at, size, length, p)
					equal(t, what+"status", put(t, f, bytes.NewReader(body), length).StatusCode, http.StatusOK)
					equal(t, what+"arrival", receive(t, arrivals), arrival{sha256.Sum256(body), length, http.MethodPut, nil})
					for range f.upstreams {
						x := receive(t, f.exchanges)
						if x.Upstream == addr {
							equal(t, what+"received", x.received.Load(), int64(size))
						}
					}
					freed(t, f)
				}
			}
		}
	}
}

func testReplaySlowClient(t *testing.T, fw Forwarder) {
	first, second := noise(50_000), noise(50_001)
	whole := sha256.Sum256(append(append([]byte{}, first...), second...))
	for _, p := range []frontProtocol{frontH1, frontH2} {
		for _, length := range []int64{100_001, -1} {
			halfway, sum := make(chan struct{}), make(chan [sha256.Size]byte, 1)
			addr := upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) {
				h := sha256.New()
				_, _ = io.CopyN(h, r.Body, int64(len(first)))
				close(halfway)
				_, _ = io.Copy(h, r.Body)
				sum <- [sha256.Size]byte(h.Sum(nil))
			})
			f := newFront(t, fw, dyingAfter(t, 10_000), addr)
			f.keep = kept(t, 200_000, 0)
			f.start(t, p)
			pr, pw := io.Pipe()
			go func() {
				_, _ = pw.Write(first)
				<-halfway // of the second upstream: nothing more has come before
				_, _ = pw.Write(second)
				pw.Close()
			}()
			res := put(t, f, pr, length)
			equal(t, "status", res.StatusCode, http.StatusOK)
			equal(t, "Connection", res.Header.Get("Connection"), "")
			equal(t, "sum", receive(t, sum), whole)
			freed(t, f)
		}
	}
}

func testReplayOutgrown(t *testing.T, fw Forwarder) {
	body := noise(1 << 20)
	for _, p := range []frontProtocol{frontH1, frontH2} {
		for _, length := range []int64{int64(len(body)), -1} {
			addr, arrivals := taking(t)
			f := newFront(t, fw, addr)
			f.keep = kept(t, 50_000, 50_000)
			f.start(t, p)
			equal(t, "status", put(t, f, bytes.NewReader(body), length).StatusCode, http.StatusOK)
			equal(t, "arrival", receive(t, arrivals), arrival{sha256.Sum256(body), length, http.MethodPut, nil})
			must(t, receive(t, f.results))
			freed(t, f)

			f = newFront(t, fw, dyingAfter(t, 500_000), addr)
			f.keep = kept(t, 50_000, 50_000)
			f.start(t, p)
			pr, pw := io.Pipe()
			go func() {
				_, _ = pw.Write(body[:600_000])
				freed(t, f) // while the client still sends
				pw.Close()
			}()
			equal(t, "status of the death", put(t, f, pr, -1).StatusCode, http.StatusBadGateway)
			pr.Close() // the client may have stopped to read it
			equal(t, "BodyRead", attemptError(t, receive(t, f.results), StageSent).BodyRead, true)
			equal(t, "arrivals", len(arrivals), 0)
		}
	}
}

func testReplayDiskFails(t *testing.T, fw Forwarder) {
	body := noise(300_000)
	addr, arrivals := taking(t)
	f := newFront(t, fw, addr)
	f.keep = kept(t, 50_000, gib)
	f.keep.Dir = "/dev/null/not-a-directory"
	f.start(t, frontH1)
	equal(t, "status", put(t, f, bytes.NewReader(body), -1).StatusCode, http.StatusOK)
	equal(t, "arrival", receive(t, arrivals).sum, sha256.Sum256(body))
	freed(t, f)
}
