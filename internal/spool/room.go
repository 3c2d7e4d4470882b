// Package spool keeps bytes that may be needed once more: in memory up to a
// bound, beyond that in a file that has no name, so that nothing is left of it
// when the process ends, however it ends. What all spools hold together is
// bounded by a Room.
package spool

import (
	"errors"
	"sync/atomic"
)

// Why a spool takes no more.
var (
	// ErrTooLarge: the bytes are more than one spool may hold.
	ErrTooLarge = errors.New("it is larger than what is kept")
	// ErrFull: all spools together hold as much as they may.
	ErrFull = errors.New("what is kept of all uploads has reached its bound")
	// ErrDisk: a file could not be made or written.
	ErrDisk = errors.New("it could not be kept on disk")
)

// Room counts what all spools hold. The zero value is ready for use.
type Room struct{ memory, disk atomic.Int64 }

// Held returns the bytes held in memory, where whole blocks count, and on disk.
func (r *Room) Held() (memory, disk int64) { return r.memory.Load(), r.disk.Load() }

// take counts n more bytes, unless they would be more than bound.
func take(held *atomic.Int64, n, bound int64) bool {
	if held.Add(n) > bound {
		held.Add(-n)
		return false
	}
	return true
}

// Limits are the bounds of a spool, in bytes. The zero value keeps nothing.
type Limits struct {
	Memory, Disk       int64  // of this one
	AllMemory, AllDisk int64  // of all in its Room
	Dir                string // of the files; made when the first is
}

// Total is what one spool may hold.
func (l Limits) Total() int64 { return l.Memory + l.Disk }
