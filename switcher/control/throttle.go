package control

import (
	"sync"
	"time"
)

// What a refused caller may write into the audit log: a burst, and then a line
// each minute that counts those left out. With 1,024 callers at once, the rest
// share what one may write.
const (
	refusalBurst  = 10
	refusalEvery  = time.Minute
	refusalCaller = 1024
)

// throttle bounds the audit lines of refused callers. The zero value is ready.
type throttle struct {
	mu      sync.Mutex
	callers map[string]*allowance // guarded by mu
}

type allowance struct {
	left       int
	since      time.Time // when left was true
	suppressed int
}

// take reports whether caller may write a line at now, and how many of its
// lines were left out before.
func (t *throttle) take(caller string, now time.Time) (suppressed int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers == nil {
		t.callers = make(map[string]*allowance)
	}
	a := t.callers[caller]
	if a == nil && len(t.callers) >= refusalCaller {
		caller = ""
		a = t.callers[caller]
	}
	if a == nil {
		a = &allowance{left: refusalBurst, since: now}
		t.callers[caller] = a
	}
	return a.take(now)
}

func (a *allowance) take(now time.Time) (suppressed int, ok bool) {
	earned := int(min(max(now.Sub(a.since)/refusalEvery, 0), refusalBurst))
	a.since = a.since.Add(time.Duration(earned) * refusalEvery)
	if a.left += earned; a.left >= refusalBurst {
		a.left, a.since = refusalBurst, now
	}
	if a.left == 0 {
		a.suppressed++
		return 0, false
	}
	a.left--
	suppressed, a.suppressed = a.suppressed, 0
	return suppressed, true
}
