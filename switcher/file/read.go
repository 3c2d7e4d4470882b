package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// readRegular reads a whole regular file of at most limit bytes, following
// symlinks. It does not hang on a pipe or a device.
func readRegular(path string, limit int64) ([]byte, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	data, info, err := readOpen(f, limit)
	return data, info, errors.Join(err, f.Close())
}

func readOpen(f *os.File, limit int64) ([]byte, os.FileInfo, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, fmt.Errorf("it is %s: want a regular file", kind(info.Mode()))
	}
	if info.Size() > limit {
		return nil, info, tooLarge(limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit { // it grows
		err = tooLarge(limit)
	}
	return data, info, err
}

func tooLarge(limit int64) error {
	return fmt.Errorf("it has more than %d bytes, the most that is read", limit)
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	}
	return "a device"
}
