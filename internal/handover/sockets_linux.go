package handover

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Supported tells whether this system can do it.
const Supported = true

// Socket is one of this process's sockets that others may share an address with.
type Socket struct {
	Network string // tcp or udp
	Address netip.AddrPort
	fd      int
}

// Key names the address for both processes.
func (s Socket) Key() string { return s.Network + " " + s.Address.String() }

// Listening returns this process's TCP sockets that listen, and its UDP sockets
// that are bound, where they have SO_REUSEPORT.
func Listening() ([]Socket, error) {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var sockets []Socket
	for _, f := range files {
		if fd, err := strconv.Atoi(f.Name()); err == nil {
			if s, ok := inspect(fd); ok {
				sockets = append(sockets, s)
			}
		}
	}
	return sockets, nil
}

func inspect(fd int) (Socket, bool) {
	option := func(name int) int {
		value, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, name)
		if err != nil {
			return -1
		}
		return value
	}
	s := Socket{fd: fd}
	switch option(unix.SO_PROTOCOL) {
	case unix.IPPROTO_TCP, unix.IPPROTO_MPTCP:
		if option(unix.SO_ACCEPTCONN) != 1 {
			return s, false
		}
		s.Network = "tcp"
	case unix.IPPROTO_UDP:
		s.Network = "udp"
	default:
		return s, false
	}
	if option(unix.SO_REUSEPORT) != 1 {
		return s, false
	}
	var ok bool
	s.Address, ok = addressOf(fd)
	return s, ok
}

// addressOf is the local address of an IP socket that has one.
func addressOf(fd int) (address netip.AddrPort, ok bool) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return address, false
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		address = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		address = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return address, address.Port() != 0
}

// Count returns how many sockets there are for each key.
func Count(sockets []Socket) map[string]int {
	counts := make(map[string]int)
	for _, s := range sockets {
		counts[s.Key()]++
	}
	return counts
}

// Steer has the kernel send all that is new for the address of s to the index-th
// of the sockets that are bound to it, in the order in which they were: TCP
// connections, and UDP packets, be they of something new or not. An index at
// which there is none lets the kernel choose.
func Steer(s Socket, index int) error {
	program := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(index)}
	err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &program})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%s listens by Multipath TCP, whose connections Linux does not direct: start the edge with GODEBUG=multipathtcp=0", s.Key())
	}
	if err != nil {
		return fmt.Errorf("direct the connections to %s: %w", s.Key(), err)
	}
	return nil
}

// Release lets the kernel choose again.
func Release(sockets []Socket) {
	for _, s := range sockets {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0) // there is none
	}
}

// SteerAll steers those for which there is an index.
func SteerAll(sockets []Socket, index func(Socket) (int, bool)) error {
	var errs []error
	for _, s := range sockets {
		if i, ok := index(s); ok {
			errs = append(errs, Steer(s, i))
		}
	}
	return errors.Join(errs...)
}

// Quiet takes a TCP socket out of those that listen: nothing comes to it any
// more, and who accepts on it fails.
func Quiet(s Socket) error {
	if s.Network != "tcp" {
		return nil
	}
	return unix.Shutdown(s.fd, unix.SHUT_RD)
}

func closeOnExec(fd int) { unix.CloseOnExec(fd) }
