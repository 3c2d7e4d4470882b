package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/greenroom-proxy/greenroom/internal/strictjson"
)

// memory is what a seat must not forget. The zero value has dealt with nothing
// and agreed to nothing.
type memory struct {
	Format int `json:"format"`
	// Desired is the last value dealt with.
	Desired handled `json:"desired"`
	// Deleted: the key that held it is gone, and that was noticed.
	Deleted bool `json:"deleted,omitempty"`
	// Bond is to the shared state.
	Bond bond `json:"bond"`
	// Move is the id of the move that Desired started, until its end.
	Move string `json:"move,omitempty"`
	// Word is the id of the last move that became this edge's word on an epoch.
	Word string `json:"word,omitempty"`
	// Trigger is what came of Desired; Latest of what was dealt with last.
	Trigger Outcome `json:"trigger"`
	Latest  Outcome `json:"latest"`
}

const memoryFormat = 1

// drawer keeps the memories of a fleet's seats, each in a file. The zero value
// keeps nothing.
type drawer struct{ dir string }

func (d drawer) file(service string) string { return filepath.Join(d.dir, service+".json") }

// load returns the memory of a service, and what it is worth. The error is why
// it was lost.
func (d drawer) load(service string) (memory, past, error) {
	if d.dir == "" {
		return memory{}, joining, nil
	}
	data, err := readFile(d.file(service))
	if errors.Is(err, fs.ErrNotExist) {
		return memory{}, joining, nil
	}
	var m memory
	if err == nil {
		err = strictjson.Decode(data, &m)
	}
	if err == nil && m.Format != memoryFormat {
		err = fmt.Errorf("format %d: want %d", m.Format, memoryFormat)
	}
	if err != nil {
		return memory{}, lost, fmt.Errorf("memory %s: %w", d.file(service), err)
	}
	return m, returning, nil
}

// readFile reads a regular file that is not too long.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxValue+1))
	if err == nil && len(data) > maxValue {
		err = tooLong(len(data))
	}
	return data, errors.Join(err, f.Close())
}

// save returns when the memory would survive a power failure.
func (d drawer) save(service string, m memory) error {
	if d.dir == "" {
		return nil
	}
	m.Format = memoryFormat
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o750); err != nil {
		return err
	}
	next := d.file(service) + ".tmp"
	if err := writeFile(next, text); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if err := os.Rename(next, d.file(service)); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return syncFolder(d.dir)
}

func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o640)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncFolder(dir string) error {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
