package h1

import (
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection to an upstream, with one exchange at a time.
//
// Of the methods that write (WriteHead, Write, Flush, End) one may run at a
// time, and of those that read (AwaitContinue, ReadHead, Read, Took) one; both
// kinds may run at once, after WriteHead. Close, Cancel and the
// deadlines may be called by anybody. All others want both kinds to be over.
type Conn struct {
	nc      net.Conn
	tcp     *net.TCPConn    // nc, where it is one
	raw     syscall.RawConn // of the socket, to look at it; nil: cannot be
	layered net.Conn        // what nc is put on, where it may hold bytes itself (TLS); else nil
	limits  Limits
	peek    peeker // for whoever has the connection while it is idle

	turn  atomic.Uint64 // the number of the exchange, doubled; odd: closed
	timed atomic.Bool   // a deadline was set

	out outgoing
	in  incoming

	home               *Pool     // nil: it is in none
	idleSince, expires time.Time // home's
	lent               bool      // guarded by home.mu
}

// outgoing is the request's side of an exchange.
type outgoing struct {
	buf      *buffer // what is not yet written; nil: nothing
	begun    bool    // a byte of a request may have left
	done     bool    // all of it has
	close    bool    // it said that the connection ends
	chunked  bool
	left     int64 // of content with a known length
	trailers []string
	err      error
}

// incoming is the response's side.
type incoming struct {
	buf     *buffer // what was read ahead; nil: nothing
	r       int     // what of it was taken
	section section
	whole   int // length of the section at r; 0: not known
	base    int64

	head    bool // the answer is to a HEAD
	upgrade bool // 101 was asked for
	started bool // a byte of an answer has come
	interim int
	headed  bool // the final head was read
	frame
	chunks  chunks
	trailer http.Header
	done    bool // the body has ended as it should
	surplus bool // something came behind it
	gone    bool // hijacked
	err     error
}

// NewConn makes a Conn of a connection that has been dialed, its handshake
// done. What it is put on is found by its method NetConn. A connection whose
// socket cannot be looked at serves once.
func NewConn(nc net.Conn, limits Limits) *Conn {
	c := &Conn{nc: nc, limits: limits.withDefaults()}
	c.tcp, _ = nc.(*net.TCPConn)
	below := nc
	for {
		over, ok := below.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		below = over.NetConn()
		c.layered = below
	}
	if s, ok := below.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	return c
}

// NetConn is the connection that NewConn was given.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Close ends the connection, and whatever goes on over it, with KindClosed. A
// second call does nothing.
func (c *Conn) Close() error {
	for {
		t := c.turn.Load()
		if t&1 != 0 {
			return nil
		}
		if c.turn.CompareAndSwap(t, t|1) {
			return c.nc.Close()
		}
	}
}

// Exchange names the exchange that is going on, for Cancel.
func (c *Conn) Exchange() uint64 { return c.turn.Load() }

// Cancel is Close if the exchange is still the one named, and otherwise does
// nothing: it may come late. It reports which. It does not wait for the peer,
// nor take leave of it.
func (c *Conn) Cancel(exchange uint64) bool {
	if exchange&1 != 0 || !c.turn.CompareAndSwap(exchange, exchange|1) {
		return false
	}
	if c.layered != nil {
		_ = c.layered.Close() // a good-bye in TLS may wait for a peer that does not read
	} else {
		_ = c.nc.Close()
	}
	return true
}

// SetReadDeadline is net.Conn's. It also ends a Read that is going on.
// A timer that may fire late is to Cancel instead: a deadline would meet the next
// exchange.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.nc.SetReadDeadline(t)
}

// Reusable reports whether the connection may serve another exchange: it has
// had none, or this one has ended cleanly on both sides, the peer agrees, and
// nothing was left over. What has come since is for the pool to look at.
func (c *Conn) Reusable() bool {
	if c.turn.Load()&1 != 0 || c.raw == nil && c.out.begun {
		return false
	}
	if !c.out.begun {
		return c.out.err == nil && c.in.err == nil && !c.ahead()
	}
	return c.out.done && c.out.err == nil && !c.out.close &&
		c.in.done && c.in.err == nil && c.in.keep && !c.in.surplus && !c.in.gone && !c.ahead()
}

// ahead reports whether bytes were read that nobody has taken.
func (c *Conn) ahead() bool { return c.in.buf != nil && c.in.r < len(c.in.buf.b) }

// Next ends an exchange. If the connection is Reusable it is then ready for
// another one, without deadlines; if not, it is closed, and Next returns false.
// A Cancel of the exchange that has ended does nothing from here on.
func (c *Conn) Next() bool {
	ok := c.Reusable() && (!c.timed.Load() || c.nc.SetDeadline(time.Time{}) == nil)
	c.out.buf.giveBack()
	c.in.buf.giveBack()
	t := c.turn.Load()
	c.out, c.in = outgoing{}, incoming{}
	if ok && t&1 == 0 && c.turn.CompareAndSwap(t, t+2) {
		c.timed.Store(false)
		return true
	}
	c.Cancel(c.turn.Load())
	return false
}

// Hijack takes the connection over, as after a 101. What was read beyond the
// head comes along. The Conn is at its end: neither Close nor Cancel nor a pool
// touch the connection from here on. ok is false if it has been closed.
func (c *Conn) Hijack() (nc net.Conn, ahead []byte, ok bool) {
	t := c.turn.Load()
	if t&1 != 0 || !c.turn.CompareAndSwap(t, t|1) {
		return nil, nil, false
	}
	if c.ahead() {
		ahead = append(ahead, c.in.buf.b[c.in.r:]...)
	}
	c.dropAhead()
	c.in.gone = true
	return c.nc, ahead, true
}

func (c *Conn) dropAhead() {
	c.in.buf.giveBack()
	c.in.buf, c.in.r = nil, 0
}
