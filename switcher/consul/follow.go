package consul

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// inquiry is a blocking query that follow asks over and over.
type inquiry interface {
	// ask sends it once with these options, and keeps the answer.
	ask(*api.QueryOptions) (*api.QueryMeta, error)
	// tell is called when the last poll is to be believed: its answer, or
	// its failure. Answers that only woke are not told.
	tell(sight)
}

// sight is the outcome of one poll, but for what was asked.
type sight struct {
	at    time.Time // when the answer came
	index uint64
	// vouched: the leader stands behind the answer, and it is not stale.
	vouched bool
	// filtered: ACLs took something out of it, or may have.
	filtered bool
	// resets counts how often the catalog went back in time.
	resets int
	err    error
}

// maxStale is how long the server that answered may have been without contact to
// the leader.
const maxStale = time.Second

var errNoIndex = errors.New("the answer carries no index: is this Consul?")

// follow asks an inquiry until ctx ends.
func (c *Client) follow(ctx context.Context, q inquiry, u *urgency) {
	c.count(1)
	defer c.count(-1)
	var at cursor
	var last time.Time
	var reads, blocks recent
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		like := &reads
		if at.index > 0 {
			like = &blocks
		}
		due := like.due(c.pace.spacing)
		if calm := last.Add(c.pace.jitter(at.ceiling())); calm.After(due) {
			due = calm // from the beginning of what failed: it may have taken long
		}
		timer.Reset(max(time.Until(due), 0))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		last = time.Now()
		like.add(last)
		s, interrupted := c.poll(ctx, q, u, at.index)
		if ctx.Err() != nil {
			return
		}
		if interrupted {
			at.index = 0
			continue
		}
		if at.see(s.outcome()) {
			s.resets = at.resets
			q.tell(s)
		}
	}
}

// recent is when the last few queries of one kind began: so many may follow
// each other at once, and no more than one in a spacing in the long run.
type recent struct {
	began [5]time.Time
	next  int // the oldest
}

func (r *recent) due(spacing time.Duration) time.Time {
	return r.began[r.next].Add(spacing * time.Duration(len(r.began)))
}

func (r *recent) add(t time.Time) {
	r.began[r.next] = t
	r.next = (r.next + 1) % len(r.began)
}

func (c *Client) count(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.following += change
}

// poll asks once. It is interrupted when it blocks and becomes urgent, or finds
// no room to block: then it is time to read.
func (c *Client) poll(ctx context.Context, q inquiry, u *urgency, index uint64) (s sight, interrupted bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := c.reading
	if index > 0 {
		slots = c.blocking
		defer u.interrupts(cancel)()
	}
	if !c.room(ctx, slots) {
		return sight{at: time.Now(), err: errNoRoom}, index > 0
	}
	defer func() { <-slots }()
	options := &api.QueryOptions{WaitIndex: index}
	if index > 0 {
		options.WaitTime = c.waitTime(u.on())
	} else {
		options.RequireConsistent = u.on()
	}
	limit := c.pace.timeout(options.WaitTime)
	ctx, stop := context.WithTimeoutCause(ctx, limit, timeoutError(limit))
	defer stop()
	meta, err := q.ask(options.WithContext(ctx))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c.sightOf(meta, err), errors.Is(err, errUrgent)
}

var errNoRoom = errors.New("no answer: the queries before it have none either")

// room takes one of the slots. It gives up after the time of a blocking query,
// so that the data of a query that finds none are no older than those of others.
func (c *Client) room(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(c.pace.wait)
	defer patience.Stop()
	select {
	case slots <- struct{}{}:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

func (c *Client) sightOf(meta *api.QueryMeta, err error) sight {
	s := sight{at: time.Now(), err: err}
	if err != nil {
		return s
	}
	if meta.LastIndex == 0 {
		s.err = errNoIndex
	}
	s.index = meta.LastIndex
	s.vouched = meta.KnownLeader && meta.LastContact <= maxStale && !meta.CacheHit
	// To who has no token Consul does not admit that it filters.
	s.filtered = meta.ResultsFilteredByACLs || c.token.none() && meta.DefaultACLPolicy == "deny"
	return s
}

func (s sight) outcome() outcome {
	return outcome{failed: s.err != nil, index: s.index, vouched: s.vouched}
}

// waitTime is how long a query blocks. When there are more of them than may
// block at once, each gets a share, so that all are asked once in a while.
func (c *Client) waitTime(urgent bool) time.Duration {
	wait := c.pace.wait
	if urgent {
		wait = min(wait, c.pace.confirm)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if polls := cap(c.blocking); c.following > polls {
		wait = max(minWait, wait*time.Duration(polls)/time.Duration(c.following))
	}
	return wait
}

var errUrgent = errors.New("interrupted by what is urgent")

// urgency makes an inquiry read more often, and at once when it begins. The
// zero value and nil are not urgent.
type urgency struct {
	mu        sync.Mutex
	holders   int                     // guarded by mu
	interrupt context.CancelCauseFunc // of the poll that blocks, or nil; guarded by mu
	due       bool                    // it began when no poll blocked: the next one shall not; guarded by mu
}

func (u *urgency) on() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.holders > 0
}

// hold adds or ends a reason to hurry.
func (u *urgency) hold(change int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.holders += change
	switch {
	case u.holders == 0:
		u.due = false
	case u.holders > change:
	case u.interrupt != nil:
		u.interrupt(errUrgent)
	default:
		u.due = true
	}
}

// interrupts says what ends the poll that blocks now, until the result is called.
func (u *urgency) interrupts(cancel context.CancelCauseFunc) (done func()) {
	if u == nil {
		return func() {}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.interrupt = cancel
	if u.due {
		u.due = false
		cancel(errUrgent)
	}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.interrupt = nil
	}
}
