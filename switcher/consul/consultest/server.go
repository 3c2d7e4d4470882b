package consultest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
	"github.com/hashicorp/consul/api"
)

// Options of a server. The zero value is a server that keeps its state in
// memory, without ACLs and TLS.
type Options struct {
	// Persistent keeps the state on disk, so that it outlives Restart, at
	// the price of a slower start.
	Persistent bool
	// ACL denies what no token allows. Server.Token may do everything.
	ACL bool
	// TLS serves https too, by certificates of the server's own authority;
	// the client must show one.
	TLS bool
	// Config is added to the server's configuration, in HCL.
	Config string
}

// Server is one real Consul server. Its fields do not change.
type Server struct {
	// Address of its HTTP API: "127.0.0.1:port".
	Address string
	// Socket is the same API as a unix socket: its path.
	Socket string
	// HTTPS is the same API as "https://localhost:port", with Options.TLS.
	HTTPS string
	// CAFile, CertFile and KeyFile are for a client of HTTPS.
	CAFile, CertFile, KeyFile string
	// Token may do everything, with Options.ACL; else empty.
	Token string
	// API asks this server, with Token. Its connections are not kept.
	API *api.Client

	options Options
	dir     string
	ports   ports
	args    []string

	mu    sync.Mutex
	child *realserver.Process // nil when it does not run; guarded by mu
}

// Start runs a server until the test ends, and returns when it has a leader.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	skipIfShort(t)
	s, err := start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real Consul server")
	}
}

// start tries again when another process was faster to take a port.
func start(o Options) (*Server, error) {
	var failed error
	for range 3 {
		s, err := newServer(o)
		if err != nil {
			return nil, err
		}
		if err = s.run(); err == nil {
			err = s.ready()
		}
		if err == nil {
			return s, nil
		}
		failed = fmt.Errorf("consultest: %w\n%s", err, s.Log())
		s.close()
	}
	return nil, failed
}

// newServer prepares a server that does not run yet.
func newServer(o Options, more ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "consul")
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, dir: dir}
	if s.ports, err = freePorts(); err != nil {
		return nil, err
	}
	s.Address = fmt.Sprintf("127.0.0.1:%d", s.ports.http)
	s.Socket = filepath.Join(dir, "http.sock")
	if o.ACL {
		s.Token = "11111111-2222-3333-4444-555555555555"
	}
	if o.TLS {
		s.HTTPS = fmt.Sprintf("https://localhost:%d", s.ports.https)
		if err := s.certify(); err != nil {
			return nil, err
		}
	}
	s.args = append(s.arguments(), more...)
	s.API, err = s.client()
	return s, err
}

// binary returns the path of Consul's server.
var binary = sync.OnceValues(func() (string, error) { return realserver.Tool("consul", "consul") })

// run starts the process.
func (s *Server) run() error {
	path, err := binary()
	if err != nil {
		return err
	}
	_ = os.Remove(s.Socket) // a killed server leaves it
	c, err := realserver.Start(path, s.args, nil, s.logFile())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.child = c
	return err
}

// ready waits until the server has a leader that stands behind reads, and takes
// the token.
func (s *Server) ready() error {
	return realserver.Until("a server that is ready", func() error {
		s.mu.Lock()
		gone := s.child == nil || !s.child.Running()
		s.mu.Unlock()
		if gone {
			return realserver.ErrEnded
		}
		_, meta, err := s.API.Catalog().Nodes(nil)
		switch {
		case err != nil:
			return err
		case !meta.KnownLeader:
			return errors.New("no leader")
		case s.options.ACL:
			_, _, err = s.API.ACL().TokenReadSelf(nil)
		}
		return err
	})
}

// Log returns the end of what the server has written.
func (s *Server) Log() string { return realserver.Tail(s.logFile()) }

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// Kill ends the server at once, as a crash does. It may be called again.
func (s *Server) Kill(t testing.TB) { s.end(syscall.SIGKILL) }

// Stop ends the server in order.
func (s *Server) Stop(t testing.TB) { s.end(syscall.SIGTERM) }

// Freeze halts the process, so that it accepts connections and answers none.
func (s *Server) Freeze(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Thaw lets it go on.
func (s *Server) Thaw(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		t.Fatal("consultest: the server does not run")
	}
	if err := s.child.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) end(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child != nil {
		s.child.End(sig)
		s.child = nil
	}
}

// Launch starts a server that was killed or stopped, at the same address, and
// does not wait for it. One in memory comes back empty.
func (s *Server) Launch(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// Ready waits until the server has a leader.
func (s *Server) Ready(t testing.TB) {
	t.Helper()
	if err := s.ready(); err != nil {
		t.Fatalf("consultest: %v\n%s", err, s.Log())
	}
}

// Restart is Launch and Ready, of a server that still runs after Kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill(t)
	s.Launch(t)
	s.Ready(t)
}

// Wipe kills the server and forgets what it kept on disk.
func (s *Server) Wipe(t testing.TB) {
	t.Helper()
	s.Kill(t)
	if err := os.RemoveAll(s.dataDir()); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }

func (s *Server) close() {
	s.end(syscall.SIGKILL)
	_ = os.RemoveAll(s.dir)
}
