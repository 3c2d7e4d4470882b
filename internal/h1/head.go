package h1

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Response is the head of a final response, or of a 101.
type Response struct {
	Status int
	// Header has the fields, with names in canonical form, hop-by-hop ones
	// too. Its strings are parts of one: who keeps one keeps all.
	Header http.Header
	// Length is how much content follows. -1: only its end tells.
	Length int64
	// Announced are the fields that may follow the content, in canonical
	// form: Trailer has them then.
	Announced []string
}

// AwaitContinue waits after a head that Expects for leave to send the content:
// 100 (Continue), or the read deadline of the caller, which asks for no leave
// (RFC 9110 §10.1.1). proceed is false if there is a final response instead,
// which ReadHead returns then; the content need not be sent.
func (c *Conn) AwaitContinue(interim func(status int, h http.Header) error) (proceed bool, err error) {
	for {
		status, minor, err := c.awaitHead()
		if err != nil {
			return err.Kind == KindTimeout, unlessTimeout(err)
		}
		if status >= 200 || status == http.StatusSwitchingProtocols {
			return false, nil
		}
		if err := c.passInterim(status, minor, interim); err != nil {
			return false, err
		}
		if status == http.StatusContinue {
			return true, nil
		}
	}
}

func unlessTimeout(err *Error) error {
	if err.Kind == KindTimeout {
		return nil
	}
	return err
}

// ReadHead waits for the final response. Interim ones but 100 go to interim,
// which may be nil, and whose error ends the exchange; 101 is final, and an
// error unless it was asked for. The fields go into h, which is cleared; if it
// is nil, a new one is made. After KindTimeout it may be called again.
func (c *Conn) ReadHead(h http.Header, interim func(status int, h http.Header) error) (Response, error) {
	for {
		status, minor, err := c.awaitHead()
		if err != nil {
			return Response{}, err
		}
		if status >= 200 || status == http.StatusSwitchingProtocols {
			return c.finalHead(status, minor, h)
		}
		if err := c.passInterim(status, minor, interim); err != nil {
			return Response{}, err
		}
	}
}

// awaitHead waits until a whole head is in the buffer, and leaves it there.
func (c *Conn) awaitHead() (status, minor int, err *Error) {
	switch {
	case c.in.err != nil:
		return 0, 0, c.in.err.(*Error)
	case !c.out.begun:
		return 0, 0, misuse(StageWaiting, "no request was sent")
	case c.in.headed:
		return 0, 0, misuse(StageBody, "the head was read")
	}
	for c.in.whole == 0 {
		if c.in.buf != nil {
			b := c.in.buf.b[c.in.r:]
			if m := min(len(b), len(version)); string(b[:m]) != version[:m] {
				return 0, 0, c.refuse(flaw{what: "no HTTP/1 status line"}, StageHead)
			}
			var f flaw
			if c.in.whole, f = c.in.section.end(b); f.what != "" {
				return 0, 0, c.refuse(f, StageHead)
			}
			if c.in.whole > c.limits.Head || c.in.whole == 0 && len(b) >= c.limits.Head {
				return 0, 0, c.refuse(flaw{what: "a head", at: c.limits.Head, large: true}, StageHead)
			}
			if c.in.whole > 0 {
				break
			}
		}
		if err := c.more(c.limits.Head); err != nil {
			return 0, 0, err
		}
	}
	b := c.in.buf.b[c.in.r:][:c.in.whole]
	status, minor, f := parseStatus(b[:bytes.IndexByte(b, '\n')-1])
	if f.what != "" {
		return 0, 0, c.refuse(f, StageHead)
	}
	return status, minor, nil
}

// more reads ahead into the buffer, which is as large as most at most.
func (c *Conn) more(most int) *Error {
	if c.in.buf == nil {
		c.in.buf, c.in.r = borrow(), 0
	}
	b := c.in.buf
	if c.in.r > 0 {
		b.b = b.b[:copy(b.b, b.b[c.in.r:])]
		c.in.r = 0
	}
	if len(b.b) == cap(b.b) {
		grown := make([]byte, len(b.b), min(2*cap(b.b), max(most, smallBuffer)+smallBuffer))
		copy(grown, b.b)
		b.b = grown
	}
	n, err := c.nc.Read(b.b[len(b.b):cap(b.b)])
	b.b = b.b[:len(b.b)+n]
	if n > 0 {
		c.in.started = true
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	stage := StageWaiting
	switch {
	case c.in.headed:
		stage = StageBody
	case c.in.started:
		stage = StageHead
	}
	e := broken(stage, err)
	if e.Kind != KindTimeout {
		c.in.err = e
	}
	return e
}

// refuse ends the exchange because of what was read.
func (c *Conn) refuse(f flaw, s Stage) *Error {
	e := f.error(s, c.in.base)
	c.in.err = e
	return e
}

// take returns the fields of the section at the front of the buffer, which
// begin at skip, and consumes it.
func (c *Conn) take(skip int, h http.Header, s Stage) (http.Header, *Error) {
	b := c.in.buf.b[c.in.r:][:c.in.whole]
	n, f := checkFields(b[skip:], c.limits.Fields, skip)
	if f.what != "" {
		return nil, c.refuse(f, s)
	}
	if h == nil {
		h = make(http.Header, n)
	} else {
		clear(h)
	}
	if n > 0 {
		collect(string(b[skip:]), n, h)
	}
	c.in.r += c.in.whole
	c.in.whole, c.in.section = 0, section{}
	if c.in.r == len(c.in.buf.b) {
		c.dropAhead()
	}
	return h, nil
}

// takeHead consumes a head whose status line was read.
func (c *Conn) takeHead(status, minor int, h http.Header) (http.Header, frame, *Error) {
	line := bytes.IndexByte(c.in.buf.b[c.in.r:], '\n') + 1
	h, err := c.take(line, h, StageHead)
	if err != nil {
		return nil, frame{}, err
	}
	f, what := frameOf(c.in.head, status, minor, h)
	if what != "" {
		return nil, frame{}, c.refuse(flaw{what: what, at: -1}, StageHead)
	}
	return h, f, nil
}

func (c *Conn) passInterim(status, minor int, interim func(int, http.Header) error) error {
	if minor == 0 {
		return c.refuse(flaw{what: "an interim response in HTTP/1.0", at: -1}, StageHead)
	}
	if c.in.interim++; c.in.interim > c.limits.Interim {
		return c.refuse(flaw{what: fmt.Sprintf("more than %d interim responses", c.limits.Interim), at: -1, large: true}, StageHead)
	}
	h, _, err := c.takeHead(status, minor, nil)
	if err != nil {
		return err
	}
	if interim == nil || status == http.StatusContinue {
		return nil
	}
	if err := interim(status, h); err != nil {
		e := broken(StageHead, err)
		c.in.err = e
		return e
	}
	return nil
}

func (c *Conn) finalHead(status, minor int, h http.Header) (Response, error) {
	if status == http.StatusSwitchingProtocols && (!c.in.upgrade || minor == 0) {
		return Response{}, c.refuse(flaw{what: "a 101 that nobody asked for", at: -1}, StageHead)
	}
	h, f, err := c.takeHead(status, minor, h)
	if err != nil {
		return Response{}, err
	}
	res := Response{Status: status, Header: h, Length: f.length}
	if len(h["Transfer-Encoding"]) > 0 {
		names, what := announced(h["Trailer"], c.limits.Fields)
		if what != "" {
			return Response{}, c.refuse(flaw{what: what, at: -1}, StageHead)
		}
		if f.kind == bodyChunked {
			res.Announced = names
		}
	}
	c.in.headed, c.in.frame = true, f
	switch {
	case status == http.StatusSwitchingProtocols:
		c.in.gone, c.in.done = true, true
	case f.kind == bodyNone:
		c.ended()
	case f.kind != bodyLength:
		res.Length = -1
	}
	return res, nil
}

// ended is at the clean end of a response. What is there beyond it belongs to
// none, and makes the connection useless.
func (c *Conn) ended() {
	c.in.done = true
	if c.ahead() {
		c.in.surplus = true
	}
	c.dropAhead()
}
