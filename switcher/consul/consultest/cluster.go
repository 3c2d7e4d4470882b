package consultest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// Cluster runs n servers with their state on disk, which elect one of them,
// until the test ends. It returns when each knows the leader.
func Cluster(t testing.TB, n int) []*Server {
	t.Helper()
	skipIfShort(t)
	servers := make([]*Server, n)
	key := make([]byte, 32) // so that it is never joined by another test's
	_, _ = rand.Read(key)   // never fails
	encrypt := fmt.Sprintf("encrypt=%q", base64.StdEncoding.EncodeToString(key))
	for i := range servers {
		s, err := newServer(Options{Persistent: true}, fmt.Sprintf("-bootstrap-expect=%d", n), "-hcl", encrypt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		servers[i] = s
	}
	for _, s := range servers {
		for _, other := range servers {
			if other != s {
				s.args = append(s.args, "-retry-join", fmt.Sprintf("127.0.0.1:%d", other.ports.lan))
			}
		}
		s.args = append(s.args, "-retry-interval", "1s")
		s.Launch(t)
	}
	AllReady(t, servers)
	return servers
}

// AllReady waits until each server knows a leader.
func AllReady(t testing.TB, servers []*Server) {
	t.Helper()
	var waiting sync.WaitGroup
	failed := make([]error, len(servers))
	for i, s := range servers {
		waiting.Go(func() { failed[i] = s.ready() })
	}
	waiting.Wait()
	for i, err := range failed {
		if err != nil {
			t.Errorf("consultest: server %d: %v\n%s", i, err, servers[i].Log())
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// Leader returns the one that leads, as each running server says; and the others.
func Leader(t testing.TB, servers []*Server) (leader *Server, followers []*Server) {
	t.Helper()
	err := realserver.Until("a leader", func() error {
		leader, followers = nil, nil
		for _, s := range servers {
			address, err := s.API.Status().Leader()
			if err != nil || address == "" {
				continue
			}
			for _, other := range servers {
				if address == fmt.Sprintf("127.0.0.1:%d", other.ports.server) {
					leader = other
				}
			}
			break
		}
		if leader == nil {
			return errors.New("none of them leads")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		if s != leader {
			followers = append(followers, s)
		}
	}
	return leader, followers
}
