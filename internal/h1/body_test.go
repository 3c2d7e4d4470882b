package h1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestReadingGoesOnAfterADeadline(t *testing.T) {
	more := make(chan string)
	conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
		if hear(br) == nil {
			for s := range more {
				_, _ = io.WriteString(nc, s)
			}
			_, _ = br.ReadByte()
		}
	}))
	must(t, conn.WriteHead(get))
	var got strings.Builder
	p := make([]byte, 64)
	headed := false
	for _, s := range []string{"HTT", "P/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n", "5\r", "\nhel", "lo\r\n0\r\n", "X: y\r", "\n\r\n"} {
		more <- s
		for {
			deadline := time.Now().Add(20 * time.Millisecond)
			if s == "\n\r\n" { // the last
				deadline = time.Time{}
			}
			must(t, conn.SetReadDeadline(deadline))
			var err error
			n := 0
			if !headed {
				_, err = conn.ReadHead(nil, nil)
				headed = err == nil
			} else {
				n, err = conn.Read(p)
				got.Write(p[:n])
			}
			if e, ok := errors.AsType[*Error](err); ok && e.Timeout() {
				break
			} else if err == io.EOF {
				close(more)
				equal(t, "body", got.String(), "hello")
				equal(t, "trailer", conn.Trailer().Get("X"), "y")
				equal(t, "reusable", conn.Reusable(), true)
				return
			}
			must(t, err)
		}
	}
	close(more)
	t.Error("no end")
}

func TestBulkAccountsForEveryByte(t *testing.T) {
	body := strings.Repeat("0123456789", 20<<10)
	dial := serve(t, func(nc net.Conn, br *bufio.Reader) {
		for hear(br) == nil {
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 204800\r\n\r\n"+body)
		}
	})
	conn := connect(t, dial)
	for range 3 {
		must(t, conn.WriteHead(get))
		_, err := conn.ReadHead(nil, nil)
		must(t, err)
		var got strings.Builder
		p := make([]byte, 10)
		n, err := conn.Read(p) // and now the rest otherwise
		must(t, err)
		got.Write(p[:n])
		for err = nil; err == nil; {
			ahead, tcp, left, ok := conn.Bulk()
			equal(t, "bulk", ok, true)
			equal(t, "left", left, int64(len(body)-got.Len()))
			m := int64(len(ahead))
			if m > 0 {
				got.Write(ahead)
			} else {
				m, err = io.Copy(&got, &io.LimitedReader{R: tcp, N: min(max(left-1, 1), 50_000)})
				must(t, err)
			}
			err = conn.Took(m)
		}
		equal(t, "end", err, io.EOF)
		equal(t, "whole", got.String() == body, true)
		equal(t, "next", conn.Next(), true)
	}
	must(t, conn.WriteHead(get))
	_, err := conn.ReadHead(nil, nil)
	must(t, err)
	failed(t, conn.Took(int64(len(body)+1)), StageBody, KindMisuse, "more was taken")
	equal(t, "next", conn.Next(), false)
}
