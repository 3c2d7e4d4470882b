package resume

import "sync"

// DefaultPerKey is the bound of a Limit that names none.
const DefaultPerKey = 64

// Limit bounds how many transfers look for a continuation at one time, so that
// the death of an upstream with thousands of them is no stampede on the others.
// A transfer holds its place from the failure until a continuation is accepted
// or it gives up, not while the continuation's body flows. The zero value is
// ready for use; a nil *Limit bounds nothing.
type Limit struct {
	// PerKey is the bound for each key, at least 1. 0: DefaultPerKey.
	PerKey int

	mu   sync.Mutex
	held map[string]int // guarded by mu; none is zero
}

// Take takes a place, if there is one, for Give to give back.
func (l *Limit) Take(key string) bool {
	if l == nil {
		return true
	}
	bound := l.PerKey
	if bound == 0 {
		bound = DefaultPerKey
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[key] >= bound {
		return false
	}
	if l.held == nil {
		l.held = make(map[string]int)
	}
	l.held[key]++
	return true
}

// Give gives back a place that Take took.
func (l *Limit) Give(key string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[key]--; l.held[key] <= 0 {
		delete(l.held, key)
	}
}
