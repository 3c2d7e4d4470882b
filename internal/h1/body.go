package h1

import (
	"io"
	"net"
	"net/http"
)

// Read reads content, without its framing. io.EOF, which may come together with
// the last bytes, says that it is complete: as long as its head said, or with
// its last chunk, or ended by the peer where nothing else would tell. Any other
// end is an *Error, and final but for KindTimeout.
func (c *Conn) Read(p []byte) (int, error) {
	switch {
	case c.in.err != nil:
		return 0, c.in.err
	case c.in.done:
		return 0, io.EOF
	case !c.in.headed:
		return 0, misuse(StageBody, "the head was not read")
	case len(p) == 0:
		return 0, nil
	case c.in.kind == bodyChunked:
		return c.readChunked(p)
	}
	if c.in.kind == bodyLength {
		p = p[:min(int64(len(p)), c.in.length)]
	}
	n, err := c.readSome(p)
	if c.in.kind == bodyLength {
		if c.in.length -= int64(n); c.in.length == 0 {
			c.ended()
			return n, io.EOF
		}
	}
	switch {
	case err == io.EOF && c.in.kind == bodyUntilClose:
		c.ended()
		return n, io.EOF
	case err != nil:
		return n, c.bodyBroken(err)
	}
	return n, nil
}

// Await waits until there is something to Read, be it an error. It returns false,
// at once, where a connection cannot be waited for in that way: one with a layer.
func (c *Conn) Await() bool {
	if c.raw == nil || c.layered != nil {
		return false
	}
	if !c.ahead() && c.in.err == nil && !c.in.done {
		_ = c.raw.Read(func(fd uintptr) bool { return peek(fd) != sightNothing }) // its errors are Read's too
	}
	return true
}

// bodyBroken ends the reading, unless a deadline did, which may be set anew.
func (c *Conn) bodyBroken(err error) error {
	e := broken(StageBody, err)
	if e.Kind != KindTimeout {
		c.in.err = e
	}
	return e
}

// readSome reads what is next on the wire: what was read ahead, or more.
func (c *Conn) readSome(p []byte) (int, error) {
	if !c.ahead() {
		return c.nc.Read(p)
	}
	n := copy(p, c.in.buf.b[c.in.r:])
	if c.in.r += n; !c.ahead() {
		c.dropAhead()
	}
	return n, nil
}

// readChunked reads the wire into p and takes the framing off in place.
func (c *Conn) readChunked(p []byte) (int, error) {
	if c.in.chunks.state == chunkTrailer { // a deadline has passed in it
		if err := c.readTrailer(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	for {
		raw, err := c.readSome(p)
		n, taken, f := c.in.chunks.decode(p, p[:raw])
		if f.what != "" {
			c.in.base = c.in.chunks.at
			return n, c.refuse(f, StageBody)
		}
		c.in.chunks.at += int64(taken)
		if c.in.chunks.state == chunkTrailer {
			c.unread(p[taken:raw])
			if err := c.readTrailer(); err != nil {
				return n, err
			}
			return n, io.EOF
		}
		if err != nil {
			return n, c.bodyBroken(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// unread puts what was read too far before what was read ahead.
func (c *Conn) unread(p []byte) {
	if len(p) == 0 {
		return
	}
	buf := borrow()
	buf.b = append(buf.b, p...)
	if c.ahead() {
		buf.b = append(buf.b, c.in.buf.b[c.in.r:]...)
	}
	c.dropAhead()
	c.in.buf = buf
}

// readTrailer reads what stands behind the last chunk, to the response's end.
func (c *Conn) readTrailer() error {
	c.in.base = c.in.chunks.at
	for {
		if c.in.buf != nil {
			b := c.in.buf.b[c.in.r:]
			var f flaw
			if c.in.whole, f = c.in.section.end(b); f.what != "" {
				return c.refuse(f, StageBody)
			}
			if c.in.whole > c.limits.Trailer || c.in.whole == 0 && len(b) >= c.limits.Trailer {
				return c.refuse(flaw{what: "a trailer", at: c.limits.Trailer, large: true}, StageBody)
			}
			if c.in.whole > 0 {
				break
			}
		}
		if err := c.more(c.limits.Trailer); err != nil {
			return err
		}
	}
	h, err := c.take(0, nil, StageBody)
	if err != nil {
		return err
	}
	for name := range h {
		switch {
		case framing(name):
			return c.refuse(flaw{what: "a field of the framing in the trailer", at: -1}, StageBody)
		case reserved(name):
			delete(h, name)
		}
	}
	if len(h) > 0 {
		c.in.trailer = h
	}
	c.ended()
	return nil
}

// Trailer has the fields that came behind a chunked body, once Read has
// returned io.EOF. nil: none came. Hop-by-hop ones are left out.
func (c *Conn) Trailer() http.Header { return c.in.trailer }

// Bulk gives a body of known length on plain TCP away, to be spliced: ahead is
// what was read of it, and comes first; left is how much follows in all, ahead
// too. The caller takes no more than left, and tells Took of all it has taken.
// ahead is good until then. ok is false where the body is not like that: then
// there is only Read.
func (c *Conn) Bulk() (ahead []byte, tcp *net.TCPConn, left int64, ok bool) {
	if c.tcp == nil || c.in.err != nil || !c.in.headed || c.in.done || c.in.kind != bodyLength {
		return nil, nil, 0, false
	}
	if c.ahead() {
		ahead = c.in.buf.b[c.in.r:]
		ahead = ahead[:min(int64(len(ahead)), c.in.length)]
	}
	return ahead, c.tcp, c.in.length, true
}

// Took accounts for n bytes of what Bulk gave, and drops them from what is
// ahead. io.EOF says that the body is complete, nil that it is not: Read or Bulk
// go on.
func (c *Conn) Took(n int64) error {
	if c.in.err != nil {
		return c.in.err
	}
	if c.in.done && n == 0 {
		return io.EOF
	}
	if _, _, left, ok := c.Bulk(); !ok || n < 0 || n > left {
		c.in.err = misuse(StageBody, "more was taken than there is")
		return c.in.err
	}
	if c.ahead() {
		c.in.r += int(min(n, int64(len(c.in.buf.b)-c.in.r)))
		if !c.ahead() {
			c.dropAhead()
		}
	}
	if c.in.length -= n; c.in.length == 0 {
		c.ended()
		return io.EOF
	}
	return nil
}
