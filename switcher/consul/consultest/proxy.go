package consultest

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to a server, and disturbs them.
type Proxy struct {
	// Address that it listens at: "127.0.0.1:port".
	Address string

	target   string
	listener net.Listener
	copying  sync.WaitGroup

	mu      sync.Mutex
	cut     bool          // guarded by mu
	stalled chan struct{} // closed when bytes may pass; guarded by mu
	conns   []net.Conn    // open ones, of both sides; guarded by mu
	made    int           // guarded by mu
}

// NewProxy listens until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: l.Addr().String(), target: target, listener: l, stalled: make(chan struct{})}
	close(p.stalled)
	p.copying.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.Resume()
		p.Cut() // connections end, and those that waited too
		p.copying.Wait()
	})
	return p
}

// Cut ends all connections, and each new one at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// Stall lets no byte pass, and keeps connections open.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stalled:
		p.stalled = make(chan struct{})
	default:
	}
}

// Resume undoes Cut and Stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	select {
	case <-p.stalled:
	default:
		close(p.stalled)
	}
}

// Open returns the number of connections from clients that are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}

// Made returns the number of connections there ever were.
func (p *Proxy) Made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.copying.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if !p.keep(client, server) {
		return
	}
	defer p.forget(client, server)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(held{way[1], p}, way[0])
			_, _ = client.Close(), server.Close()
		})
	}
	both.Wait()
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made++
	if p.cut {
		return false
	}
	p.conns = append(p.conns, conns...)
	return true
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(c net.Conn) bool { return slices.Contains(conns, c) })
}

// held writes when the proxy does not stall.
type held struct {
	net.Conn
	proxy *Proxy
}

func (h held) Write(b []byte) (int, error) {
	h.proxy.mu.Lock()
	pass := h.proxy.stalled
	h.proxy.mu.Unlock()
	<-pass
	return h.Conn.Write(b)
}
