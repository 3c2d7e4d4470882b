package spool

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// A block of memory is large, or small where all that comes is known to fit.
const (
	largeBlock = 32 << 10
	smallBlock = 4 << 10
)

var (
	large = sync.Pool{New: func() any { return new([largeBlock]byte) }}
	small = sync.Pool{New: func() any { return new([smallBlock]byte) }}
)

// Spool keeps bytes in the order in which they were written. Its methods may be
// called by many at a time. New makes one.
type Spool struct {
	room   *Room
	limits Limits
	block  int // size of the blocks
	open   func(dir string) (*os.File, error)

	mu       sync.Mutex
	blocks   [][]byte // guarded by mu; all but the last are full
	inMemory int64    // guarded by mu; bytes in blocks
	file     *os.File // guarded by mu; nil: none yet. It goes on where the blocks end
	onDisk   int64    // guarded by mu; bytes in file
	freed    bool     // guarded by mu
}

// New makes a spool in room. size is how much is going to be written, -1 if
// that is not known.
func New(room *Room, limits Limits, size int64) *Spool {
	s := &Spool{room: room, limits: limits, block: largeBlock, open: nameless}
	if size >= 0 && size <= smallBlock {
		s.block = smallBlock
	}
	return s
}

// nameless makes a file that is gone when it is closed.
func nameless(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "upload-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Write keeps all of p, or says why it cannot: ErrTooLarge, ErrFull or ErrDisk.
// After an error nothing more may be written; what came before can still be
// read.
func (s *Spool) Write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.freed:
		return os.ErrClosed
	case s.inMemory+s.onDisk+int64(len(p)) > s.limits.Total():
		return ErrTooLarge
	}
	p, err := s.toMemoryLocked(p)
	if err != nil || len(p) == 0 {
		return err
	}
	return s.toDiskLocked(p)
}

// toMemoryLocked returns what is left for the disk.
func (s *Spool) toMemoryLocked(p []byte) (rest []byte, err error) {
	for len(p) > 0 && s.file == nil && s.inMemory < s.limits.Memory {
		at := int(s.inMemory) % s.block
		if at == 0 && !s.growLocked() {
			if s.limits.Disk == 0 {
				return nil, ErrFull
			}
			break
		}
		n := int(min(int64(len(p)), s.limits.Memory-s.inMemory))
		n = copy(s.blocks[len(s.blocks)-1][at:], p[:n])
		s.inMemory += int64(n)
		p = p[n:]
	}
	return p, nil
}

func (s *Spool) growLocked() bool {
	if !take(&s.room.memory, int64(s.block), s.limits.AllMemory) {
		return false
	}
	if s.block == smallBlock {
		s.blocks = append(s.blocks, small.Get().(*[smallBlock]byte)[:])
	} else {
		s.blocks = append(s.blocks, large.Get().(*[largeBlock]byte)[:])
	}
	return true
}

func (s *Spool) toDiskLocked(p []byte) error {
	n := int64(len(p))
	if s.onDisk+n > s.limits.Disk || !take(&s.room.disk, n, s.limits.AllDisk) {
		return ErrFull // of this one there is room, so the memory of all was
	}
	if err := s.storeLocked(p); err != nil {
		s.room.disk.Add(-n)
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	s.onDisk += n
	return nil
}

func (s *Spool) storeLocked(p []byte) (err error) {
	if s.file == nil {
		if s.file, err = s.open(s.limits.Dir); err != nil {
			return err
		}
	}
	_, err = s.file.WriteAt(p, s.onDisk)
	return err
}

// ReadAt reads at least one byte from off on, or says why not: io.EOF where
// nothing was written yet.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.freed:
		return 0, os.ErrClosed
	case off < s.inMemory:
		block, at := s.blocks[int(off)/s.block], int(off)%s.block
		return copy(p, block[at:min(int64(s.block), int64(at)+s.inMemory-off)]), nil
	case off >= s.inMemory+s.onDisk:
		return 0, io.EOF
	}
	off -= s.inMemory
	p = p[:min(int64(len(p)), s.onDisk-off)]
	return s.file.ReadAt(p, off)
}

// Free gives back all that the spool holds. Later calls do nothing.
func (s *Spool) Free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freed {
		return
	}
	s.freed = true
	s.room.memory.Add(-int64(s.block * len(s.blocks)))
	s.room.disk.Add(-s.onDisk)
	for _, b := range s.blocks {
		if s.block == smallBlock {
			small.Put((*[smallBlock]byte)(b))
		} else {
			large.Put((*[largeBlock]byte)(b))
		}
	}
	s.blocks = nil
	if s.file != nil {
		_ = s.file.Close() // it has no name, and nobody wants what is in it
	}
}
