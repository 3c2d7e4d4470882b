package realserver

import (
	"context"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAReservedAddressIsForOneAndForWhoSharesPorts(t *testing.T) {
	address, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", address); err == nil {
		l.Close()
		t.Error("another has it by chance")
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("somebody answers there")
	}
	port, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if fd, err := reserve(port.Port); err == nil {
		_ = unix.Close(fd)
		t.Error("it is reserved twice")
	}
	shares := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	l, err := shares.Listen(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
		accepted <- err
	}()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	release()
}

func TestNoPortThatIsFoundCouldBeReserved(t *testing.T) {
	found, err := Ports(100)
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range found {
		if port < firstFound || port > lastFound {
			t.Errorf("%d is found", port)
		}
	}
	for range 100 {
		address, release, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if a, err := net.ResolveTCPAddr("tcp", address); err != nil || a.Port < firstReserved || a.Port >= firstFound {
			t.Errorf("%s is reserved: %v", address, err)
		}
	}
}
