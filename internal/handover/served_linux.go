package handover

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Serving reports whether this process still has connections at the addresses of
// sockets that it listened on, or UDP sockets at which others may be.
func Serving(sockets []Socket) bool {
	ports := make(map[uint16]bool)
	for _, s := range sockets {
		ports[s.Address.Port()] = true
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return false
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			continue
		}
		if s, ok := inspect(fd); ok && ports[s.Address.Port()] {
			return true // it listens yet
		}
		if _, err := unix.Getpeername(fd); err != nil {
			continue
		}
		if a, ok := addressOf(fd); ok && ports[a.Port()] {
			return true
		}
	}
	return false
}
