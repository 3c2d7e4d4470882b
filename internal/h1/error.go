package h1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
)

// Stage is how far an exchange had come when it failed.
type Stage uint8

const (
	// StageRefused: the request was not fit to be sent. Nothing was.
	StageRefused Stage = iota
	// StageSending: the request was being written.
	StageSending
	// StageWaiting: not one byte of an answer has come.
	StageWaiting
	// StageHead: in a head, or after an interim response.
	StageHead
	// StageBody: the final head was complete.
	StageBody
)

func (s Stage) String() string {
	return [...]string{"request refused", "sending the request", "waiting for the response", "reading the response's head", "reading the response's body"}[s]
}

// Kind is what went wrong.
type Kind uint8

const (
	// KindIO: an error of the connection that is none of the others.
	KindIO Kind = iota
	// KindTimeout: a deadline passed. What was being read can be read on,
	// but for the deadline; what was being written cannot.
	KindTimeout
	// KindReset: the peer reset the connection, or had closed it when we wrote.
	KindReset
	// KindEOF: the peer closed the connection too early.
	KindEOF
	// KindClosed: this side closed the connection, by Close or Cancel.
	KindClosed
	// KindMalformed: the bytes are not what they should be; What says why.
	KindMalformed
	// KindTooLarge: a limit was passed; What says which.
	KindTooLarge
	// KindMisuse: the caller did what it promised not to.
	KindMisuse
)

// Error is what all methods of Conn fail with, except where they say otherwise.
type Error struct {
	Stage Stage
	Kind  Kind
	// What was wrong, of KindMalformed, KindTooLarge and KindMisuse. It is
	// never a part of what was read or to be written.
	What string
	// At is where: bytes from the beginning of the head, the trailer, or the
	// body as it was framed. -1: that says nothing.
	At int64
	// Err is the connection's own. nil: there is none.
	Err error
}

func (e *Error) Error() string {
	s := e.Stage.String() + ": "
	switch {
	case e.Err != nil:
		return s + e.Err.Error()
	case e.At >= 0:
		return s + e.What + " at byte " + strconv.FormatInt(e.At, 10)
	}
	return s + e.What
}

// Unwrap is the connection's error.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether a deadline passed, as net.Error does.
func (e *Error) Timeout() bool { return e.Kind == KindTimeout }

// flaw is what is wrong with some bytes. The zero value: nothing.
type flaw struct {
	what  string
	at    int
	large bool // a limit was passed
}

func (f flaw) error(s Stage, base int64) *Error {
	e := &Error{Stage: s, Kind: KindMalformed, What: f.what, At: -1}
	if f.at >= 0 {
		e.At = base + int64(f.at)
	}
	if f.large {
		e.Kind = KindTooLarge
	}
	return e
}

func misuse(s Stage, what string) *Error {
	return &Error{Stage: s, Kind: KindMisuse, What: what, At: -1}
}

// broken makes an Error of what a connection failed with.
func broken(s Stage, err error) *Error {
	e := &Error{Stage: s, At: -1, Err: err}
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Kind, e.Err = KindEOF, io.ErrUnexpectedEOF
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Kind = KindTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		e.Kind = KindReset
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		e.Kind = KindClosed
	}
	return e
}

// Limits bound what an upstream may send. Zero values stand for the defaults.
type Limits struct {
	// Head is how many bytes one head may have. Default: 64 KiB.
	Head int
	// Fields is how many field lines a head or a trailer may have. Default: 100.
	Fields int
	// Interim is how many 1xx may come before the final response. Default: 32.
	Interim int
	// Trailer is how many bytes a trailer may have. Default: 8 KiB.
	Trailer int
}

func (l Limits) withDefaults() Limits {
	for _, v := range []struct {
		limit    *int
		fallback int
	}{{&l.Head, 64 << 10}, {&l.Fields, 100}, {&l.Interim, 32}, {&l.Trailer, 8 << 10}} {
		if *v.limit == 0 {
			*v.limit = v.fallback
		}
		if *v.limit < 0 {
			panic(fmt.Sprintf("h1: limit %d", *v.limit))
		}
	}
	return l
}
