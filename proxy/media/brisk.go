package media

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// brisk writes more at a time than Caddy's server does by itself, to a client
// that is fast enough for it. Caddy writes 64 KiB, so that a client is cut that
// does not take that much within the idle timeout. Over plain HTTP/1.1 each such
// write wakes the client: a sixth to a third of what it costs to send blocks
// from memory (make bench-media). TLS and HTTP/2 cut smaller pieces in any case.
type brisk struct {
	http.ResponseWriter
	idle  *caddyhttp.IdleTimeoutWriter
	chunk int // how much may be written at once
}

const (
	// firstChunk is for a client of which nothing is known. Within Caddy's
	// default of 1m it takes 35 kbit/s, within briskTimeout 70.
	firstChunk = 256 << 10
	fastChunk  = 1 << 20

	// briskTimeout is the shortest timeout that leaves room for larger chunks.
	briskTimeout = 30 * time.Second

	// fast is a client that takes so many bytes in a second: it has time for
	// three chunks within the shortest timeout.
	fast = 128 << 10
)

// hasten returns a brisk writer, or w itself if that is of no use, or the server
// is configured to be strict with slow clients.
func hasten(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	_, idle := caddyhttp.IdleTimeoutsFromContext(r.Context())
	switch {
	case r.ProtoMajor != 1, r.TLS != nil, idle == nil,
		idle.MaxChunk != caddyhttp.DefaultMaxWriteChunk, idle.Deadline.MinRate > 0, idle.Deadline.Timeout < briskTimeout:
		return w
	}
	return &brisk{w, idle, firstChunk}
}

// Write implements http.ResponseWriter.
func (b *brisk) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), b.chunk)]
		b.idle.MaxChunk = b.chunk
		begun := time.Now()
		written, err := b.ResponseWriter.Write(part)
		n += written
		if err != nil {
			return n, err
		}
		p = p[len(part):]
		b.chunk = nextChunk(b.chunk, written, time.Since(begun))
	}
	return n, nil
}

// nextChunk is how much to write at once to a client that has taken n bytes in
// a time. A few bytes say nothing: they wait in a buffer.
func nextChunk(chunk, n int, took time.Duration) int {
	switch {
	case n < caddyhttp.DefaultMaxWriteChunk:
		return chunk
	case took <= time.Duration(n)*time.Second/fast:
		return fastChunk
	}
	return caddyhttp.DefaultMaxWriteChunk
}

// Unwrap is for http.ResponseController.
func (b *brisk) Unwrap() http.ResponseWriter { return b.ResponseWriter }
