package cache

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// opening is one question to an origin, and all who wait for the answer.
type opening struct {
	scope, path string
	held        bool          // ends with the last who waits
	done        chan struct{} // closed when the rest is set

	// Guarded by Cache.mu.
	key       string             // in Cache.openings
	cancel    context.CancelFunc // set before the one who began it can leave
	waiters   int
	starter   bool // the one who began it still waits
	forgotten bool // purged: what is found is not kept
	concluded bool

	finding
	body *whole
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
	op = &opening{scope: req.Scope, path: req.Path, key: key, held: req.Held && wait, done: make(chan struct{}), starter: wait}
	if wait {
		op.waiters = 1
	}
	c.openings[key] = op
	c.mu.Unlock()
	ready := make(chan context.CancelFunc, 1)
	cancel, err := c.start(ctx, func(ctx context.Context) bool { return c.ask(ctx, <-ready, op, req, q) })
	if err != nil {
		c.conclude(op, req, c.failed(q.stale, finding{err: err}), q)
		return op, true, nil
	}
	c.mu.Lock()
	op.cancel = cancel
	c.mu.Unlock()
	ready <- cancel
	return op, true, nil
}

// ask finds the answer, tells it to all, and then brings the object's bytes. given:
// the one who asked has the answer's body, and closes it.
func (c *Cache) ask(ctx context.Context, cancel context.CancelFunc, op *opening, req Request, q question) (given bool) {
	f := c.find(ctx, req, q)
	if f.fill != nil {
		f.fill.cancel = cancel
	}
	c.conclude(op, req, f, q)
	switch {
	case f.fill == nil:
	case f.o.inBlocks:
		f.fill.finish(c, f.fill.run(ctx, c, f.src))
		_ = f.src.Close()
	default:
		f.fill.finishWhole(c, f.fill.runWhole(ctx, c, f.src))
		_ = f.src.Close()
	}
	return op.res != nil
}

// conclude ends an opening: what was found is in the index before anybody can
// ask again.
func (c *Cache) conclude(op *opening, req Request, f finding, q question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.openings[op.key] == op {
		delete(c.openings, op.key)
	}
	op.finding, op.concluded = f, true
	if !op.starter && f.res != nil {
		_ = f.res.Body.Close()
		op.res = nil
	}
	if f.o != nil {
		c.admit(op, f, q)
	}
	if f.pass != unmarked {
		c.replace(c.marker(req, f.pass), q, !op.forgotten)
	}
	close(op.done)
}

// admit puts an object into the index, and its readers-to-be onto its fill.
func (c *Cache) admit(op *opening, f finding, q question) {
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
	if o == q.stale { // confirmed by a 304, or still the best there is
		op.body = q.body
	}
	switch {
	case !f.store:
		if old := q.stale; old != nil && (o == old || f.status == http.StatusNotFound || f.status == http.StatusGone) {
			c.drop(old)
		}
		return
	case whole && !dead:
		c.keep(o, -1, piece{object: o, whole: op.body})
	}
	c.replace(o, q, !dead)
}

// replace has o in the index in the place of what was stale, if it is to be
// listed. The blocks of an old version stay for its readers, and go when they are
// not used. What a GET has found meanwhile is more than what a HEAD has.
func (c *Cache) replace(o *object, q question, list bool) {
	if now, ok := c.objects.GetIfPresent(o.key); ok && q.method == http.MethodHead && now != q.stale && now.mark == unmarked {
		return
	}
	if old := q.stale; old != nil && old != o {
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

// abandon has an origin that holds its answer back asked no further, if nobody
// waits for that any more. The caller holds c.mu.
func (c *Cache) abandon(op *opening) {
	if !op.held || op.waiters > 0 {
		return
	}
	if c.openings[op.key] == op {
		delete(c.openings, op.key) // who asks now begins anew
		op.key += fmt.Sprintf(" left %d", c.lastID.Add(1))
		c.openings[op.key] = op // for Purge
	}
	op.cancel()
}

// await waits for the answer, or for the client to leave.
func (c *Cache) await(ctx context.Context, op *opening, starter bool) (choice, error) {
	select {
	case <-op.done:
	case <-ctx.Done():
		c.mu.Lock()
		concluded := op.concluded
		if !concluded {
			op.waiters--
			op.starter = op.starter && !starter
			c.abandon(op)
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
