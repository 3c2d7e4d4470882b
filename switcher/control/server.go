package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Settings of the admin socket.
type Settings struct {
	// Socket is the absolute path of the Unix socket, at most 107 bytes.
	// Default DefaultSocket().
	Socket string
	// Group, by name or number, that may connect; what it may do then, Policy
	// says. The socket gets it, and the directory if it is made now. Default:
	// the process's own.
	Group string
	// Policy says who may do what. Default: root and the process's own user
	// may do everything, others nothing.
	Policy Policy
	// MaxConns is how many connections may be open at once, 16 to 65536.
	// Default 256.
	MaxConns int
}

const (
	defaultMaxConns = 256
	headerTimeout   = 10 * time.Second
	idleTimeout     = time.Minute
	maxHeader       = 32 << 10
	grace           = 10 * time.Second // for commands under way at the end
	lastAccept      = 20 * time.Millisecond
	lastQuestion    = time.Second // from who has been let in
)

// Server answers on the admin socket. It outlives a config reload: whoever
// made it keeps it, and gives it a new Policy.
type Server struct {
	handler http.Handler
	log     *slog.Logger
	socket  *socket
	quota   quota
	policy  atomic.Pointer[Policy]
	self    uint32
	grace   time.Duration

	unasked atomic.Int64 // connections without a request so far

	mu       sync.RWMutex
	stopped  bool           // guarded by mu: no request begins any more
	requests sync.WaitGroup // is added to under mu
}

// Listen binds the socket; Run answers on it. Where Run is never called, Close
// must be. The handler finds who asks in the request's context. A nil logger
// logs nothing.
func Listen(s Settings, handler http.Handler, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if s.Socket == "" {
		s.Socket = DefaultSocket()
	}
	if s.MaxConns == 0 {
		s.MaxConns = defaultMaxConns
	}
	if s.MaxConns < 16 || s.MaxConns > 65536 {
		return nil, errors.New("admin socket: the number of connections must be 16 to 65536")
	}
	var group *uint32
	if s.Group != "" {
		gid, err := lookupGroup(s.Group)
		if err != nil {
			return nil, err
		}
		group = &gid
	}
	socket, err := bind(s.Socket, group)
	if err != nil {
		return nil, err
	}
	server := &Server{
		handler: handler, log: log, socket: socket, quota: quota{max: s.MaxConns},
		self: uint32(os.Geteuid()), grace: grace,
	}
	server.SetPolicy(s.Policy)
	return server, nil
}

// SetPolicy replaces the policy for all requests that begin from now on, also
// on open connections.
func (s *Server) SetPolicy(p Policy) { s.policy.Store(&Policy{Rules: slices.Clone(p.Rules)}) }

// Socket returns the path of the socket.
func (s *Server) Socket() string { return s.socket.path }

// Close ends a Server that never ran, and removes its socket.
func (s *Server) Close() error { return s.socket.Close() }

// Run answers until ctx ends, then ends event streams, gives commands under
// way 10 seconds, and removes the socket. It returns when no request runs any
// more, with nil unless the socket broke or could not be removed. It may be
// called once.
func (s *Server) Run(ctx context.Context) error {
	hard, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	server := &http.Server{
		Handler:                      http.HandlerFunc(s.identify),
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return withHardStop(ctx, hard) },
		ConnContext:                  func(ctx context.Context, c net.Conn) context.Context { return withPeer(ctx, c) },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(&listener{s.socket, s}) }()
	var broken error
	select {
	case <-ctx.Done():
		// Who has dialed already is answered; nobody else can.
		if err := s.socket.remove(); err != nil {
			s.log.Warn("the admin socket", "error", err)
		}
		s.awaitQuestions()
		timed, cancel := context.WithTimeout(hard, s.grace)
		if server.Shutdown(timed) != nil {
			s.log.Warn("commands on the admin socket did not end in time and are left", "grace", s.grace)
		}
		cancel()
		<-served
	case broken = <-served:
	}
	giveUp()
	closed := server.Close()
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.requests.Wait()
	return errors.Join(broken, closed, s.socket.Close())
}

// awaitQuestions lets in who has dialed, and waits until all who have been let in
// have asked: net/http drops a request that it reads once it shuts down.
func (s *Server) awaitQuestions() {
	for began := time.Now(); ; {
		time.Sleep(lastAccept)
		if s.unasked.Load() == 0 || time.Since(began) > lastQuestion {
			return
		}
	}
}

// identify says who asks, by the policy of this moment.
func (s *Server) identify(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	if s.stopped {
		s.mu.RUnlock()
		return // the connection is closed already
	}
	s.requests.Add(1)
	s.mu.RUnlock()
	defer s.requests.Done()

	conn, ok := r.Context().Value(peerKey{}).(*peerConn)
	if !ok { // no identity: the handler refuses
		s.handler.ServeHTTP(w, r)
		return
	}
	conn.asks()
	id := conn.identity()
	id.Role = s.policy.Load().roleOf(conn.peer, s.self)
	if id.Role == RoleNone {
		w.Header().Set("Connection", "close")
	}
	s.handler.ServeHTTP(w, r.WithContext(WithIdentity(r.Context(), id)))
}

// listener lets in whom the quota allows, each with what the kernel says of
// him.
type listener struct {
	*socket
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		who, err := peerOf(conn)
		if err != nil {
			l.server.log.Warn("a connection to the admin socket without credentials", "error", errors.Join(err, conn.Close()))
			continue
		}
		role := l.server.policy.Load().roleOf(who, l.server.self)
		release, ok := l.server.quota.take(who.uid, role)
		if !ok {
			err := errors.Join(turnAway(conn), conn.Close())
			l.server.log.Debug("too many connections to the admin socket", "uid", who.uid, "error", err)
			continue
		}
		l.server.unasked.Add(1)
		return &peerConn{
			asks:     sync.OnceFunc(func() { l.server.unasked.Add(-1) }),
			UnixConn: conn, peer: who, role: role, identity: sync.OnceValue(who.identity),
			quota: &l.server.quota, release: release,
		}, nil
	}
}

// Close is the socket's, not the UnixListener's.
func (l *listener) Close() error { return l.socket.Close() }

// peerConn is a connection and who is at its other end.
type peerConn struct {
	*net.UnixConn
	peer     peer
	role     Role            // when it came: its share of the quota
	identity func() Identity // not in Accept, since it may be slow
	quota    *quota
	release  func() // gives back what was taken of quota
	asks     func() // to be called when it does, or goes
}

func (c *peerConn) Close() error {
	c.asks()
	c.release()
	return c.UnixConn.Close()
}

type peerKey struct{}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, c)
}
