package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Lock returns a copy of the open file whose lock makes the directory this
// Store's, for a process that is to inherit it: Adopt makes a Store of it there.
// The caller closes it.
func (s *Store) Lock() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil, errClosed
	}
	raw, err := s.lock.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var duplicated error
	err = raw.Control(func(from uintptr) {
		syscall.ForkLock.RLock() // no other child inherits it
		defer syscall.ForkLock.RUnlock()
		if fd, duplicated = syscall.Dup(int(from)); duplicated == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err := errors.Join(err, duplicated); err != nil {
		return nil, fmt.Errorf("state directory %s: its lock: %w", s.dir, err)
	}
	return os.NewFile(uintptr(fd), s.lock.file.Name()), nil
}

// Leave closes the Store for a process that has adopted its directory.
func (s *Store) Leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.lock.file.Close()
	s.lock = nil
	return err
}

// Reclaim says again in the lock that the directory is this process's, after one
// that had adopted it has ended without taking over.
func (s *Store) Reclaim() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return errClosed
	}
	s.trusted = nil // it may have written
	return s.lock.sign()
}

// Adopt is OpenStore with a lock that was inherited. The process that it came
// from must not write any more.
func Adopt(dir string, inherited *os.File) (*Store, error) {
	if !isAt(inherited, filepath.Join(dir, "lock")) {
		return nil, fmt.Errorf("state directory %s: the lock that was handed over is of another directory, or was replaced", dir)
	}
	l := &lock{inherited}
	if err := flock(inherited); err != nil {
		return nil, fmt.Errorf("state directory %s: lock it: %w", dir, err)
	}
	if err := l.sign(); err != nil {
		return nil, errors.Join(err, inherited.Close())
	}
	return &Store{dir: dir, limit: maxDocument, lock: l, after: func(string) {}}, nil
}

// Peek reads the state in a directory that belongs to another process.
func Peek(dir string) (switcher.State, error) {
	s := &Store{dir: dir, limit: maxDocument}
	newest, err := s.read(current)
	if missing(err) {
		return switcher.State{}, switcher.ErrNoState
	}
	return newest.State, err
}
