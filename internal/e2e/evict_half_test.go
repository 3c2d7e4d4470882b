package e2e

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

	"github.com/greenroom-proxy/greenroom/switcher"
)

// A WebSocket's upstream and client of which one side says a whole frame, half
// of another, and then nothing for ever. The key of a client's mask is zero.
var halves = map[string]struct{ fromUpstream, fromClient string }{
	"the upstream's": {fromUpstream: "\x82\x05whole\x82\x7e\x03\xe8" + strings.Repeat("h", 400)},
	"the client's":   {fromClient: "\x82\x85\x00\x00\x00\x00whole\x82\xfe\x03\xe8\x00\x00\x00\x00" + strings.Repeat("h", 400)},
}

func TestAWebSocketInTheMiddleOfAFrameIsCutAndTheFrameNotTorn(t *testing.T) {
	for side, half := range halves {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 1)
			blue := newBackend(t, mute(half.fromUpstream, heard))
			e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n drain_timeout 200ms\n evict 10\n}",
				blue.address, newBackend(t, saying("green")).address))
			e.start()
			e.healthy()
			conn, in := openMute(t, e)
			if _, err := io.WriteString(conn, half.fromClient); err != nil {
				t.Fatal(err)
			}
			want := half.fromUpstream
			got := make([]byte, len(want))
			if _, err := io.ReadFull(in, got); err != nil {
				t.Fatal(err)
			}
			e.until("the half frame has passed", func() bool {
				page, err := e.client().Streams(t.Context(), "app", switcher.StreamQuery{})
				return err == nil && len(page.Streams) == 1 && page.Streams[0].Received+page.Streams[0].Sent >= int64(len(want)+len(half.fromClient))
			})
			if _, err := e.client().Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green}); err != nil {
				t.Fatal(err)
			}
			toClient := string(got) + untilCut(t, in)
			toUpstream := <-heard
			checkHalf(t, "client", toClient, half.fromUpstream, false)
			checkHalf(t, "upstream", toUpstream, half.fromClient, true)
			e.evicted(1)
		})
	}
}

// checkHalf wants what the other side said and nothing else, or a whole close
// frame with 1012 where it said nothing.
func checkHalf(t *testing.T, who, got, said string, masked bool) {
	t.Helper()
	switch {
	case said != "":
		if got != said {
			t.Errorf("the %s got %d bytes, not the %d that were said: …%q", who, len(got), len(said), got[min(len(got), len(said)):])
		}
		return
	case len(got) < 2 || got[0] != 0x88:
		t.Errorf("the %s got %q, not a close frame", who, got)
		return
	}
	payload := []byte(got[2:])
	if masked && len(payload) > 4 {
		key := payload[:4]
		for i := range payload[4:] {
			payload[4+i] ^= key[i%4]
		}
		payload = payload[4:]
	}
	if int(got[1]&0x7f) != len(payload) || masked != (got[1]&0x80 != 0) || !strings.HasPrefix(string(payload), "\x03\xf4") {
		t.Errorf("the %s got %q, not one whole close frame with 1012", who, got)
	}
}

// mute accepts a WebSocket, says what it is told, and then only listens. What it
// has heard comes when its connection ends.
func mute(says string, heard chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"+says)
		all, _ := io.ReadAll(brw)
		heard <- string(all)
	})
}

// openMute opens a WebSocket by hand.
func openMute(t *testing.T, e *edge) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", e.http)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", e.http)
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return conn, in
		}
	}
}

// untilCut returns what comes until the connection ends, in whatever way.
func untilCut(t *testing.T, in io.Reader) string {
	t.Helper()
	all, err := io.ReadAll(in)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	return string(all)
}
