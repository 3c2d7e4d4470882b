package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds retries to a share of the requests and a few per second, so
// that retries cannot multiply an outage. It belongs to a service for the life
// of the process.
type budget struct {
	earned atomic.Int64 // thousandths of a retry, from requests

	mu   sync.Mutex
	free float64   // guarded by mu: retries from time
	at   time.Time // guarded by mu: when free was last filled
}

// budgetSpan is for how long what was not spent is kept.
const budgetSpan = 10 * time.Second

// maxEarned bounds what requests can save up: 1000 retries.
const maxEarned = 1000 * 1000

// earn counts a request; percent of it may be spent on a retry.
func (b *budget) earn(percent int) {
	if b.earned.Add(int64(percent)*10) > maxEarned {
		b.earned.Store(maxEarned)
	}
}

// spend takes one retry from the budget, if there is one left.
func (b *budget) spend(perSecond int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := float64(perSecond) * budgetSpan.Seconds()
	if b.at.IsZero() {
		b.free = most
	}
	b.free = min(b.free+now.Sub(b.at).Seconds()*float64(perSecond), most)
	b.at = now
	if b.free >= 1 {
		b.free--
		return true
	}
	if b.earned.Add(-1000) >= 0 {
		return true
	}
	b.earned.Add(1000)
	return false
}
