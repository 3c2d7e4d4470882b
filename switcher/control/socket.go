package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	socketMode = 0o660
	dirMode    = 0o750
	maxPath    = 107 // bytes that the kernel takes
)

// socket is a bound Unix socket that removes its own file, and no other.
type socket struct {
	*net.UnixListener
	path  string
	made  os.FileInfo
	close func() error
}

// bind listens on path. The file never has a mode wider than socketMode, nor
// another group than it should while the group may connect.
func bind(path string, group *uint32) (*socket, error) {
	if !filepath.IsAbs(path) || len(path) > maxPath {
		return nil, fmt.Errorf("socket %q: want an absolute path of at most %d bytes", path, maxPath)
	}
	if err := prepareDir(filepath.Dir(path), group); err != nil {
		return nil, err
	}
	unlock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, err
	}
	listener, err := listenPrivate(path)
	if err != nil {
		return nil, err
	}
	s := &socket{UnixListener: listener, path: path}
	s.close = sync.OnceValue(s.removeAndClose)
	if s.made, err = os.Lstat(path); err == nil {
		err = open(path, group)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path), listener.Close())
	}
	return s, nil
}

// listenPrivate makes the socket with mode 0600, whatever the umask, which
// belongs to the whole process and is left alone: Linux gives the file the
// mode of the socket, less the umask, when it is bound.
func listenPrivate(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	unixListener, ok := listener.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("socket %s: listener of type %T", path, listener), listener.Close())
	}
	unixListener.SetUnlinkOnClose(false)
	return unixListener, nil
}

// open lets the group in.
func open(path string, group *uint32) error {
	if group != nil {
		if err := os.Lchown(path, -1, int(*group)); err != nil {
			return fmt.Errorf("socket for group %d: %w", *group, err)
		}
	}
	return os.Chmod(path, socketMode)
}

// clearStale removes the socket of a process that is gone.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there and is not a socket: it stays", path)
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("another greenroom answers on %s", path), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("cannot tell whether another greenroom answers: %w", err)
}

// Close removes the file first: while the socket is open, no other can have
// its inode number.
func (s *socket) Close() error { return s.close() }

func (s *socket) removeAndClose() error {
	err := s.remove()
	return errors.Join(err, s.UnixListener.Close())
}

func (s *socket) remove() error {
	unlock, err := lockSocket(s.path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) { // the directory is gone, and the file with it
			return nil
		}
		return err
	}
	defer unlock()
	there, err := os.Lstat(s.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(there, s.made) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(s.path)
}

// lockSocket keeps two processes from clearing and binding one path at the
// same time. The lock file stays, as a lock on a removed file locks nobody
// out; only its owner and root can open it.
func lockSocket(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
	}
	return func() { _ = file.Close() }, nil // nothing was written
}

// prepareDir makes the directory of the socket, or checks the one there is:
// who can write it can put a socket of his own in place of ours.
func prepareDir(dir string, group *uint32) error {
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return checkDir(dir, group)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) { // somebody was faster
		return checkDir(dir, group)
	}
	if err != nil {
		return err
	}
	if group != nil {
		if err := os.Lchown(dir, -1, int(*group)); err != nil {
			return fmt.Errorf("directory for group %d: %w", *group, err)
		}
	}
	return os.Chmod(dir, dirMode)
}

func checkDir(dir string, group *uint32) error {
	info, err := os.Lstat(dir)
	if err == nil && info.Mode().Type() == os.ModeSymlink && trusted(info) {
		info, err = os.Stat(dir)
	}
	if err != nil {
		return err
	}
	mode := info.Mode()
	switch {
	case mode.Type() == os.ModeSymlink:
		return fmt.Errorf("%s is a link of another user", dir)
	case !mode.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !trusted(info):
		return fmt.Errorf("directory %s belongs to uid %d: want it owned by root or by uid %d, as this process is",
			dir, owner(info).Uid, os.Geteuid())
	case mode.Perm()&0o002 != 0 && mode&os.ModeSticky == 0:
		return fmt.Errorf("directory %s can be written by everybody, who could replace the socket: chmod o-w %s", dir, dir)
	case group != nil && mode.Perm()&0o001 == 0 && (owner(info).Gid != *group || mode.Perm()&0o010 == 0):
		return fmt.Errorf("group %d cannot reach a socket in directory %s: chgrp %d %s && chmod g+x %s",
			*group, dir, *group, dir, dir)
	}
	return nil
}

func trusted(info os.FileInfo) bool {
	uid := owner(info).Uid
	return uid == 0 || int(uid) == os.Geteuid()
}

func owner(info os.FileInfo) *syscall.Stat_t {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok { // no Unix: as if nobody we know owned it
		return &syscall.Stat_t{Uid: ^uint32(0), Gid: ^uint32(0)}
	}
	return stat
}
