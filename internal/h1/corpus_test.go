package h1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// verdict runs one exchange with c, in reads of size bytes, and says what came
// of it, in the language of responses.
func verdict(c *Conn, head bool, size int) string {
	r := *get
	if head {
		r.Method = "HEAD"
	}
	if err := c.WriteHead(&r); err != nil {
		return "! " + err.Error()
	}
	res, err := c.ReadHead(nil, nil)
	if err != nil {
		return "! " + err.Error()
	}
	var body []byte
	for p := make([]byte, size); ; {
		n, err := c.Read(p)
		body = append(body, p[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "! " + err.Error()
		}
	}
	s := fmt.Sprintf("%d %s", res.Status, body)
	if !c.out.done || !c.in.keep || c.in.surplus || c.ahead() {
		s += "; close"
	}
	return s
}

// meets reports whether a verdict is the one wanted.
func meets(got, want string) bool {
	texts, refused := strings.CutPrefix(want, "! ")
	if !refused {
		return got == want
	}
	for text := range strings.SplitSeq(texts, "|") {
		if strings.HasPrefix(got, "! ") && strings.Contains(got, text) {
			return true
		}
	}
	return false
}

func TestResponsesAreReadInOneWayOrRefused(t *testing.T) {
	for _, c := range responses {
		t.Run(c[0], func(t *testing.T) {
			head := strings.HasPrefix(c[0], "HEAD")
			for _, piece := range []int{0, 1, 2, 3, 7} {
				for _, size := range []int{1, 3, 512, 64 << 10} {
					if len(c[1]) > 4096 && (piece > 0 && piece < 7 || size < 512) {
						continue
					}
					want := c[2]
					got := verdict(NewConn(&script{say: c[1], piece: piece}, Limits{}), head, size)
					// What was not read yet is for the pool to see.
					if !meets(got, want) && (piece == 0 && size == 64<<10 || !meets(got, strings.TrimSuffix(want, "; close"))) {
						t.Errorf("in pieces of %d, read by %d: got %.200q, want %.200q", piece, size, got, want)
					}
				}
			}
		})
	}
}

func TestResponsesOverRealSocketsLeaveOnlyCleanConnections(t *testing.T) {
	for _, c := range responses {
		t.Run(c[0], func(t *testing.T) {
			pool := NewPool(Config{Dial: serve(t, func(nc net.Conn, br *bufio.Reader) {
				if hear(br) != nil {
					return
				}
				_, _ = io.WriteString(nc, c[1])
				if !meets(c[2], "! unexpected EOF") && !strings.Contains(c[2], "close") {
					<-t.Context().Done() // until the Cleanup closes it
				}
			})})
			defer pool.Close()
			conn, _, err := pool.Get(t.Context(), now)
			must(t, err)
			got := verdict(conn, strings.HasPrefix(c[0], "HEAD"), 4096)
			if !meets(got, c[2]) && !meets(got, strings.TrimSuffix(c[2], "; close")) {
				t.Errorf("got %.200q, want %.200q", got, c[2])
			}
			pool.Put(conn, now)
			if strings.HasSuffix(c[2], "; close") || strings.HasPrefix(c[2], "! ") {
				eventually(t, "the connection is useless", func() bool {
					pool.mu.Lock()
					defer pool.mu.Unlock()
					return len(pool.idle) == 0 || pool.idle[0].Waiting()
				})
			} else {
				equal(t, "idle connections", pool.Stats().Idle, 1)
			}
		})
	}
}

// Of what is cut anywhere, nothing looks whole that is not.
func TestATruncatedResponseIsNeverTakenForWhole(t *testing.T) {
	for _, whole := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-T: y\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\n\r\n",
	} {
		for cutAt := range len(whole) {
			for _, piece := range []int{0, 1} {
				for _, end := range []error{nil, errors.New("reset")} {
					got := verdict(NewConn(&script{say: whole[:cutAt], piece: piece, end: end}, Limits{}), false, 4096)
					if !strings.HasPrefix(got, "! ") {
						t.Errorf("%q, cut at %d: %q", whole, cutAt, got)
					}
				}
			}
		}
		if got := verdict(NewConn(&script{say: whole}, Limits{}), false, 4096); strings.HasPrefix(got, "! ") {
			t.Errorf("whole: %s", got)
		}
	}
}
