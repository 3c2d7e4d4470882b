package control

import (
	"os"
	"path/filepath"
	"strconv"
)

const systemSocket = "/run/greenroom/control.sock"

// DefaultSocket returns where a server of this user listens when nothing else
// is said: /run/greenroom/control.sock for root; else control.sock in
// $XDG_RUNTIME_DIR/greenroom, or in greenroom-<uid> under the directory for
// temporary files.
func DefaultSocket() string {
	uid := os.Geteuid()
	if uid == 0 {
		return systemSocket
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "greenroom", "control.sock")
	}
	return filepath.Join(os.TempDir(), "greenroom-"+strconv.Itoa(uid), "control.sock")
}

// FindSocket returns the socket that a client should use: the explicit one if
// not empty, $GREENROOM_SOCKET, the user's default if there is one in a
// directory that is his or root's, /run/greenroom/control.sock if there is
// one, and else the user's default again, for the error to name.
func FindSocket(explicit string) string {
	if explicit != "" {
		return explicit
	}
	if path := os.Getenv("GREENROOM_SOCKET"); path != "" {
		return path
	}
	own := DefaultSocket()
	if info, err := os.Lstat(filepath.Dir(own)); err == nil && info.IsDir() && trusted(info) && isSocket(own) {
		return own
	}
	if isSocket(systemSocket) {
		return systemSocket
	}
	return own
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == os.ModeSocket
}
