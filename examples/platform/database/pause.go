package database

import "time"

// Load is what a migration asks the database before each of its transactions.
type Load struct {
	// Waiting is how many statements of others wait for a lock.
	Waiting int
	// Lag is how far the slowest replica is behind, 0 without one.
	Lag time.Duration
}

// What is too much load to add to.
const (
	tooManyWait = 2
	tooFarOff   = 2 * time.Second
)

// Pause is how long to wait before the next transaction: a moment after each,
// so that a backfill takes a part of the database only, and more while others
// wait or replicas are behind.
func Pause(l Load) time.Duration {
	switch {
	case l.Lag > tooFarOff:
		return time.Second
	case l.Waiting > tooManyWait:
		return 200 * time.Millisecond
	default:
		return 5 * time.Millisecond
	}
}

// Calm reports whether a transaction may begin.
func (l Load) Calm() bool { return l.Lag <= tooFarOff && l.Waiting <= tooManyWait }

// Retry is how long to wait before a transaction that did not get its lock is
// tried again: longer each time, up to 2 s, and random, by r from 0 to 1, so that
// it does not keep step with what it met.
func Retry(attempt int, r float64) time.Duration {
	longest := min(50*time.Millisecond<<min(attempt, 10), 2*time.Second)
	return time.Duration((0.5 + r/2) * float64(longest))
}

// Sizes of batches: the first, and how long one should take.
const (
	firstBatch = 50
	batchTime  = 20 * time.Millisecond
)

// NextBatch is the size of a batch after one that took a while: twice, or half.
func NextBatch(size, largest int, took time.Duration) int {
	switch {
	case took > batchTime:
		return max(1, size/2)
	case took < batchTime/2:
		return min(largest, size*2)
	default:
		return size
	}
}
