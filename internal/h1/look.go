package h1

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// sight is what waits on a connection on which nothing should.
type sight uint8

const (
	sightNothing sight = iota
	sightBytes         // or more than was asked for
	sightEnd           // or an error
)

// peek looks at a socket without taking anything, or waiting.
func peek(fd uintptr) sight {
	var b [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return sightNothing
		case err == nil && n > 0:
			return sightBytes
		default:
			return sightEnd
		}
	}
}

// peeker looks at sockets, one at a time, and keeps what a look needs. The zero
// value is ready.
type peeker struct {
	look func(fd uintptr)
	seen sight
}

// at looks without taking anything, or waiting.
func (p *peeker) at(raw syscall.RawConn) sight {
	if p.look == nil {
		p.look = func(fd uintptr) { p.seen = peek(fd) }
	}
	if raw.Control(p.look) != nil { // Read would want a deadline that has not passed
		return sightEnd
	}
	return p.seen
}

// What waits below a layer may turn out to be the layer's own: many TLS servers
// send tickets after the handshake, which lie there until the first Read. That
// Read waits for its deadline, short at first, and longer where that was too
// short for it to begin.
const (
	settleFirst = time.Millisecond
	settleLast  = 16 * time.Millisecond
)

// look reports what waits on an idle connection. It takes bytes only of a
// connection that is then useless, and waits only for a layer to settle.
func (c *Conn) look() sight {
	if c.raw == nil {
		return sightNothing
	}
	below := c.peek.at(c.raw)
	if c.layered == nil || below == sightEnd {
		return below
	}
	if below == sightNothing {
		// The layer's own buffers answer a Read even after the deadline.
		return c.lookInside(time.Unix(1, 0))
	}
	for settle := settleFirst; settle <= settleLast && below == sightBytes; settle *= 2 {
		if inside := c.lookInside(time.Now().Add(settle)); inside != sightNothing {
			return inside
		}
		below = c.peek.at(c.raw)
	}
	return below
}

// lookInside reads what a layer has for us before the deadline.
func (c *Conn) lookInside(deadline time.Time) sight {
	if c.nc.SetReadDeadline(deadline) != nil {
		return sightEnd
	}
	var b [1]byte
	n, err := c.nc.Read(b[:])
	switch {
	case n > 0:
		return sightBytes
	case !errors.Is(err, os.ErrDeadlineExceeded) || c.nc.SetReadDeadline(time.Time{}) != nil:
		return sightEnd
	}
	return sightNothing
}
