package media

import (
	"sync"
	"sync/atomic"
)

// life is that of a config: it begins once, by whoever comes first, and ends
// when the config has been taken down and its last request is answered.
type life struct {
	users atomic.Int64 // the config itself is one; 0: it is over, or has not started
	begun atomic.Bool

	mu   sync.Mutex
	done bool  // guarded by mu
	err  error // guarded by mu; of the beginning
}

func (l *life) start() { l.users.Store(1) }

// begin calls f the first time, and returns what it has returned.
func (l *life) begin(f func() error) error {
	if l.begun.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.done, l.err = true, f()
		l.begun.Store(l.err == nil)
	}
	return l.err
}

// enter reports whether there is one user more: none comes after the last.
func (l *life) enter() bool {
	for {
		n := l.users.Load()
		if n <= 0 {
			return false
		}
		if l.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave reports whether that was the last one.
func (l *life) leave() bool { return l.users.Add(-1) == 0 }
