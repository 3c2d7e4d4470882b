package h1

import (
	"net/http"
	"slices"
	"strconv"
)

// WriteHead begins an exchange. A request without content, or one that Expects,
// is sent at once; the head of any other goes with what is written first, or at
// Flush. An Error with StageRefused means that nothing was sent, and that the
// connection is as it was.
func (c *Conn) WriteHead(r *Request) error {
	if c.out.begun || c.in.headed || c.ahead() {
		return misuse(StageRefused, "an exchange is going on")
	}
	buf := borrow()
	b, what := r.append(buf.b)
	if what != "" {
		buf.giveBack()
		return flaw{what: what, at: -1}.error(StageRefused, 0)
	}
	buf.b = b
	c.out = outgoing{buf: buf, begun: true, close: r.Close, chunked: r.Length < 0, left: max(r.Length, 0), trailers: r.Trailers}
	c.in.head, c.in.upgrade = r.Method == http.MethodHead, r.Upgrade != ""
	switch {
	case r.Length == 0:
		if err := c.Flush(); err != nil {
			return err
		}
		c.out.done = true
	case r.Expect:
		return c.Flush()
	}
	return nil
}

// Flush sends what was held back.
func (c *Conn) Flush() error {
	if c.out.err != nil || c.out.buf == nil {
		return c.out.err
	}
	_, err := c.nc.Write(c.out.buf.b)
	c.out.buf.giveBack()
	c.out.buf = nil
	if err != nil {
		c.out.err = broken(StageSending, err)
	}
	return c.out.err
}

// Write sends content. More of it than Length was said to be is an error, and
// none of p is sent then. After any error the connection cannot serve again, but
// an answer may have come all the same: ask ReadHead.
func (c *Conn) Write(p []byte) (int, error) {
	switch {
	case c.out.err != nil:
		return 0, c.out.err
	case len(p) == 0:
		return 0, nil
	case !c.out.begun || c.out.done:
		return 0, c.spoil("content where there is none")
	case c.out.chunked:
		return c.writeChunks(p)
	case int64(len(p)) > c.out.left:
		return 0, c.spoil("more content than was announced")
	}
	if c.out.buf != nil && len(c.out.buf.b)+len(p) <= wholePiece {
		c.out.buf.b = append(c.out.buf.b, p...)
		if err := c.Flush(); err != nil {
			return 0, err
		}
		c.out.left -= int64(len(p))
		return len(p), nil
	}
	if err := c.Flush(); err != nil {
		return 0, err
	}
	n, err := c.nc.Write(p)
	c.out.left -= int64(n)
	if err != nil {
		c.out.err = broken(StageSending, err)
	}
	return n, c.out.err
}

// writeChunks sends p in chunks that are gathered with their framing.
func (c *Conn) writeChunks(p []byte) (n int, err error) {
	for n < len(p) {
		if c.out.buf == nil {
			c.out.buf = borrow()
		}
		piece := p[n:min(n+wholePiece, len(p))]
		b := strconv.AppendInt(c.out.buf.b, int64(len(piece)), 16)
		b = append(append(b, "\r\n"...), piece...)
		c.out.buf.b = append(b, "\r\n"...)
		if err := c.Flush(); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// End ends the content. Less of it than Length was said to be is an error. A
// trailer goes behind chunks, as far as its names were announced.
func (c *Conn) End(trailer http.Header) error {
	switch {
	case c.out.err != nil:
		return c.out.err
	case !c.out.begun:
		return c.spoil("the end of content where there is none")
	case c.out.done:
		return nil
	case c.out.left > 0:
		return c.spoil("less content than was announced")
	}
	if c.out.chunked {
		if err := c.appendEnd(trailer); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.out.done = true
	return nil
}

// appendEnd has the last chunk sent with the next Flush.
func (c *Conn) appendEnd(trailer http.Header) error {
	if c.out.buf == nil {
		c.out.buf = borrow()
	}
	b := append(c.out.buf.b, "0\r\n"...)
	for name, values := range trailer {
		if reserved(name) || !slices.Contains(c.out.trailers, name) {
			continue
		}
		for _, value := range values {
			var what string
			if b, what = appendField(b, name, value); what != "" {
				return c.spoil(what)
			}
		}
	}
	c.out.buf.b = append(b, "\r\n"...)
	return nil
}

// spoil is for a request that cannot be sent as it was begun.
func (c *Conn) spoil(what string) error {
	c.out.buf.giveBack()
	c.out.buf = nil
	c.out.err = misuse(StageSending, what)
	return c.out.err
}
