package proxy

import (
	"context"
	"net"
	"net/http/httptrace"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// noTimeout lifts an idle timeout of Caddy's, which knows no value for that:
// zero would be over at once.
const noTimeout = 100 * 365 * 24 * time.Hour

// liftReadTimeout has the server wait for the client's body without limit, but
// for a limit of the whole (read_body), until restore is called.
func liftReadTimeout(ctx context.Context) (restore func()) {
	if reader, _ := caddyhttp.IdleTimeoutsFromContext(ctx); reader != nil {
		return reader.Override(noTimeout, 0)
	}
	return func() {}
}

// liftWriteTimeout is the same for writing. Both it and restore must be called
// by whoever writes to the client.
func liftWriteTimeout(ctx context.Context) (restore func()) {
	if _, writer := caddyhttp.IdleTimeoutsFromContext(ctx); writer != nil {
		return writer.Override(noTimeout, 0, 0)
	}
	return func() {}
}

// connected notes what the transport has found. It is called on any goroutine.
func (a *attempt) connected(info httptrace.GotConnInfo) {
	a.mu.Lock()
	a.conn = info.Conn
	a.mu.Unlock()
	a.connecting.Store(false)
}

// upstreamGone reports whether the transport has given up while we wait for a
// response head. When the upstream leaves, it closes its connection, and over
// HTTP/2, where that may go on for others, the request's body.
func (a *attempt) upstreamGone() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase == phaseWaiting && (a.body.closed.Load() || !a.connecting.Load() && closed(a.conn))
}

// closed reports whether c is known to be closed on our side. It neither reads
// nor writes, since a transport's connection is not ours to touch.
func closed(c net.Conn) bool {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	return err == nil && raw.Control(func(uintptr) {}) != nil
}
