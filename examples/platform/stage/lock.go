package stage

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock takes the directory for this process alone, and returns what lets go of
// it.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another platform runs in %s: %w: end it, or choose another directory and address: make platform ARGS='-dir other -edge localhost:8090'", dir, err)
	}
	return func() {
		_ = os.Remove(path) // before it is let go: nobody else has it open for long
		_ = f.Close()
	}, nil
}
