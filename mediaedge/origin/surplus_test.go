package origin

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// more answers each request on a connection, and sends more than it announced.
func more(c net.Conn) {
	p := make([]byte, 16<<10)
	for {
		if _, err := io.WriteString(c, ok+"Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"); err != nil {
			return
		}
		if _, err := c.Read(p); err != nil {
			return
		}
	}
}

func TestWhatComesAfterTheAnnouncedLengthReachesNobody(t *testing.T) {
	log.SetOutput(io.Discard) // net/http tells the world
	defer log.SetOutput(os.Stderr)
	o := made(t, Config{Endpoints: at(raw(t, more)), MaxConns: 2})
	var running sync.WaitGroup
	var right atomic.Int32
	for range 8 {
		running.Go(func() {
			for range 150 {
				g := fetch(t, o.Object("/a", ""), http.MethodGet, nil)
				if g.err == nil && (string(g.body) != "abc" || g.ContentLength != 3) {
					t.Errorf("got %q", g.body)
				}
				if g.err != nil {
					g.wants(t, 502, "")
				} else {
					right.Add(1)
				}
			}
		})
	}
	running.Wait()
	if right.Load() == 0 {
		t.Error("and nothing else does either")
	}
}
