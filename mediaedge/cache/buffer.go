package cache

import (
	"fmt"
	"io"
)

// maxEmptyReads is after how many reads without bytes or error a body's end is
// no longer waited for.
const maxEmptyReads = 100

// buffer grows with what is read into it. What was read stays where it is in
// slices that were taken before it grew.
type buffer struct {
	data  []byte
	empty int
}

const firstBuffer = 32 << 10

// read reads once, up to limit bytes in all.
func (b *buffer) read(r io.Reader, limit int) (int, error) {
	if len(b.data) == cap(b.data) {
		grown := make([]byte, len(b.data), min(max(2*cap(b.data), firstBuffer), limit))
		copy(grown, b.data)
		b.data = grown
	}
	n, err := r.Read(b.data[len(b.data):min(cap(b.data), limit)])
	b.data = b.data[:len(b.data)+n]
	if n > 0 {
		b.empty = 0
	} else if b.empty++; b.empty > maxEmptyReads && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

// clip returns the bytes without room that is not needed.
func (b *buffer) clip() []byte {
	if cap(b.data)-len(b.data) > len(b.data)/8 {
		b.data = append(make([]byte, 0, len(b.data)), b.data...)
	}
	return b.data
}

// again is a body whose beginning has been read already.
type again struct {
	head []byte
	io.ReadCloser
}

func (a *again) Read(p []byte) (int, error) {
	if len(a.head) > 0 {
		n := copy(p, a.head)
		a.head = a.head[n:]
		return n, nil
	}
	return a.ReadCloser.Read(p)
}

// lieError is an answer whose body is not what its head says.
type lieError struct{ what string }

func (e *lieError) Error() string { return "cache: the origin's answer contradicts itself: " + e.what }

// source reads a body, and counts.
type source struct {
	c     *Cache
	r     io.Reader
	empty int
}

// read reads at least one byte, or returns an error. io.EOF is one: it is
// earlier than the head has said.
func (s *source) read(p []byte) (int, error) {
	for {
		n, err := s.r.Read(p)
		s.c.fetched.Add(int64(n))
		if n > 0 {
			s.empty = 0
			if n == len(p) && err == io.EOF {
				return n, io.EOF
			}
		} else if s.empty++; s.empty > maxEmptyReads && err == nil {
			err = io.ErrNoProgress
		}
		switch {
		case err == io.EOF:
			return n, &lieError{"the body ends early"}
		case err != nil:
			return n, fmt.Errorf("cache: reading from the origin: %w", err)
		case n > 0:
			return n, nil
		}
	}
}

// end reports whether the body ends here. err is that of the last read.
func (s *source) end(err error) error {
	var p [1]byte
	for range maxEmptyReads {
		if err != nil {
			break
		}
		var n int
		if n, err = s.r.Read(p[:]); n > 0 {
			return &lieError{"the body is longer than it should be"}
		}
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if err == io.EOF {
		return nil
	}
	return fmt.Errorf("cache: reading the end from the origin: %w", err)
}
