package realserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"
)

// Patience is how long Until waits for what must come about.
const Patience = 60 * time.Second

// ErrEnded ends the wait for what a dead server will never do.
var ErrEnded = errors.New("the server has ended")

// Until asks every 20 ms whether something has come about: ask then returns
// nil. An error that wraps ErrEnded is returned at once, any other after
// Patience.
func Until(what string, ask func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrEnded) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", Patience, what, err)
		}
	}
}

// The ports of loopback that servers of tests get: Reserve's are those from
// firstReserved, Ports' those from firstFound to lastFound. No port is one of
// both, or what is reserved by chance might be the port of a server that is being
// restarted. All are below those that the kernel gives to connections (from 32768),
// which might take them too.
const (
	firstReserved = 10000
	firstFound    = 20000
	lastFound     = 31999
)

// Ports finds n ports of loopback that no one uses, TCP or UDP, nor can Reserve.
// Another process may still be faster: try again if the server cannot listen.
func Ports(n int) ([]int, error) {
	var found []int
	for range 100 * n {
		if len(found) == n {
			return found, nil
		}
		port := firstFound + rand.IntN(lastFound-firstFound+1)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // not before all are found, so that they differ
		if u, err := net.ListenPacket("udp", address); err == nil {
			_ = u.Close()
			found = append(found, port)
		}
	}
	if len(found) == n {
		return found, nil
	}
	return nil, errors.New("no port is free")
}

// Tail returns the last 40 lines of a file that a process has written.
func Tail(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(data), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
