package proxy

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

func fastForwarderOf(t testing.TB) *fastForwarder {
	t.Helper()
	tr := &fastTransport{
		dial:     transport(t, nil).Transport.DialContext,
		patience: fastPatience{Continue: time.Hour},
		pool:     h1.Config{},
	}
	t.Cleanup(tr.CloseIdleConnections)
	fw, err := newFastForwarder(tr, forwardOptions{})
	must(t, err)
	return fw
}

func TestForwardFast(t *testing.T) {
	testForwarder(t, func(t *testing.T) Forwarder { return fastForwarderOf(t) })
}
