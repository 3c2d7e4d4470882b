package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestAClientThatStillSendsReadsTheRefusalBeforeAReset: many clients, Go's
// among them, take a failed write for the answer. So between the answer and the
// end of a connection that the client still writes to there is a while, in which
// writing is harmless (RFC 9112 §9.6). The while is half a second of net/http's,
// which a busy machine may miss: one of many clients must meet with it.
func TestAClientThatStillSendsReadsTheRefusalBeforeAReset(t *testing.T) {
	for name, replay := range map[string]string{"kept bodies": "replay", "streamed bodies": ""} {
		t.Run(name, func(t *testing.T) { stillSends(t, replay) })
	}
}

func stillSends(t *testing.T, replay string) {
	deadly := newBackend(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 1))
		panic(http.ErrAbortHandler)
	}))
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue %s
			green %[1]s
			health tcp
			%s
		}`, deadly.address, replay))
	e.start()
	e.healthy()

	var err error
	for range 10 {
		if err = refusedWhileSending(t, e.http); err == nil {
			return
		}
	}
	t.Errorf("after the answer: %v", err)
	e.explain()
}

// refusedWhileSending begins an upload, reads the answer to the end of the
// connection, and goes on to send.
func refusedWhileSending(t *testing.T, address string) error {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8388608\r\n\r\n"+strings.Repeat("a", 64<<10)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(c)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusBadGateway {
		return fmt.Errorf("%s instead of the refusal", resp.Status)
	}
	if _, err := io.Copy(io.Discard, answers); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.Write(make([]byte, 1024)); err != nil {
			return err
		}
	}
	return nil
}
