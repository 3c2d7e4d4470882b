package cache

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// What Serve fails with. Any other error is of the origin, and comes before a
// head was written: the caller answers 502 or 504 by what is wrapped in it.
var (
	// ErrAborted: the head is out, and the body cannot be finished. The caller
	// panics with http.ErrAbortHandler, so that a short body never looks whole.
	ErrAborted = errors.New("cache: the body broke off after its head")

	// ErrBusy: as many fetches are under way, or as many requests wait for one
	// answer, as may. Nothing was written; the caller answers 503.
	ErrBusy = errors.New("cache: too many fetches from origins under way")

	// ErrClosed: the cache was closed. Nothing was written.
	ErrClosed = errors.New("cache: closed")

	// ErrMethod: neither GET nor HEAD. Nothing was written.
	ErrMethod = errors.New("cache: serves GET and HEAD only")
)

// errChanged ends the readers of a version that the origin no longer has.
var errChanged = errors.New("the object has changed at the origin")

// A Fetcher is asked for one object.
type Fetcher interface {
	// Fetch sends a request of the method, GET or HEAD, with these fields: of
	// Range, If-Match, If-None-Match and If-Modified-Since those that the cache
	// wants set, and for what is not cached also If-Range and
	// If-Unmodified-Since. It may keep h.
	//
	// The response is as http.Transport.RoundTrip returns it, no redirect
	// followed and nothing decompressed; the cache closes its body. Time to the
	// head and time between reads are bounded by the Fetcher. ctx has the values
	// of the request that was first to want the answer and ends when nobody wants
	// it any more; Serve may have returned by then. Fetch must not panic: it is
	// called from a goroutine of the cache.
	Fetch(ctx context.Context, method string, h http.Header) (*http.Response, error)
}

// Request is what Serve is asked for.
type Request struct {
	// Key is what the object is known by: the origin's name, the canonical path,
	// and that part of the query that counts. All requests with one key ask the
	// origin the same question: nothing else of a client may reach the Fetcher.
	Key string

	// Scope and Path are what Purge looks for: the origin's name, and the
	// canonical path.
	Scope, Path string

	// Origin is asked for what is missing. It may be used for other clients that
	// want the same object, and after this request has ended.
	Origin Fetcher

	// Terms are how objects of this kind are kept.
	Terms Terms

	// Held says that the origin may hold its answer back until there is something
	// new. It is asked no further when the last who waits has left.
	Held bool
}

// Terms say for how long objects are kept, where the origin says nothing. The
// zero value has each object revalidated each time.
type Terms struct {
	// TTL is for how long an object is fresh. An origin's own word goes first.
	TTL time.Duration

	// StaleIfError is for how long a stale object is served while the origin
	// fails; StaleWhileRevalidate for how long it is served while the origin is
	// asked (RFC 5861). The origin's own words go first, and those that forbid
	// stale answers, s-maxage among them, hold.
	StaleIfError, StaleWhileRevalidate time.Duration

	// Negative is for how long a 404 or 410 is kept. 0: not at all.
	Negative time.Duration

	// Immutable adds "immutable" to a Cache-Control that the cache makes.
	Immutable bool

	// Small is for playlists: up to 1 MiB is read whole before anyone gets a
	// byte of it, and the TTL of a live one goes by its segments (see the
	// package's comment). What is larger is treated like the rest.
	Small bool

	// ContentType is sent where the origin sends none, or one that says only
	// that it is bytes.
	ContentType string
}

// Result is how a request was answered. Its String is fit for a metric label.
type Result uint8

// The results.
const (
	None        Result = iota // with an error: nothing was served
	Hit                       // from what is kept
	Partial                   // the object was known, bytes of it were fetched
	Miss                      // the origin was asked
	Collapsed                 // shared what another request had fetched
	Revalidated               // kept, and the origin said that it is still good
	Stale                     // kept and stale: the origin fails, or is being asked
	Bypass                    // passed through, not kept
)

var resultNames = [...]string{"none", "hit", "partial", "miss", "collapsed", "revalidated", "stale", "bypass"}

// String returns the result's name in lower case.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return "unknown"
}

// Results returns all that an Outcome may have.
func Results() []Result {
	return []Result{None, Hit, Partial, Miss, Collapsed, Revalidated, Stale, Bypass}
}

// Outcome is what became of a request.
type Outcome struct {
	Status int    // sent to the client; 0: nothing was
	Served int64  // bytes of body
	Result Result // how
}

// Stats are figures of the moment, and counts since the start.
type Stats struct {
	Objects     int   // known, with their heads in memory
	MemoryBytes int64 // of blocks
	Blocks      int   // in memory
	DiskBytes   int64 // of files
	DiskBlocks  int
	Fills       int // fetches under way

	Evictions     int64 // blocks dropped from memory for want of room
	DiskEvictions int64
	DiskErrors    int64 // files that could not be written or read, or were corrupt
	Fetches       int64 // requests to origins
	OriginBytes   int64 // of bodies read from origins
}
