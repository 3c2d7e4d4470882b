package cache

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// choice is what a request is served from.
type choice struct {
	o         *object
	body      *whole // of an object in one piece
	follow    *fill  // counted as followed already; nil: none
	result    Result
	status    int // the origin's, if it was asked now
	detail    string
	pass      bool
	collapsed bool
	res       *http.Response // of a pass; nil: to be asked for
}

// errMeanwhile: the index has changed since it was looked at.
var errMeanwhile = errors.New("look again")

// resolve finds what to serve, and asks the origin if it must.
func (c *Cache) resolve(r *http.Request, req Request) (ch choice, err error) {
	for tries := 0; ; tries++ {
		if ch, err = c.look(r, req, tries == 3); err != errMeanwhile {
			return ch, err
		}
	}
}

// look is one try. The last one asks whatever happens meanwhile.
func (c *Cache) look(r *http.Request, req Request, last bool) (choice, error) {
	now := time.Now()
	ch, usable := c.stored(req)
	seen, hd := ch.o, (*head)(nil)
	if ch.o != nil {
		hd = ch.o.head.Load()
	}
	switch {
	case ch.o == nil:
	case ch.o.mark != unmarked:
		if hd.fresh(now) && (ch.o.mark == passAll || r.Method == http.MethodHead || r.Header.Get("Range") != "") {
			return choice{pass: true, result: Bypass, detail: ch.o.mark.detail()}, nil
		}
		ch.o = nil
	case usable && hd.fresh(now):
		ch.result = Hit
		return ch, nil
	case usable && hd.stale(now, hd.staleIfError) && ch.o.retry.Load() > now.UnixNano():
		ch.result, ch.detail = Stale, "stale-if-error"
		return ch, nil
	case usable && hd.stale(now, hd.staleWhileRev):
		ch.result, ch.detail = Stale, "stale-while-revalidate"
		if ch.o.retry.Load() > now.UnixNano() {
			return ch, nil
		}
		q := c.question(r, req, ch)
		q.background = true
		_, _, _ = c.join(r.Context(), req, q, seen, hd) // what comes of it, the next request sees
		return ch, nil
	}
	if onlyIfCached(r.Header) {
		c.release(ch)
		return choice{}, errOnlyIfCached
	}
	if !usable {
		ch.o = nil
	}
	q := c.question(r, req, ch)
	q.insists = last
	c.release(ch)
	op, starter, err := c.join(r.Context(), req, q, seen, hd)
	if err != nil {
		return choice{}, err
	}
	return c.await(r.Context(), op, starter)
}

// stored looks the key up. usable: it can be served, if its age permits.
func (c *Cache) stored(req Request) (ch choice, usable bool) {
	o, ok := c.objects.GetIfPresent(req.Key)
	if !ok && c.disk != nil {
		o, ok = c.fromDisk(req.Key)
	}
	if !ok {
		return choice{}, false
	}
	ch.o = o
	if o.mark != unmarked || o.inBlocks {
		return ch, true
	}
	o.mu.Lock()
	if w := o.growing; w != nil && len(o.fills) > 0 && !o.fills[0].stopped && !o.dead {
		ch.body, ch.follow = w, o.fills[0]
		ch.follow.users++
		o.mu.Unlock()
		return ch, true
	}
	o.mu.Unlock()
	p, ok := c.pieces.GetIfPresent(pieceID{o.id, -1})
	ch.body = p.whole
	return ch, ok
}

// release gives up what a choice follows.
func (c *Cache) release(ch choice) {
	if f := ch.follow; f != nil {
		f.o.mu.Lock()
		f.leave(c)
		f.o.mu.Unlock()
	}
	if ch.res != nil {
		_ = ch.res.Body.Close()
	}
}

// question is what to ask the origin for a request, of which ch is stale.
func (c *Cache) question(r *http.Request, req Request, ch choice) question {
	q := question{method: http.MethodGet, stale: ch.o, body: ch.body}
	if ch.follow != nil { // stale before it was all there
		q.stale, q.body = nil, nil
	}
	if req.Terms.Small || q.stale != nil && !q.stale.inBlocks {
		return q
	}
	if r.Method == http.MethodHead {
		q.method = http.MethodHead
		return q
	}
	if v := r.Header.Get("Range"); v != "" {
		q.first, q.last = c.opener(v)
	}
	return q
}

// opener is the range that a request for a range of an unknown object begins
// with: whole blocks around the first byte. Of what cannot be said before the
// size is known, a suffix, it is the first block.
func (c *Cache) opener(v string) (first, last int64) {
	spec, ok := strings.CutPrefix(v, "bytes=")
	spec, _, _ = strings.Cut(spec, ",") // of several it is the first one's
	a, b, _ := strings.Cut(strings.TrimSpace(spec), "-")
	n, err := strconv.ParseInt(a, 10, 64)
	if !ok || err != nil || n < 0 || n > 1<<56 {
		return 0, c.block - 1
	}
	first = n / c.block * c.block
	last = first + window*c.block - 1
	if m, err := strconv.ParseInt(b, 10, 64); err == nil && m >= n && m < last {
		last = m/c.block*c.block + c.block - 1
	}
	return first, last
}

// onlyIfCached reports the one wish of a client that is granted (RFC 9111
// §5.2.1.7). Others would let each viewer ask the origin.
func onlyIfCached(h http.Header) bool {
	for _, v := range h["Cache-Control"] {
		if len(v) <= maxField && strings.Contains(strings.ToLower(v), "only-if-cached") {
			return true
		}
	}
	return false
}
