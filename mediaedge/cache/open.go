package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

const (
	maxSmall  = 1 << 20  // of a playlist that is read before anyone gets a byte
	maxAnswer = 64 << 10 // of the body of an answer that is no object
)

// question is what an opener wants to know.
type question struct {
	method      string
	first, last int64   // bytes asked for; last 0: all
	stale       *object // its validators go along; nil: none
	body        *whole  // of stale, if it is in one piece
	background  bool    // nobody waits: it was served stale
	insists     bool    // is asked although the index has changed meanwhile
}

func (q question) ranged() bool { return q.last > 0 }

func (q question) header() http.Header {
	h := http.Header{}
	if q.ranged() {
		h["Range"] = []string{fmt.Sprintf("bytes=%d-%d", q.first, q.last)}
	}
	if q.stale == nil {
		return h
	}
	fields := q.stale.head.Load().fields
	if etag := fields["Etag"]; len(etag) > 0 {
		h["If-None-Match"] = []string{etag[0]}
	} else if modified := fields["Last-Modified"]; len(modified) > 0 {
		h["If-Modified-Since"] = []string{modified[0]}
	}
	return h
}

// finding is what an opener has found out. One of o, pass and err is set.
type finding struct {
	o      *object
	fill   *fill          // brings o's bytes; nil: nothing to bring
	src    io.ReadCloser  // what fill reads
	store  bool           // o goes into the index
	pass   mark           // each has to ask by itself
	res    *http.Response // of a pass: an answer that one may have
	stale  bool           // o is stale, and the origin has failed
	status int            // the origin's; 0: it gave none
	err    error
}

// find asks the origin and reads the head, and the body of what is small.
func (c *Cache) find(ctx context.Context, req Request, q question) finding {
	old := q.stale
	for range 3 {
		requested := time.Now()
		res, err := c.fetch(ctx, req.Origin, q.method, q.header())
		switch {
		case ctx.Err() != nil && err != nil: // nobody wants it any more, which says nothing of the origin
			return finding{err: err}
		case err != nil:
			return c.failed(old, finding{err: err})
		}
		received := time.Now()
		f := finding{status: res.StatusCode}
		switch code := res.StatusCode; {
		case code == http.StatusNotModified && q.stale != nil:
			_ = res.Body.Close()
			if !confirms(q.stale, res.Header) {
				q.stale = nil // asked about one version, told of another
				continue
			}
			return c.freshen(f, q.stale, res, req.Terms, requested, received)
		case code == http.StatusRequestedRangeNotSatisfiable && q.ranged():
			_ = res.Body.Close()
			q.first, q.last = 0, 0
			continue
		case code == http.StatusOK, code == http.StatusPartialContent && q.ranged():
			return c.found(req, q, old, res, requested, received)
		case code < 200, code == http.StatusPartialContent, code >= 300 && code < 400:
			_ = res.Body.Close()
			f.err = fmt.Errorf("cache: the origin answered %d, which was not asked for", code)
			return c.failed(old, f)
		case code == 500 || code == 502 || code == 503 || code == 504:
			if s := c.failed(old, f); s.o != nil {
				_ = res.Body.Close()
				return s
			}
		}
		return c.answer(f, req, q, res, requested, received)
	}
	return c.failed(old, finding{err: fmt.Errorf("cache: the origin answers neither with the object nor with an error")})
}

// failed falls back to the stale object, if there is one that may be served
// (RFC 5861 §4).
func (c *Cache) failed(old *object, f finding) finding {
	if old == nil {
		return f
	}
	now := time.Now()
	old.retry.Store(now.Add(time.Second).UnixNano())
	if hd := old.head.Load(); !hd.stale(now, hd.staleIfError) {
		return f
	}
	return finding{o: old, stale: true, status: f.status, store: true}
}

// confirms reports whether a 304 speaks of this version.
func confirms(o *object, h http.Header) bool {
	etag := h["Etag"]
	return len(etag) == 0 || len(etag) == 1 && etag[0] == o.head.Load().fields.Get("Etag")
}

// freshen takes a 304, or a 200 of the same version.
func (c *Cache) freshen(f finding, o *object, res *http.Response, t Terms, requested, received time.Time) finding {
	old, next := o.head.Load(), (*head)(nil)
	if o.status != http.StatusOK {
		t = negativeTerms(t)
	}
	t = o.live.limit(t)
	if res.StatusCode == http.StatusNotModified {
		next = old.freshened(res.Header, t, requested, received)
	} else {
		next = newHead(res.Header, t, requested, received)
	}
	o.head.Store(next)
	f.o, f.store = o, next.shared
	return f
}

// found takes a 200, or the 206 that was asked for.
func (c *Cache) found(req Request, q question, old *object, res *http.Response, requested, received time.Time) finding {
	f := finding{status: res.StatusCode}
	hd := newHead(res.Header, req.Terms, requested, received)
	if !hd.shared {
		return f.passed(passAll, q, res)
	}
	etag, size, err := identify(q, res)
	if err != nil {
		_ = res.Body.Close()
		return c.failed(old, finding{err: err, status: res.StatusCode})
	}
	if old != nil && old.inBlocks && etag == old.etag && size == old.length() {
		_ = res.Body.Close()
		return c.freshen(f, old, res, req.Terms, requested, received)
	}
	o := c.newObject(req, http.StatusOK, hd)
	o.dead = unframed(res)
	f.o, f.store, f.src = o, true, res.Body
	switch {
	case req.Terms.Small && q.method == http.MethodGet && !q.ranged() && size <= maxSmall:
		if done, err := c.small(&f, req, res, requested, received); err != nil {
			_ = res.Body.Close()
			return c.failed(old, finding{err: err, status: res.StatusCode})
		} else if done {
			return f
		}
	case etag == "" && res.StatusCode == http.StatusPartialContent, q.method == http.MethodHead && (etag == "" || size < 0):
		return finding{status: res.StatusCode}.passed(passRanges, q, res)
	}
	if etag != "" && size >= 0 {
		c.blocked(&f, req, q, etag, size)
		return f
	}
	if size > c.maxWhole || size > 0 && !c.reserve(size) {
		return finding{status: res.StatusCode}.passed(passAll, q, res)
	}
	o.size, o.growing = size, &whole{}
	f.fill = &fill{o: o, end: 1, background: q.background}
	return f
}

// unframed reports a body that ends with its connection (RFC 9112 §6.3): nobody
// can tell whether it is whole. Those who wait share it, and it is not kept.
func unframed(res *http.Response) bool {
	return res.ProtoMajor == 1 && res.ContentLength < 0 && len(res.TransferEncoding) == 0 && !res.Uncompressed && res.StatusCode == http.StatusOK
}

// blocked makes f's object one in blocks, and the fill that brings what the
// answer has of it.
func (c *Cache) blocked(f *finding, req Request, q question, etag string, size int64) {
	o := f.o
	o.inBlocks, o.etag, o.size = true, etag, size
	f.fill = &fill{o: o, origin: req.Origin, end: c.blocks(size)}
	switch {
	case q.method == http.MethodHead || size == 0:
		f.fill = nil
	case f.status == http.StatusPartialContent:
		f.fill.first = q.first / c.block
		f.fill.end = c.blocks(min(q.last+1, size))
	default:
		o.noRanges = q.ranged()
	}
	if f.fill != nil {
		f.fill.next, f.fill.lead = f.fill.first, f.fill.first
		return
	}
	_ = f.src.Close()
	f.src = nil
}

// passed has each ask by itself. An answer to a plain GET is of use to the one
// who asked.
func (f finding) passed(why mark, q question, res *http.Response) finding {
	f.pass = why
	if res.StatusCode == http.StatusOK && q.method == http.MethodGet {
		f.res = res
	} else {
		_ = res.Body.Close()
	}
	return f
}

// identify returns the strong ETag, or "", and the size of the whole object, or
// -1. An ETag is left out where the answer cannot be a piece of something.
func identify(q question, res *http.Response) (etag string, size int64, err error) {
	etag, _ = resume.StrongETag(res.Header)
	if res.Uncompressed || len(etag) > maxField {
		etag = ""
	}
	if res.StatusCode == http.StatusOK {
		if res.Uncompressed {
			return "", -1, nil
		}
		return etag, res.ContentLength, nil
	}
	values := res.Header["Content-Range"]
	if len(values) != 1 {
		return "", -1, fmt.Errorf("cache: a 206 of the origin has %d fields Content-Range", len(values))
	}
	got, err := resume.ParseContentRange(values[0])
	if err != nil {
		return "", -1, fmt.Errorf("cache: a 206 of the origin: %w", err)
	}
	if got.First != q.first || got.Last > q.last {
		return "", -1, fmt.Errorf("cache: the origin was asked for the bytes %d to %d and sent %s", q.first, q.last, got)
	}
	n := got.Last - got.First + 1
	if res.ContentLength >= 0 && res.ContentLength != n {
		return "", -1, fmt.Errorf("cache: a 206 of the origin has %d bytes for %s", res.ContentLength, got)
	}
	if got.Total < 0 || got.Last != min(q.last, got.Total-1) {
		return "", -1, nil // its right; but nothing to build on
	}
	return etag, got.Total, nil
}
