package proxy

import (
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// flow is what the forwarder tells of an exchange while it runs, and anybody
// may look at. The zero value: it waits for its response.
type flow struct {
	kind     atomic.Uint32 // a switcher.StreamKind
	open     atomic.Bool   // the response has begun
	ending   atomic.Bool   // it was asked to end
	received atomic.Int64  // bytes of body from the client
	sent     atomic.Int64  // to it
	length   atomic.Int64  // of the body that makes it a download or an upload; else, and where unknown, 0 or less
	last     atomic.Int64  // when a byte last moved, in Unix nanoseconds; 0: not yet looked at
}

// Opened says that the response has begun.
func (f *flow) Opened() { f.open.Store(true) }

// Expects says how long the body will be that is under way; 0 or less: unknown.
func (f *flow) Expects(length int64) { f.length.Store(length) }

// Received counts bytes of body from the client.
func (f *flow) Received(n int) { f.count(&f.received, n) }

// Sent counts bytes of body to the client.
func (f *flow) Sent(n int) { f.count(&f.sent, n) }

// count looks at the clock from the second bytes on, so that it costs a short
// request nothing.
func (f *flow) count(total *atomic.Int64, n int) {
	if n > 0 && total.Add(int64(n)) > int64(n) {
		f.last.Store(time.Now().UnixNano())
	}
}

func (f *flow) streamKind() switcher.StreamKind { return switcher.StreamKind(f.kind.Load()) }

func (f *flow) state() string {
	switch {
	case f.ending.Load():
		return "ending"
	case f.open.Load():
		return "open"
	}
	return "waiting"
}
