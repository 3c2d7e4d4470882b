package handover

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Queued reports whether these sockets have connections that have not been
// accepted.
func Queued(sockets []Socket) bool {
	for _, s := range sockets {
		if s.Network != "tcp" {
			continue
		}
		// Of a socket that listens this is its queue (tcp_get_info in Linux).
		if info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.Unacked > 0 {
			return true
		}
	}
	return false
}

// Shaking reports whether there are handshakes that are not complete at the ports
// of these sockets, be they to them or to others at the same address.
func Shaking(sockets []Socket) bool {
	ports := make(map[uint16]bool)
	for _, s := range sockets {
		if s.Network == "tcp" {
			ports[s.Address.Port()] = true
		}
	}
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(path)
		if err != nil {
			continue // without IPv6
		}
		shaking := handshakes(f, ports)
		_ = f.Close()
		if shaking {
			return true
		}
	}
	return false
}

// handshakes looks in a table of connections (proc_net_tcp in Linux) for one that
// has not been completed, at one of some local ports.
func handshakes(table io.Reader, ports map[uint16]bool) bool {
	const synReceived = "03"
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != synReceived {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil && ports[uint16(port)] {
			return true
		}
	}
	return false
}
