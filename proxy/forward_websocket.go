package proxy

import (
	"context"
	"crypto/rand"
	"crypto/sha1" // what RFC 6455 §1.3 prescribes
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// webSocketKind is the way in which a client asked for a WebSocket.
type webSocketKind uint8

const (
	wsNone     webSocketKind = iota
	wsUpgrade                // HTTP/1.1 Upgrade (RFC 6455 §4)
	wsExtended               // extended CONNECT (RFC 8441, RFC 9220)
)

func webSocketRequest(r *http.Request) webSocketKind {
	switch {
	case r.Method == http.MethodConnect &&
		(r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket"):
		return wsExtended
	case r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoAtLeast(1, 1) && !hasBody(r) && offersWebSocket(r.Header):
		return wsUpgrade
	}
	return wsNone
}

func offersWebSocket(h http.Header) bool {
	return httpguts.HeaderValuesContainsToken(h["Upgrade"], "websocket") &&
		httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade")
}

// setWebSocketHeader asks the upstream to upgrade. An extended CONNECT has no
// key of its own (RFC 8441 §5.1).
func setWebSocketHeader(h http.Header, kind webSocketKind) {
	h["Connection"] = []string{"Upgrade"}
	h["Upgrade"] = []string{"websocket"}
	if kind == wsExtended {
		var key [16]byte
		_, _ = rand.Read(key[:]) // never fails
		h["Sec-Websocket-Key"] = []string{base64.StdEncoding.EncodeToString(key[:])}
		if _, ok := h["Sec-Websocket-Version"]; !ok {
			h["Sec-Websocket-Version"] = []string{"13"}
		}
	}
	spellWebSocket(h)
}

// spellWebSocket writes Sec-WebSocket-* the way RFC 6455 does, for peers that
// compare names with case.
func spellWebSocket(h http.Header) {
	const canonical, spelled = "Sec-Websocket-", "Sec-WebSocket-"
	for k, vv := range h {
		if rest, ok := strings.CutPrefix(k, canonical); ok {
			delete(h, k)
			h[spelled+rest] = vv
		}
	}
}

// acceptFor is the Sec-WebSocket-Accept that proves a key was read.
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// switched handles a 101.
func (a *attempt) switched(res *http.Response) error {
	up, err := a.checkSwitch(res)
	if err != nil {
		_ = res.Body.Close()
		return a.failed(err)
	}
	a.enter(phaseRelaying)
	h := a.w.Header()
	if a.ws == wsExtended {
		delete(res.Header, "Sec-Websocket-Accept")
		a.copyResponseHeader(h, res.Header)
		spellWebSocket(h)
		return a.tunnelStream(up)
	}
	a.copyResponseHeader(h, res.Header)
	spellWebSocket(h)
	h["Connection"] = []string{"Upgrade"}
	h["Upgrade"] = []string{"websocket"}
	return a.tunnelConn(up)
}

func (a *attempt) checkSwitch(res *http.Response) (io.ReadWriteCloser, error) {
	if a.ws == wsNone || !httpguts.HeaderValuesContainsToken(res.Header["Upgrade"], "websocket") {
		return nil, fmt.Errorf("switched to %q unasked", res.Header.Get("Upgrade"))
	}
	if a.ws == wsExtended {
		//lint:ignore SA1008 spelled so by spellWebSocket
		key := a.out.Header["Sec-WebSocket-Key"]
		if len(key) != 1 || res.Header.Get("Sec-Websocket-Accept") != acceptFor(key[0]) {
			return nil, errors.New("answered with a wrong Sec-WebSocket-Accept")
		}
	}
	up, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return nil, errors.New("the transport cannot switch protocols")
	}
	return up, nil
}

// tunnelConn gives the client's connection and the upstream's to a tunnel that
// outlives the handler, and the request.
func (a *attempt) tunnelConn(up io.ReadWriteCloser) error {
	a.x.relays(http.StatusSwitchingProtocols)
	a.w.WriteHeader(http.StatusSwitchingProtocols)
	// Past what is around the server's own writer: Caddy's recorder for
	// access logs would stay in between, without a half-close, for as long as
	// the tunnel lives, and hold the config that it was made for.
	conn, brw, err := http.NewResponseController(innermost(a.w)).Hijack()
	if err != nil {
		_ = up.Close()
		return a.aborted("taking the client's connection over", err)
	}
	if !a.unlink() {
		err = context.Cause(a.out.Context())
	} else {
		err = brw.Flush()
	}
	if err != nil {
		_, _ = conn.Close(), up.Close()
		return a.aborted("writing to the client", err)
	}
	ahead, _ := brw.Peek(brw.Reader.Buffered())
	a.kept = true
	t := &tunnel{client: conn, upstream: up, linger: a.f.tunnelLinger, finish: a.x.Detach()}
	t.lanes.lay(a.x, conn, up)
	a.x.Became(switcher.StreamWebSocket)
	a.x.Opened()
	a.x.OnCut(t.cut)
	a.x.OnEnd(t.lanes.end)
	t.start(append([]byte(nil), ahead...))
	return nil
}

// tunnelStream joins an HTTP/2 or HTTP/3 stream with the upstream's connection.
// A stream is bound to its handler, so this returns when the tunnel has ended.
func (a *attempt) tunnelStream(up io.ReadWriteCloser) error {
	defer up.Close()
	a.x.relays(http.StatusOK)
	a.w.WriteHeader(http.StatusOK)
	if err := a.flush(); err != nil {
		return a.aborted("writing to the client", err)
	}
	// As on a connection that is taken over, silence ends nothing.
	defer liftReadTimeout(a.r.Context())()
	defer liftWriteTimeout(a.r.Context())()

	l := new(lanes)
	l.lay(a.x, flushWriter{a}, up)
	a.x.Became(switcher.StreamWebSocket)
	a.x.Opened()
	a.x.OnEnd(l.end)
	defer a.x.OnEnd(nil)
	stop := context.AfterFunc(a.out.Context(), func() {
		defer time.AfterFunc(lastWord, func() { _ = up.Close() }).Stop()
		l.toUpstream.Stop()
		_ = up.Close()
	})
	defer stop()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		err := pump(&l.toUpstream, a.r.Body)
		l.toUpstream.Stop()
		if err != nil || closeWrite(up) != nil {
			_ = up.Close()
		}
	}()
	err := pump(&l.toClient, up)
	l.toClient.Stop()
	_ = up.Close()
	if a.rc.SetReadDeadline(longAgo) != nil {
		_ = a.r.Body.Close()
	}
	<-sent
	if err != nil {
		return a.aborted("tunnel", err)
	}
	return nil
}

// lastWord is how long an upstream whose client has gone may take to accept the
// close frame that is due to it.
const lastWord = time.Second

// flushWriter sends every write to the client at once.
type flushWriter struct{ a *attempt }

func (w flushWriter) Write(p []byte) (int, error) {
	n, err := w.a.w.Write(p)
	if err == nil {
		err = w.a.flush()
	}
	return n, err
}
