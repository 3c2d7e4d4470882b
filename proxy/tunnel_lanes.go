package proxy

import (
	"io"

	"github.com/greenroom-proxy/greenroom/internal/wsframe"
)

// lanes are the two directions of a WebSocket, each of which can be ended
// between two frames.
type lanes struct {
	toClient, toUpstream lane
	code                 uint16
}

// lane counts what passes.
type lane struct {
	wsframe.Lane
	count func(n int)
}

func (l *lane) Write(p []byte) (int, error) {
	l.count(len(p))
	return l.Lane.Write(p)
}

// defaultCloseCode is "service restart" in IANA's registry of close codes.
const defaultCloseCode = 1012

const closeReason = "the service moves: come back"

// lay readies both directions for an exchange.
func (l *lanes) lay(x *Exchange, client, upstream io.Writer) {
	l.toClient.To, l.toClient.count = client, x.Sent
	l.toUpstream.To, l.toUpstream.count = upstream, x.Received
	l.code = x.CloseCode
	if l.code == 0 {
		l.code = defaultCloseCode
	}
}

// end puts a close frame behind the last whole frame of both directions. What
// comes afterwards, each side's answer, is swallowed; that the upstream then
// closes its connection ends the tunnel. It does not wait for a peer. A side that
// leaves as soon as it has read its frame takes the other's with it only if that
// cannot be written any more.
func (l *lanes) end(error) {
	l.toUpstream.Ask(l.closing(true))
	l.toClient.Ask(l.closing(false))
	go l.toUpstream.End(nil) // writes what was asked for, and may block
	go l.toClient.End(nil)
}

// closing is the close frame, masked toward a server (RFC 6455 §5.1).
func (l *lanes) closing(masked bool) []byte {
	frame, err := wsframe.AppendClose(nil, l.code, closeReason, masked)
	if err != nil {
		return nil // the config refuses such codes
	}
	return frame
}

// stop says that nothing follows in either direction; what was asked for and can
// still be written is.
func (l *lanes) stop() {
	l.toUpstream.Stop()
	l.toClient.Stop()
}
