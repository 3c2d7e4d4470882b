package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// client is a connection. It speaks just as much HTTP/1.1 as it must: what it
// takes of the processors, the proxy does not get.
type client struct {
	net.Conn
	in  *bufio.Reader
	raw syscall.RawConn
	// reused: it has brought an answer before.
	reused bool
}

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &client{Conn: conn, in: bufio.NewReaderSize(conn, 8<<10), raw: raw}, nil
}

// ended looks whether the server has closed the connection, before it is used once more: who
// reads it may learn of that late on a busy machine, which is no fault of a proxy.
func (c *client) ended() (is bool) {
	err := c.raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		is = n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET)
	})
	return is || err != nil
}

// dialAll opens so many connections.
func dialAll(address string, n int) (all []*client, err error) {
	for range n {
		c, err := dial(address)
		if err != nil {
			hangUp(all)
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func hangUp(all []*client) {
	for _, c := range all {
		_ = c.Close()
	}
}

// requestFor is what all that ask for a path write.
func requestFor(address, path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", path, address)
}

// allow lets what follows take so long at most. It costs a little: once for many
// requests.
func (c *client) allow(d time.Duration) { _ = c.SetDeadline(time.Now().Add(d + rig.Patience)) }

// readHead reads a head that must have the status 200 and, if it is not -1, the
// length.
func (c *client) readHead(length int64) (last bool, err error) {
	h, err := rig.ReadHead(c.in)
	if err != nil {
		return false, err
	}
	if h.Status != 200 || h.Length != length {
		return false, fmt.Errorf("the status is %d and Content-Length %d, want 200 and %d", h.Status, h.Length, length)
	}
	return h.Close, nil
}

// readSmall reads a small answer, and says whose it is and whether it is the last
// on this connection.
func (c *client) readSmall() (color byte, last bool, err error) {
	if last, err = c.readHead(smallSize); err != nil {
		return 0, last, err
	}
	body, err := c.in.Peek(smallSize)
	if err != nil {
		return 0, last, inBody(err)
	}
	color = body[0]
	if color != blue && color != green || body[smallSize-1] != 'x' {
		return 0, last, fmt.Errorf("a body that begins with %q and ends with %q", color, body[smallSize-1])
	}
	c.reused = true
	_, err = c.in.Discard(smallSize)
	return color, last, err
}

// readBulk reads a bulk answer through a buffer. What each read brings must begin
// and end with the right bytes.
func (c *client) readBulk(size int64, buffer []byte) error {
	last, err := c.readHead(size)
	if err != nil {
		return err
	}
	if last {
		return fmt.Errorf("the connection is not kept")
	}
	for at := int64(0); at < size; {
		n, err := c.in.Read(buffer[:min(int64(len(buffer)), size-at)])
		if n > 0 && (buffer[0] != byte(at%period) || buffer[n-1] != byte((at+int64(n)-1)%period)) {
			return fmt.Errorf("other bytes than the backend has, at %d", at)
		}
		at += int64(n)
		if err != nil {
			return inBody(err)
		}
	}
	return nil
}

// inBody tells an end in the middle from one before an answer (see unanswered).
func inBody(err error) error { return fmt.Errorf("in a body: %v", err) }

// unanswered is whether the server closed a connection that had been in use instead of
// answering, as it does where it has just closed one that was idle: then clients
// send again what is idempotent, as they may (RFC 9112 §9.3.1).
func (c *client) unanswered(err error) bool {
	return c.reused && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed))
}
