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
// closes its connection ends the tunnel. It does not wait for a peer.
func (l *lanes) end(error) {
	for _, to := range []struct {
		lane   *lane
		masked bool // toward a server (RFC 6455 §5.1)
	}{{&l.toClient, false}, {&l.toUpstream, true}} {
		frame, err := wsframe.AppendClose(nil, l.code, closeReason, to.masked)
		if err != nil {
			frame = nil // the config refuses such codes
		}
		go to.lane.End(frame) // its write may block
	}
}
