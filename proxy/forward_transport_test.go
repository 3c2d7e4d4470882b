package proxy

import (
	"context"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// transport provisions an HTTPTransport that edit has set up.
func transport(t *testing.T, edit func(*reverseproxy.HTTPTransport)) *reverseproxy.HTTPTransport {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	tr := &reverseproxy.HTTPTransport{ExpectContinueTimeout: caddy.Duration(time.Hour)}
	if edit != nil {
		edit(tr)
	}
	must(t, tr.Provision(ctx))
	t.Cleanup(func() { _ = tr.Cleanup() })
	return tr
}

func transportForwarderOf(t *testing.T, edit func(*reverseproxy.HTTPTransport)) *transportForwarder {
	t.Helper()
	fw, err := newTransportForwarder(transport(t, edit), forwardOptions{})
	must(t, err)
	return fw
}

func TestForwardByTransport(t *testing.T) {
	testForwarder(t, func(t *testing.T) Forwarder { return transportForwarderOf(t, nil) })
}
