package consultest

import (
	"sync"
	"sync/atomic"
	"testing"
)

var running atomic.Pointer[Server]

var shared = sync.OnceValues(func() (*Server, error) {
	s, err := start(Options{})
	running.Store(s)
	return s, err
})

// Shared returns one server, in memory and without ACLs, for all tests of a
// package. It starts with the first call. Tests use names of their own for what
// they register, and do not end it.
func Shared(t testing.TB) *Server {
	t.Helper()
	skipIfShort(t)
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// StopShared ends the shared server, if there is one; for TestMain.
func StopShared() {
	if s := running.Load(); s != nil {
		s.close()
	}
}
