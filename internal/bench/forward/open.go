package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// pacing sends small requests at a fixed rate: each on a connection that is free,
// or on the first that becomes so. What a request took counts from when it was to be sent,
// so that a proxy that stalls is charged for all that waited for it.
type pacing struct {
	plan    *plan
	request []byte
	free    chan *lane
	over    chan struct{} // closed when all has been answered
	delays  []time.Duration
}

// lane is a connection of a pacing.
type lane struct {
	*pacing

	mu             sync.Mutex // held while the connection is made anew
	conn           *client    // guarded by mu; only run replaces it
	asked          bool       // guarded by mu
	parked         bool       // guarded by mu: it is closed, and free when it is made anew
	intended, sent time.Time  // guarded by mu

	// What run has seen; others read it when that has returned.
	times      []time.Duration
	answers    []answer
	failed     int
	unanswered int
	first      error // of what failed
}

// answer is one that came, by the clock that flips are told by.
type answer struct {
	sent, done int64 // Unix, nanoseconds
	color      byte
}

// open carries out a plan with a rate.
func (p *plan) open() (o outcome, err error) {
	pace, lanes, err := newPacing(p)
	if err != nil {
		return o, err
	}
	end := make(chan struct{})
	timer := time.AfterFunc(p.For, func() { close(end) })
	defer timer.Stop()
	o = pace.run(lanes, end)
	for _, l := range lanes {
		err = errors.Join(err, l.first)
	}
	return o, err
}

func newPacing(p *plan) (*pacing, []*lane, error) {
	clients, err := dialAll(p.Address, p.Connections)
	if err != nil {
		return nil, nil, err
	}
	pace := &pacing{plan: p, request: requestFor(p.Address, smallPath), free: make(chan *lane, len(clients)), over: make(chan struct{})}
	var lanes []*lane
	for _, c := range clients {
		c.allow(p.For)
		lanes = append(lanes, &lane{pacing: pace, conn: c})
	}
	return pace, lanes, nil
}

// run sends until the end, waits for all answers, and adds up.
func (p *pacing) run(lanes []*lane, end <-chan struct{}) (o outcome) {
	var all sync.WaitGroup
	for _, l := range lanes {
		p.free <- l
		all.Go(l.run)
	}
	began := time.Now()
	sent := make(chan struct{})
	go func() { defer close(sent); p.send(began, end) }()
	<-sent
	for range lanes {
		<-p.free
	}
	o.Took = time.Since(began)
	close(p.over)
	for _, l := range lanes {
		l.mu.Lock()
		_ = l.conn.Close()
		l.mu.Unlock()
	}
	all.Wait()
	var times []time.Duration
	for _, l := range lanes {
		times = append(times, l.times...)
	}
	o.Requests, o.Bytes = int64(len(times)), int64(len(times))*smallSize
	o.Latency, o.Delay = quantilesOf(times), quantilesOf(p.delays)
	return o
}

// send has a thread of its own, which ends with it: Go's timers may be a millisecond late, and
// the kernel's 50 µs if it is not told otherwise.
func (p *pacing) send(began time.Time, end <-chan struct{}) {
	runtime.LockOSThread()
	const setTimerSlack = 29 // PR_SET_TIMERSLACK
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1000, 0)
	var waited time.Time // until when there was no free connection
	for n := 0; ; n++ {
		intended := began.Add(time.Duration(n) * time.Second / time.Duration(p.plan.Rate))
		if wait := time.Until(intended); wait > 0 {
			ts := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&ts, nil) // if it is too short, this one is early
		}
		select {
		case <-end:
			return
		default:
		}
		var l *lane
		select {
		case l = <-p.free:
		default:
			l = <-p.free
			waited = time.Now()
		}
		sent, ok := l.send(intended)
		for !ok {
			l = <-p.free
			sent, ok = l.send(intended)
		}
		due := intended
		if waited.After(due) {
			due = waited
		}
		p.delays = append(p.delays, sent.Sub(due))
	}
}

// send writes a request, unless the proxy has closed the connection already. If
// that fails, run sees it too.
func (l *lane) send(intended time.Time) (sent time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn.ended() {
		l.parked = true
		return time.Time{}, false
	}
	l.asked, l.intended, l.sent = true, intended, time.Now()
	if _, err := l.conn.Write(l.request); err != nil {
		_ = l.conn.Close()
	}
	return l.sent, true
}

// run reads answers until all is over.
func (l *lane) run() {
	for {
		color, last, err := l.conn.readSmall() // only this replaces conn
		done := time.Now()
		l.mu.Lock()
		asked, parked := l.asked, l.parked
		l.asked, l.parked = false, false
		select {
		case <-l.over:
			l.mu.Unlock()
			return
		default:
		}
		if asked && err == nil {
			l.times = append(l.times, done.Sub(l.intended))
			l.answers = append(l.answers, answer{l.sent.UnixNano(), done.UnixNano(), color})
		}
		if asked && err != nil {
			l.fail(err)
		}
		if !asked && err == nil {
			l.fail(errors.New("an answer that nobody asked for"))
		}
		if err != nil || last {
			l.again()
		}
		l.mu.Unlock()
		if asked || parked {
			l.free <- l
		}
	}
}

func (l *lane) fail(err error) {
	if l.conn.unanswered(err) {
		l.unanswered++
	} else {
		l.failed++
	}
	if l.first == nil {
		l.first = err
	}
}

// again makes the connection anew; the caller holds mu. When nobody has listened
// for long, what is sent on the old one fails.
func (l *lane) again() {
	_ = l.conn.Close()
	for began := time.Now(); time.Since(began) < rig.Patience; time.Sleep(time.Millisecond) {
		c, err := dial(l.plan.Address)
		if err == nil {
			c.allow(l.plan.For)
			l.conn = c
			return
		}
		if l.fail(fmt.Errorf("connecting again: %w", err)); l.isOver() {
			return
		}
	}
}

func (l *lane) isOver() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}
