package cache

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// opening is one question to an origin, and all who wait for the answer.
type opening struct {
	scope, path string
	done        chan struct{} // closed when the rest is set

	// Guarded by Cache.mu.
	waiters   int
	starter   bool // the one who began it still waits
	forgotten bool // purged: what is found is not kept
	concluded bool

	finding
	body *whole
}

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
	ch, usable := c.stored(req, now)
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
		q := c.question(r, req, ch.o)
		q.background = true
		_, _, _ = c.join(r.Context(), req, q, seen, hd) // what comes of it, the next request sees
		return ch, nil
	}
	if onlyIfCached(r.Header) {
		c.release(ch)
		return choice{}, errOnlyIfCached
	}
	old := ch.o
	if !usable {
		old = nil
	}
	c.release(ch)
	q := c.question(r, req, old)
	q.insists = last
	op, starter, err := c.join(r.Context(), req, q, seen, hd)
	if err != nil {
		return choice{}, err
	}
	return c.await(r.Context(), op, starter, old != nil)
}

// stored looks the key up. usable: it can be served, if its age permits.
func (c *Cache) stored(req Request, now time.Time) (ch choice, usable bool) {
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
	if ch.follow != nil {
		ch.o.mu.Lock()
		ch.follow.leave(c)
		ch.o.mu.Unlock()
	}
	if ch.res != nil {
		_ = ch.res.Body.Close()
	}
}

// question is what to ask the origin for a request.
func (c *Cache) question(r *http.Request, req Request, old *object) question {
	q := question{method: http.MethodGet, stale: old}
	if req.Terms.Small || old != nil && !old.inBlocks {
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

// join waits for the answer to the question, which is asked if nobody does yet.
// A HEAD and a GET are two questions. seen and hd are what the index had: if it
// has something else by now, that may be the answer.
func (c *Cache) join(ctx context.Context, req Request, q question, seen *object, hd *head) (op *opening, starter bool, err error) {
	key, wait := q.method+" "+req.Key, !q.background
	c.mu.Lock()
	op, ok := c.openings[key]
	if ok {
		defer c.mu.Unlock()
		if !wait {
			return op, false, nil
		}
		if op.waiters >= maxWaiters {
			return nil, false, ErrBusy
		}
		op.waiters++
		return op, false, nil
	}
	if o, ok := c.objects.GetIfPresent(req.Key); ok && !q.insists && (o != seen || o.head.Load() != hd) {
		c.mu.Unlock()
		return nil, false, errMeanwhile
	}
	op = &opening{scope: req.Scope, path: req.Path, done: make(chan struct{}), starter: wait}
	if wait {
		op.waiters = 1
	}
	c.openings[key] = op
	c.mu.Unlock()
	ready := make(chan context.CancelFunc, 1)
	cancel, err := c.start(ctx, func(ctx context.Context) { c.ask(ctx, <-ready, op, key, req, q) })
	if err != nil {
		c.conclude(op, key, req, c.failed(q.stale, finding{err: err}), q.stale)
		return op, true, nil
	}
	ready <- cancel
	return op, true, nil
}

// ask finds the answer, tells it to all, and then brings the object's bytes.
func (c *Cache) ask(ctx context.Context, cancel context.CancelFunc, op *opening, key string, req Request, q question) {
	f := c.find(ctx, req, q)
	if f.fill != nil {
		f.fill.cancel = cancel
	}
	c.conclude(op, key, req, f, q.stale)
	switch {
	case f.fill == nil:
	case f.o.inBlocks:
		f.fill.finish(c, f.fill.run(ctx, c, f.src))
		_ = f.src.Close()
	default:
		f.fill.finishWhole(c, f.fill.runWhole(ctx, c, f.src))
		_ = f.src.Close()
	}
}

// conclude ends an opening: what was found is in the index before anybody can
// ask again.
func (c *Cache) conclude(op *opening, key string, req Request, f finding, old *object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.openings[key] == op {
		delete(c.openings, key)
	}
	op.finding, op.concluded = f, true
	if !op.starter && f.res != nil {
		_ = f.res.Body.Close()
		op.res = nil
	}
	if f.o != nil {
		c.admit(op, f, old)
	}
	if f.pass != unmarked && f.status == http.StatusOK || f.pass == passRanges {
		c.replace(c.marker(req, f.pass), old, !op.forgotten)
	}
	close(op.done)
}

// admit puts an object into the index, and its readers-to-be onto its fill.
func (c *Cache) admit(op *opening, f finding, old *object) {
	o := f.o
	o.mu.Lock()
	if f.fill != nil {
		f.fill.users = op.waiters
		o.fills = append(o.fills, f.fill)
	}
	op.body = o.growing
	if op.forgotten {
		o.dead = true
	}
	dead := o.dead
	whole := f.fill == nil && o.growing != nil // it came in one go
	if whole {
		o.growing = nil
	}
	o.mu.Unlock()
	if op.body == nil && !o.inBlocks { // a stale one, or one that a 304 has confirmed
		p, _ := c.pieces.GetIfPresent(pieceID{o.id, -1})
		op.body = p.whole
	}
	switch {
	case !f.store:
		if old != nil && (o == old || f.status == http.StatusNotFound || f.status == http.StatusGone) {
			c.drop(old)
		}
		return
	case whole && !dead:
		c.keep(o, -1, piece{object: o, whole: op.body})
	}
	c.replace(o, old, !dead)
}

// replace has o in the index in the place of old, if it is to be listed. The
// blocks of an old version stay for its readers, and go when they are not used.
func (c *Cache) replace(o, old *object, list bool) {
	if old != nil && old != o {
		old.void.Store(true)
		if !old.inBlocks {
			c.kill(old)
		}
	}
	if list {
		c.objects.Set(o.key, o)
		if c.disk != nil {
			c.disk.supersede(o.key, o.etag)
		}
	}
}

// marker stands in the index for what passes through.
func (c *Cache) marker(req Request, why mark) *object {
	o := &object{id: c.lastID.Add(1), key: req.Key, scope: req.Scope, path: req.Path, mark: why}
	o.head.Store(&head{received: time.Now(), policy: policy{ttl: markTTL}})
	return o
}

func (m mark) detail() string {
	if m == passRanges {
		return "no-strong-etag"
	}
	return "not-shared"
}

// await waits for the answer, or for the client to leave.
func (c *Cache) await(ctx context.Context, op *opening, starter, stale bool) (choice, error) {
	select {
	case <-op.done:
	case <-ctx.Done():
		c.mu.Lock()
		concluded := op.concluded
		if !concluded {
			op.waiters--
			op.starter = op.starter && !starter
		}
		c.mu.Unlock()
		if !concluded {
			return choice{}, ctx.Err()
		}
	}
	ch := choice{o: op.o, body: op.body, follow: op.fill, status: op.status, collapsed: !starter, result: Miss}
	if starter {
		ch.res = op.res
	}
	switch {
	case ctx.Err() != nil:
		c.release(ch)
		return choice{}, ctx.Err()
	case op.err != nil:
		return choice{}, op.err
	case op.pass != unmarked:
		ch.pass, ch.result, ch.detail = true, Bypass, op.pass.detail()
	case op.stale:
		ch.result, ch.detail = Stale, "stale-if-error"
	case op.status == http.StatusNotModified:
		ch.result = Revalidated
	case !starter:
		ch.result = Collapsed
	}
	return ch, nil
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
