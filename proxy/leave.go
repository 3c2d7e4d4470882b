package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// leaving is the end of this process: what is under way ends by its kind's
// deadline, and with manners shortly before the process must have ended.
type leaving struct {
	since   time.Time                   // when deadlines begin to count
	grace   time.Duration               // of the config in force
	options map[string]switcher.Options // of each service, in that config
	paces   map[string]Pace
	until   atomic.Int64 // when all must have ended, in Unix nanoseconds; 0: nothing presses
}

// within makes all end in so much time, or sooner if that was due.
func (l *leaving) within(d time.Duration) {
	until := time.Now().Add(d).UnixNano()
	for was := l.until.Load(); was == 0 || until < was; was = l.until.Load() {
		if l.until.CompareAndSwap(was, until) {
			return
		}
	}
}

func (l *leaving) over(now time.Time) bool {
	until := l.until.Load()
	return until != 0 && now.UnixNano() >= until
}

// left is the time until all must have ended.
func (l *leaving) left(now time.Time) (left time.Duration, limited bool) {
	until := l.until.Load()
	return time.Duration(until - now.UnixNano()), until != 0
}

// due reports whether a stream is to be asked to end. What can be ended with
// manners is, while there is time for that; what would only be cut goes on to the
// last.
func (l *leaving) due(e *entry, now time.Time) bool {
	o, known := l.options[e.service]
	if known && now.Sub(l.since) >= o.Deadline(e.streamKind()) {
		return true
	}
	left, limited := l.left(now)
	switch e.streamKind() {
	case switcher.StreamWebSocket, switcher.StreamSSE, switcher.StreamGRPC:
		return limited && left <= l.grace*3/4
	}
	return false
}

// leave begins the end of this process: what asks whether it is ready hears no,
// and clients are told with each response to come back on another connection.
// After delay streams begin to end.
func (rt *runtime) leave(app *App, delay time.Duration) *leaving {
	l := &leaving{since: time.Now().Add(delay), grace: app.grace(), options: make(map[string]switcher.Options), paces: make(map[string]Pace)}
	for name, e := range app.edges {
		l.options[name] = e.config.switcherConfig().Options.OrDefaults()
		l.paces[name] = rt.pace(name)
	}
	if !rt.leaving.CompareAndSwap(nil, l) {
		return rt.leaving.Load()
	}
	go rt.showOut(l)
	return l
}

// showOut ends streams as they become due.
func (rt *runtime) showOut(l *leaving) {
	time.Sleep(time.Until(l.since))
	for {
		now := time.Now()
		for at := range rt.ledger.posts() {
			rt.usher.show(at.service, at.color, l.since, func(e *entry) bool { return l.due(e, now) })
		}
		time.Sleep(showOutStep)
	}
}

const showOutStep = 100 * time.Millisecond

// press is how many streams of so many must end per second for all to have ended
// in time; 0: none must.
func (rt *runtime) press(wanted int) int {
	l := rt.leaving.Load()
	if l == nil {
		return 0
	}
	left, limited := l.left(time.Now())
	if !limited {
		return 0
	}
	seconds := max((left - l.grace/4).Seconds(), 1)
	return int(float64(wanted)/seconds) + 1
}

// lastWill is told before Caddy stops a config.
type lastWill struct{ app *App }

// Handle implements caddyevents.Handler. It has the process leave if it ends.
func (w lastWill) Handle(context.Context, caddy.Event) error {
	if !caddy.Exiting() {
		w.app.lingers() // a reload
		return nil
	}
	rt, delay := w.app.runtime, time.Duration(w.app.http().ShutdownDelay)
	l := rt.leave(w.app, delay)
	l.within(delay + l.grace)
	rt.elders.leave(delay + l.grace)
	rt.log.Info("the process ends", "delay", delay, "at_most", delay+l.grace)
	return nil
}
