package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The files of a Store.
const (
	current     = "state.json"
	previous    = "state.json.prev"
	temporary   = "state.json.tmp"
	temporary2  = "state.json.prev.tmp" // on its way to become previous
	corrupt     = "state.json.corrupt-" // and a number that grows
	keepCorrupt = 5
)

// replace makes doc the current document and the current one the previous.
// Whatever is in place in between is whole: the new document is synced before
// it gets its name, and the current one keeps its name while it gets a second.
func (s *Store) replace(doc []byte) error {
	if err := s.write(doc); err != nil {
		return errors.Join(err, remove(s.path(temporary)))
	}
	s.after("written")
	if err := s.keepPrevious(); err != nil {
		return errors.Join(err, remove(s.path(temporary)))
	}
	s.trusted = nil
	if err := os.Rename(s.path(temporary), s.path(current)); err != nil {
		return errors.Join(err, remove(s.path(temporary)))
	}
	s.after("renamed")
	if err := syncDir(s.dir); err != nil {
		return err
	}
	s.trusted, _ = os.Lstat(s.path(current)) // nil: it is read before the next save
	s.after("synced")
	return nil
}

// write puts doc into the temporary file, on the disk itself.
func (s *Store) write(doc []byte) error {
	path := s.path(temporary)
	if err := remove(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, fileMode)
	if err != nil {
		return err
	}
	s.after("created")
	if _, err := f.Write(doc); err != nil {
		return errors.Join(err, f.Close())
	}
	s.after("unsynced")
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// keepPrevious gives the current document its second name. One that cannot be
// used is moved aside instead: it must not displace a previous one that can.
func (s *Store) keepPrevious() error {
	info, err := os.Lstat(s.path(current))
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !s.unchanged(info) {
		if _, err := s.read(current); err != nil {
			_, err = s.moveAside()
			return err
		}
	}
	// A rename between two names of one file does nothing, which a process
	// killed right here leaves behind: so the names are made anew.
	if err := remove(s.path(temporary2)); err != nil {
		return err
	}
	if err := os.Link(s.path(current), s.path(temporary2)); err != nil {
		return err
	}
	s.after("linked")
	if err := os.Rename(s.path(temporary2), s.path(previous)); err != nil {
		return err
	}
	s.after("kept")
	return remove(s.path(temporary2))
}

// unchanged reports whether info is the document that was last written or
// checked.
func (s *Store) unchanged(info os.FileInfo) bool {
	t := s.trusted
	return t != nil && os.SameFile(t, info) && t.Size() == info.Size() && t.ModTime().Equal(info.ModTime())
}

// setAside is moveAside, told as a part of an error.
func (s *Store) setAside() string {
	kept, err := s.moveAside()
	if err != nil {
		return fmt.Sprintf("it was left in place, since it could not be moved aside: %v", err)
	}
	return "it was kept as " + kept
}

// moveAside renames the current document to a name of its own, and removes the
// oldest such ones.
func (s *Store) moveAside() (kept string, err error) {
	numbers, err := s.corruptNumbers()
	if err != nil {
		return "", err
	}
	next := 1
	if n := len(numbers); n > 0 {
		next = numbers[n-1] + 1
	}
	for len(numbers) >= keepCorrupt {
		if err := os.Remove(s.corruptPath(numbers[0])); err != nil {
			return "", err
		}
		numbers = numbers[1:]
	}
	if err := os.Rename(s.path(current), s.corruptPath(next)); err != nil {
		return "", err
	}
	return s.corruptPath(next), syncDir(s.dir)
}

func (s *Store) corruptPath(n int) string { return s.path(corrupt + strconv.Itoa(n)) }

// corruptNumbers lists the documents moved aside, oldest first.
func (s *Store) corruptNumbers() ([]int, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), corrupt)
		n, err := strconv.Atoi(digits)
		if ok && err == nil && n > 0 && strconv.Itoa(n) == digits {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (s *Store) removeTemporary() error {
	return errors.Join(remove(s.path(temporary)), remove(s.path(temporary2)))
}

// remove is os.Remove for what may be gone.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !missing(err) {
		return err
	}
	return nil
}

// makeDir is os.MkdirAll whose directories survive a power failure.
func makeDir(dir string) error {
	_, err := os.Stat(dir)
	if !missing(err) {
		return err // nil: it exists, and takeLock finds out what it is
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// syncDir makes names in dir survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
