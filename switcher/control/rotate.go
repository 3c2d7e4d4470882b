package control

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// actionContinued is the action of a line that goes on from another file.
const actionContinued = "continued"

// Reopen goes on at the path, if the file was moved or cut short, as the next
// line would: after it, nothing is written to the file that was moved. A nil
// Audit has nothing to do.
func (a *Audit) Reopen() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready()
}

// begun goes on in the file that is at the path now, or creates it. It must be
// empty, or end where the chain stands, as a copy does.
func (a *Audit) begun() error {
	file, v, err := openLog(a.path)
	if err != nil {
		return err
	}
	next := &Audit{path: a.path, file: file, chain: a.chain, size: v.size}
	switch {
	case v.chain == a.chain && len(v.tail) == 0:
	case v.lines == 0 && len(v.tail) == 0:
		err = next.resume(continued{Seq: a.chain.seq, Hash: a.chain.hash}, verified{})
	default:
		err = errors.New("it has lines, but not those of the file that was there before; move it aside to begin a new one")
	}
	if err == nil {
		err = syncDir(filepath.Dir(a.path))
	}
	if err != nil {
		return fmt.Errorf("audit log %s: %w", a.path, errors.Join(err, file.Close()))
	}
	old := a.file
	a.file, a.chain, a.size = next.file, next.chain, next.size
	_ = old.Close() // each of its lines is on the disk
	return nil
}

// shortened goes on in a file of which somebody has cut off all after size, as
// logrotate's copytruncate does.
func (a *Audit) shortened(size int64) error {
	v, err := verify(io.NewSectionReader(a.file, 0, size), chain{})
	if err != nil {
		return fmt.Errorf("audit log %s: it was cut short, and what is left is broken: %w; move it aside to begin a new one", a.path, err)
	}
	from := continued{Seq: a.chain.seq, Hash: a.chain.hash, Cut: &shortfall{Expected: a.size, Found: size}}
	if err := a.resume(from, v); err != nil {
		return fmt.Errorf("audit log %s: it was cut short: %w", a.path, err)
	}
	return nil
}

// resume writes the line that goes on after what v found in the file.
func (a *Audit) resume(from continued, v verified) error {
	e := entry{Action: actionContinued, Continued: &from}
	var mend []byte
	if len(v.tail) > 0 {
		mend = []byte("\n")
		if _, _, err := v.follow(v.tail); err != nil {
			e.Recovered = new(tornFrom(v.tail))
		}
	}
	line, next, err := a.chain.seal(e, time.Now())
	if err != nil {
		return err
	}
	found := v.size + int64(len(v.tail))
	mend = append(mend, line...)
	if err := a.write(mend); err != nil {
		return errors.Join(err, a.file.Truncate(found))
	}
	a.chain, a.size = next, found+int64(len(mend))
	return nil
}
