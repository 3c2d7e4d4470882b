package control

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrUnreachable says that nobody could be asked. It comes wrapped with the
// socket and what to do.
var ErrUnreachable = errors.New("greenroom cannot be reached")

// unreachable explains why dialing socket failed.
func unreachable(socket string, err error) error {
	hint := "set --socket or GREENROOM_SOCKET"
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		hint = fmt.Sprintf("is greenroom running? looked at %s; %s", socket, hint)
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = fmt.Sprintf("is greenroom running? %s is left from a process that ended; %s", socket, hint)
	case errors.Is(err, syscall.EACCES):
		hint = "only " + mayConnect(socket) + " may connect: ask an administrator, or use sudo"
	}
	return fmt.Errorf("%w: %s: %w: %s", ErrUnreachable, socket, cause(err), hint)
}

// cause is what the kernel said, without Go's prefixes.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// mayConnect names the owner and the group of the socket, or of the directory
// that hides it.
func mayConnect(socket string) string {
	for path := socket; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err == nil {
			return fmt.Sprintf("root, the user %s and the group %s (of %s)",
				userName(owner(info).Uid), groupName(owner(info).Gid), path)
		}
		if path == filepath.Dir(path) {
			return "root"
		}
	}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
