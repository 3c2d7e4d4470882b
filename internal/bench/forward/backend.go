package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// What can be asked of a backend.
const (
	readyPath  = "/healthz"
	smallPath  = "/small"
	eventsPath = "/events"
	bulkPath   = "/bulk/" // and how many bytes
)

// smallSize is that of the body of a small answer. Its first byte is the color.
const smallSize = 1 << 10

// An event each eventEvery, so that a stream that is gone is missed.
const (
	event      = "data: hello\n\n"
	eventEvery = 200 * time.Millisecond
)

// period is prime: what is missing of a body, or comes twice, is seen in what
// follows it.
const period = 251

// ring is the body of a bulk answer, over and over.
var ring = func() []byte {
	b := make([]byte, period<<12) // 1 MiB
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
}()

// backends are where the two listen.
type backends struct {
	Blue  string `json:"blue"`
	Green string `json:"green"`
}

// serveBackends is the backends' process. It says where they listen.
func serveBackends(in io.Reader, out io.Writer) error {
	var at backends
	for color, address := range map[byte]*string{blue: &at.Blue, green: &at.Green} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		*address = l.Addr().String()
		go newBackend(color).accept(l)
	}
	if err := json.NewEncoder(out).Encode(at); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

// backend answers GETs over HTTP/1.1, with no more of it than proxies need.
type backend struct{ small []byte }

func newBackend(color byte) *backend {
	b := &backend{fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n%c", smallSize, color)}
	for range smallSize - 1 {
		b.small = append(b.small, 'x')
	}
	return b
}

func (b *backend) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = b.serve(c) // the proxy has gone, or is told nothing but the end
		}()
	}
}

// serve answers until the connection is of no more use.
func (b *backend) serve(c net.Conn) error {
	in := bufio.NewReaderSize(c, 4<<10)
	for {
		path, err := readPath(in)
		if err != nil {
			return err
		}
		size, isBulk := strings.CutPrefix(path, bulkPath)
		switch {
		case path == smallPath:
			_, err = c.Write(b.small)
		case isBulk:
			err = writeBulk(c, size)
		case path == eventsPath:
			return writeEvents(c)
		case path == readyPath:
			_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		default:
			_, err = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}
		if err != nil {
			return err
		}
	}
}

// readPath reads the head of a request without a body.
func readPath(in *bufio.Reader) (path string, err error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[0] != "GET" {
		return "", fmt.Errorf("%q is no GET", line)
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if len(line) <= len("\r\n") {
			return parts[1], nil
		}
	}
}

func writeBulk(c net.Conn, size string) error {
	left, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", left)
	for left > 0 && err == nil {
		var n int
		n, err = c.Write(ring[:min(left, int64(len(ring)))])
		left -= int64(n)
	}
	return err
}

// writeEvents goes on until nobody reads any more.
func writeEvents(c net.Conn) error {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n" +
		"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n" // nginx would wait for more
	if _, err := io.WriteString(c, head); err != nil {
		return err
	}
	every := time.NewTicker(eventEvery)
	defer every.Stop()
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
	for ; ; <-every.C {
		if _, err := io.WriteString(c, chunk); err != nil {
			return err
		}
	}
}
