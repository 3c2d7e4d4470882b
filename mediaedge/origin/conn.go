package origin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// errSurplus is of an endpoint that sends more than a response has announced.
var errSurplus = errors.New("bytes behind the end of another response: the endpoint sends more than it announces")

// conn counts, so that a response whose first bytes came before its request
// was sent is known for what it is: what follows the announced end of the one
// before. net/http closes a connection on which such bytes wait, but hands
// them out as the answer if the next request comes first. Bytes that come
// after the next request was sent nobody can tell from its answer.
type conn struct {
	net.Conn
	reads atomic.Uint64 // that brought bytes
	sent  atomic.Uint64 // reads before the last Write
	wrote atomic.Bool   // since the last take
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.sent.Store(c.reads.Load())
	c.wrote.Store(true)
	return c.Conn.Write(p)
}

// early reports whether nothing was read since the request was written.
func (c *conn) early() bool { return !c.wrote.Load() || c.reads.Load() == c.sent.Load() }

// maxSurplus is on how many connections a request is sent, if others spoil
// them: one that was idle may hold the server's good-bye, such as a 408.
const maxSurplus = 3

// roundTrip sends r by t, and refuses an answer that is to no question. r has
// no body, and may be sent again.
func roundTrip(t *http.Transport, r *http.Request) (*http.Response, error) {
	for range maxSurplus {
		if res, err := roundTripOnce(t, r); err != errSurplus {
			return res, err
		}
	}
	return nil, errSurplus
}

func roundTripOnce(t *http.Transport, r *http.Request) (*http.Response, error) {
	var used atomic.Pointer[conn]
	var surplus atomic.Bool
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			c := counted(info.Conn)
			c.wrote.Store(false)
			used.Store(c)
			surplus.Store(false)
		},
		GotFirstResponseByte: func() {
			if used.Load().early() {
				surplus.Store(true)
			}
		},
	})
	res, err := t.RoundTrip(r.WithContext(ctx))
	if surplus.Load() {
		_ = used.Load().Close() // the true answer is still to come on it
		if err == nil {
			_ = res.Body.Close()
		}
		res, err = nil, errSurplus
		if r.Context().Err() != nil {
			err = context.Cause(r.Context())
		}
	}
	return res, err
}

// counted is c, or what lies below its TLS.
func counted(c net.Conn) *conn {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	return c.(*conn) // as dialed
}
