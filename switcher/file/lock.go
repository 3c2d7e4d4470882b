package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lock says which process owns a directory. It is a flock, which belongs to the
// open file and not to the process: it ends with the process however that dies,
// and a process that inherits the open file in an upgrade owns the directory
// with it, without a moment in between in which nobody does. The pid in the
// file is for people; only the flock decides.
type lock struct{ file *os.File }

// takeLock returns an error that names the owner when there is one.
func takeLock(dir string) (*lock, error) {
	path := filepath.Join(dir, "lock")
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, fileMode)
		if err != nil {
			return nil, fmt.Errorf("state directory %s: open its lock: %w", dir, err)
		}
		err = flock(f)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("state directory %s is in use by %s, which holds %s: stop it, or give this one a directory of its own",
				dir, owner(f), path)
		} else if err != nil {
			err = fmt.Errorf("state directory %s: lock %s: %w", dir, path, err)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if isAt(f, path) {
			l := &lock{f}
			if err := l.sign(); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return l, nil
		}
		// Somebody removed the file while we locked it; another process
		// may have locked the one that took its place.
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

func flock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var flocked error
	err = raw.Control(func(fd uintptr) {
		flocked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	return errors.Join(err, flocked)
}

// owner reads who holds the lock, for the error of the process that does not.
func owner(f *os.File) string {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	pid, _ := strings.CutSuffix(string(text), "\n")
	if _, notPid := strconv.ParseUint(pid, 10, 32); err != nil || notPid != nil {
		return "another process" // which has not written its pid yet
	}
	if pid == strconv.Itoa(os.Getpid()) {
		return "this process itself (pid " + pid + ")"
	}
	return "process " + pid
}

func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

// sign writes this process's pid.
func (l *lock) sign() error {
	err := l.file.Truncate(0)
	if err == nil {
		_, err = l.file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	return err
}

// release gives the directory up. The file stays: to remove it would let a
// second process lock it just before it goes, and a third its successor.
func (l *lock) release() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}
