//go:build unix

package realserver

import (
	"fmt"
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

// Reserve finds an address on loopback that nobody has, and keeps it until
// release: others do not get it by chance, and whoever listens with SO_REUSEPORT,
// as Caddy does, can have it meanwhile. Without that two of them may share one
// address unknowingly, and each get some of the other's requests. It is none
// that Ports finds.
func Reserve() (address string, release func(), err error) {
	for range 1000 {
		port := firstReserved + rand.IntN(firstFound-firstReserved)
		fd, err := reserve(port)
		if err == unix.EADDRINUSE {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("reserving 127.0.0.1:%d: %w", port, err)
		}
		return fmt.Sprintf("127.0.0.1:%d", port), func() { _ = unix.Close(fd) }, nil
	}
	return "", nil, fmt.Errorf("no port of 127.0.0.1 is free")
}

// reserve returns a socket that is bound and does not listen.
func reserve(port int) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return 0, err
	}
	unix.CloseOnExec(fd)
	if err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) // only now, so that two never have one
	}
	if err != nil {
		_ = unix.Close(fd)
	}
	return fd, err
}
