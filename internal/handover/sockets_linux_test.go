package handover

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shared listens on an address that others may listen on too.
func shared(t *testing.T, network, address string, multipath bool) net.Listener {
	t.Helper()
	config := net.ListenConfig{Control: reuse}
	config.SetMultipathTCP(multipath)
	l, err := config.Listen(context.Background(), network, address)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func reuse(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	if err != nil {
		return err
	}
	return set
}

// group is so many listeners on one address, of which each says its number.
func group(t *testing.T, n int) []net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	var list []net.Listener
	for i := range n {
		l := shared(t, "tcp", address, false)
		address = l.Addr().String()
		list = append(list, l)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = fmt.Fprintln(c, i)
				_ = c.Close()
			}
		}()
	}
	return list
}

// at returns this process's sockets of an address.
func at(t *testing.T, address net.Addr) (found []Socket) {
	t.Helper()
	all, err := Listening()
	must(t, err)
	want := netip.MustParseAddrPort(address.String())
	for _, s := range all {
		if s.Address == want && s.Network == address.Network() {
			found = append(found, s)
		}
	}
	return found
}

// answers counts who answers so many new connections.
func answers(t *testing.T, address net.Addr, n int) map[string]int {
	t.Helper()
	who := make(map[string]int)
	for range n {
		c, err := net.Dial("tcp", address.String())
		must(t, err)
		line, err := bufio.NewReader(c).ReadString('\n')
		must(t, err)
		must(t, c.Close())
		who[strings.TrimSpace(line)]++
	}
	return who
}

func TestAllThatIsNewGoesToTheSocketOfTheIndex(t *testing.T) {
	list := group(t, 3)
	address := list[0].Addr()
	for i := range 3 {
		must(t, Steer(at(t, address)[0], i))
		if who := answers(t, address, 60); who[fmt.Sprint(i)] != 60 {
			t.Errorf("index %d: %v", i, who)
		}
	}
	Release(at(t, address))
	if who := answers(t, address, 100); len(who) != 3 {
		t.Errorf("released: %v", who)
	}
}

func TestWhatWasForASocketThatHasClosedGoesToThoseThatAreLeft(t *testing.T) {
	list := group(t, 2)
	address := list[0].Addr()
	must(t, Steer(at(t, address)[0], 1)) // as a new process does
	must(t, list[0].Close())             // now the other is the first
	if who := answers(t, address, 50); who["1"] != 50 {
		t.Errorf("got %v", who)
	}
	must(t, Steer(at(t, address)[0], 0)) // as it does when it gives way itself
	if who := answers(t, address, 50); who["1"] != 50 {
		t.Errorf("got %v", who)
	}
}

func TestNothingComesToASocketThatIsQuiet(t *testing.T) {
	list := group(t, 2)
	address := list[0].Addr()
	sockets := at(t, address)
	first := sockets[0]
	if who := answers(t, address, 100); len(who) != 2 {
		t.Fatalf("before: %v", who)
	}
	must(t, Quiet(first))
	if who := answers(t, address, 100); len(who) != 1 {
		t.Errorf("got %v", who)
	}
	if left := at(t, address); len(left) != 1 {
		t.Errorf("%d sockets still listen", len(left))
	}
	must(t, Quiet(Socket{Network: "udp"})) // nothing to do
}

func TestOnlySocketsThatCanBeSharedAreFound(t *testing.T) {
	tcp, v6 := shared(t, "tcp", "127.0.0.1:0", false), shared(t, "tcp", "[::]:0", false)
	config := net.ListenConfig{Control: reuse}
	udp, err := config.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	must(t, err)
	alone, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	lonely, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	unixSocket, err := net.Listen("unix", t.TempDir()+"/s")
	must(t, err)
	conn, err := net.Dial("tcp", tcp.Addr().String())
	must(t, err)
	accepted, err := tcp.Accept() // it has the listener's options
	must(t, err)
	defer func() {
		for _, c := range []interface{ Close() error }{udp, alone, lonely, unixSocket, conn, accepted} {
			must(t, c.Close())
		}
	}()
	for _, a := range []net.Addr{tcp.Addr(), v6.Addr(), udp.LocalAddr()} {
		found := at(t, a)
		if len(found) != 1 || found[0].Key() != a.Network()+" "+a.String() {
			t.Errorf("%s %s: found %+v", a.Network(), a, found)
		}
	}
	for _, a := range []net.Addr{alone.Addr(), lonely.LocalAddr()} {
		if found := at(t, a); len(found) != 0 {
			t.Errorf("%s: found %+v", a, found)
		}
	}
	second := shared(t, "tcp", tcp.Addr().String(), false)
	all, err := Listening()
	must(t, err)
	counts := Count(all)
	if counts["tcp "+tcp.Addr().String()] != 2 || counts["udp "+udp.LocalAddr().String()] != 1 || len(counts) != 3 {
		t.Errorf("counted %v", counts)
	}
	must(t, second.Close())
}

func TestMultipathTCPIsRefusedWithWhatToDo(t *testing.T) {
	l := shared(t, "tcp", "127.0.0.1:0", true)
	sockets := at(t, l.Addr())
	if len(sockets) != 1 {
		t.Fatalf("found %+v", sockets)
	}
	protocol, err := unix.GetsockoptInt(sockets[0].fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	must(t, err)
	err = Steer(sockets[0], 0)
	if protocol != unix.IPPROTO_MPTCP { // a kernel without it: then there is nothing to refuse
		must(t, err)
		return
	}
	if err == nil || !strings.Contains(err.Error(), "GODEBUG=multipathtcp=0") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestSteeringAllSteersThoseThatHaveAnIndexAndSaysWhatFails(t *testing.T) {
	list := group(t, 2)
	sockets := at(t, list[0].Addr())
	must(t, SteerAll(sockets, func(Socket) (int, bool) { return 0, false }))
	if who := answers(t, list[0].Addr(), 100); len(who) != 2 {
		t.Errorf("nobody was to be steered: %v", who)
	}
	must(t, SteerAll(sockets, func(Socket) (int, bool) { return 1, true }))
	if who := answers(t, list[0].Addr(), 50); who["1"] != 50 {
		t.Errorf("got %v", who)
	}
	gone := Socket{Network: "tcp", Address: sockets[0].Address, fd: -1}
	err := SteerAll(append([]Socket{gone}, sockets...), func(Socket) (int, bool) { return 0, true })
	if err == nil || !strings.Contains(err.Error(), gone.Key()) {
		t.Errorf("got %v", err)
	}
	if who := answers(t, list[0].Addr(), 50); who["0"] != 50 {
		t.Errorf("one that fails kept the others: %v", who)
	}
}

func TestAConnectionIsQueuedUntilItIsAccepted(t *testing.T) {
	l := shared(t, "tcp", "127.0.0.1:0", false)
	sockets := at(t, l.Addr())
	if Queued(sockets) {
		t.Error("queued before anybody came")
	}
	conn, err := net.DialTimeout("tcp", l.Addr().String(), time.Minute)
	must(t, err)
	if !Queued(sockets) {
		t.Error("not queued")
	}
	accepted, err := l.Accept()
	must(t, err)
	if Queued(sockets) {
		t.Error("queued when accepted")
	}
	must(t, conn.Close())
	must(t, accepted.Close())
	if Queued([]Socket{{Network: "udp", fd: -1}, {Network: "tcp", fd: -1}}) {
		t.Error("queued at no socket")
	}
	if Shaking(sockets) {
		t.Error("a handshake when nobody comes")
	}
}

func TestHandshakesAreFoundInTheKernelsTable(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue\n"
	ports := map[uint16]bool{0x1F90: true}
	for line, want := range map[string]bool{
		"0: 0100007F:1F90 0100007F:9C40 03 0:0":                   true,
		"0: 00000000000000000000000001000000:1F90 0:0 03 0:0":     true,
		"0: 0100007F:1f90 0100007F:9C40 03":                       true,
		"0: 0100007F:1F90 00000000:0000 0A 0:0":                   false, // listens
		"0: 0100007F:1F90 0100007F:9C40 01 0:0":                   false, // established
		"0: 0100007F:1F91 0100007F:1F90 03 0:0":                   false, // another port
		"0: 0100007F:1F90 0100007F:9C40":                          false,
		"0: 1F90 x 03":                                            false,
		"0: 0100007F:1F90F 0:0 03":                                false,
		"0: 0100007F: 0:0 03":                                     false,
		"0: 0100007F:-1 0:0 03":                                   false,
		"0: ::1F90 0:0 03":                                        false,
		"":                                                        false,
		"\x00\xff : : 03":                                         false,
		strings.Repeat("x", 70<<10) + "\n0: 0100007F:1F90 0:0 03": false, // no table has such a line
		"1: 0100007F:1F91 0:0 03\n2: 0100007F:1F90 0:0 03 and more text": true,
	} {
		if got := handshakes(strings.NewReader(head+line+"\n"), ports); got != want {
			t.Errorf("%.60q: %v, want %v", line, got, want)
		}
	}
	if handshakes(strings.NewReader(""), nil) {
		t.Error("a handshake in an empty table")
	}
}
