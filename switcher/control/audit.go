package control

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Audit is a log that only grows: who asked for what, what was decided, and
// what came of it. See the package's comment for its format. It is safe for
// concurrent use; a nil Audit is one that cannot be written.
//
// The file is open for as long as the Audit is, and locked: there is one
// Audit for a path. It may be moved or removed meanwhile: the next line, or
// Reopen, begins a new one at the path, which continues it.
type Audit struct {
	path string

	mu    sync.Mutex
	file  auditFile // guarded by mu; nil when closed
	chain chain     // guarded by mu
	size  int64     // guarded by mu; of the good lines
	dirty bool      // guarded by mu; a failed write may have left bytes after size
}

// auditFile is the part of *os.File that is used, so that tests can make it
// fail.
type auditFile interface {
	io.ReaderAt
	io.WriteCloser
	Stat() (os.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

const auditMode = 0o640

// OpenAudit opens the log at path, and creates it with mode 0640 where there is
// none. It reads the whole file, and refuses one whose chain is broken. A last
// line that a crash cut short stays, and the next line says so.
func OpenAudit(path string) (*Audit, error) {
	file, v, err := openLog(path)
	if err != nil {
		return nil, err
	}
	a := &Audit{path: path, file: file, chain: v.chain, size: v.size}
	err = a.mendTail(v.tail)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w", path, errors.Join(err, file.Close()))
	}
	return a, nil
}

// openLog opens and locks a log, or creates it, and reads it to its end.
func openLog(path string) (*os.File, verified, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, auditMode)
	if err != nil {
		return nil, verified{}, fmt.Errorf("audit log: %w", err)
	}
	v, err := takeLog(file)
	if err != nil {
		return nil, verified{}, fmt.Errorf("audit log %s: %w", path, errors.Join(err, file.Close()))
	}
	return file, v, nil
}

func takeLog(file *os.File) (verified, error) {
	info, err := file.Stat()
	if err != nil {
		return verified{}, err
	}
	if !info.Mode().IsRegular() {
		return verified{}, errors.New("not a regular file")
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return verified{}, errors.New("another process writes it")
		}
		return verified{}, err
	}
	if info.Size() == 0 || info.Mode().Perm()&^auditMode != 0 {
		if err := file.Chmod(auditMode); err != nil {
			return verified{}, err
		}
	}
	v, err := verify(file, chain{})
	if err != nil {
		return v, fmt.Errorf("%w; move the file aside to begin a new one", err)
	}
	return v, nil
}

// mendTail makes what a crash left after the last newline a line of its own: a
// whole one where nothing but the newline is missing, else a torn one that the
// next line tells of. Both go into one write, so that only a power failure can
// come between.
func (a *Audit) mendTail(tail []byte) error {
	if len(tail) == 0 {
		return nil
	}
	mend := []byte("\n")
	_, next, err := a.chain.follow(tail)
	if err != nil {
		cutOff := tornFrom(tail)
		var line []byte
		line, next, err = a.chain.seal(entry{Action: "recover", Recovered: &cutOff}, time.Now())
		if err != nil {
			return err
		}
		mend = append(mend, line...)
	}
	before := a.size + int64(len(tail))
	if err := a.write(mend); err != nil {
		return errors.Join(err, a.file.Truncate(before))
	}
	a.chain, a.size = next, before+int64(len(mend))
	return nil
}

func (a *Audit) write(data []byte) error {
	if _, err := a.file.Write(data); err != nil {
		return err
	}
	return a.file.Sync()
}

// begin writes the first line of a command, and returns what its second line
// refers to. When it returns without an error, the line outlives a power
// failure.
func (a *Audit) begin(e entry) (ref uint64, err error) { return a.append(e) }

// note writes a line that nothing refers to.
func (a *Audit) note(e entry) error {
	_, err := a.append(e)
	return err
}

func (a *Audit) append(e entry) (seq uint64, err error) {
	if a == nil {
		return 0, errors.New("no audit log is open")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.ready(); err != nil {
		return 0, err
	}
	line, next, err := a.chain.seal(e, time.Now())
	if err != nil {
		return 0, err
	}
	if err := a.write(line); err != nil {
		a.dirty = true
		// If it fails, it is tried again before the next line.
		if info, failed := a.file.Stat(); failed == nil {
			_ = a.clean(info.Size())
		}
		return 0, err
	}
	a.chain, a.size = next, a.size+int64(len(line))
	return next.seq, nil
}

// ready sees to it that the next line goes on with the chain in the file at the
// path, or reports why it cannot.
func (a *Audit) ready() error {
	if a.file == nil {
		return errors.New("the audit log is closed")
	}
	mine, err := a.file.Stat()
	if err != nil {
		return err
	}
	if err := a.clean(mine.Size()); err != nil {
		return err
	}
	there, err := os.Stat(a.path)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case err != nil, !os.SameFile(mine, there):
		return a.begun()
	case mine.Size() < a.size:
		return a.shortened(mine.Size())
	}
	return nil
}

// clean takes back a line that was not written whole: whoever asked for it was
// told so, and nothing came of it. A file that is shorter than it should be is
// never lengthened.
func (a *Audit) clean(size int64) error {
	if a.dirty && size > a.size {
		if err := a.file.Truncate(a.size); err != nil {
			return fmt.Errorf("after a failed write: %w", err)
		}
	}
	a.dirty = false
	return nil
}

// Close ends the log; what is asked of it afterwards fails. Of a file that was
// moved it leaves a successor at the path, so that the chain goes on with the
// next process.
func (a *Audit) Close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.ready()
	err = errors.Join(err, a.file.Close())
	a.file = nil
	return err
}

// syncDir makes a new file's name outlive a power failure.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
