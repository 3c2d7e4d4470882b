package origin

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

// Origin fetches objects. It is safe for concurrent use. New makes one.
type Origin struct {
	name      string
	s3        *S3
	static    http.Header // with canonical names
	check     *Check
	timeouts  Timeouts
	resume    Resume
	limit     resume.Limit
	log       *slog.Logger
	endpoints []*endpoint
	totals    totals
	told      sparing
	holding   chan struct{} // holds a token for each answer that is held back

	now  func() time.Time
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// New makes an Origin. Errors name the origin and the setting, and repeat
// nothing of a URL or a header. It opens no connection.
func New(c Config) (*Origin, error) {
	c.Endpoints = slices.Clone(c.Endpoints)
	c.defaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("origin %.64q: %w", c.Name, err)
	}
	o := &Origin{
		name: c.Name, s3: c.S3, check: c.Check, timeouts: c.Timeouts, resume: c.Resume, log: c.Log, static: make(http.Header, len(c.Header)),
		holding: make(chan struct{}, max(1, c.MaxConns/2)),
		now:     time.Now,
		dial:    (&net.Dialer{Timeout: c.Timeouts.Dial}).DialContext,
	}
	o.limit.PerKey = c.Resume.Concurrent
	for name, values := range c.Header {
		o.static[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	for i, e := range c.Endpoints {
		p, err := c.locate(e)
		if err != nil {
			return nil, fmt.Errorf("origin %s: endpoint %d: %w", c.Name, i+1, err)
		}
		if slices.ContainsFunc(o.endpoints, func(other *endpoint) bool { return other.place == p }) {
			return nil, fmt.Errorf("origin %s: endpoint %d: it is there already", c.Name, i+1)
		}
		e := &endpoint{place: p, index: i, slots: make(chan struct{}, c.MaxConns), healthy: true, since: time.Now()}
		e.transport = o.transport(c, p, false)
		o.endpoints = append(o.endpoints, e)
		if o.check != nil {
			e.prober = o.transport(c, p, true)
		}
	}
	return o, nil
}

// transport makes the connections of one endpoint, and to nothing else. For
// probes each has a new one.
func (o *Origin) transport(c Config, p place, once bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	secure := &tls.Config{}
	if c.TLS != nil {
		secure = c.TLS.Clone()
	}
	secure.NextProtos = []string{"http/1.1"}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != p.addr {
				return nil, fmt.Errorf("%q is not an endpoint", addr)
			}
			c, err := o.dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: c}, nil
		},
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    c.Timeouts.Dial,
		Protocols:              protocols,
		DisableCompression:     true,
		DisableKeepAlives:      once,
		MaxConnsPerHost:        c.MaxConns,
		MaxIdleConnsPerHost:    c.MaxConns,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         64 << 10, // larger reads go past it
		WriteBufferSize:        32 << 10, // a head is one Write, see conn
	}
}

// Run probes the endpoints until ctx ends; without a Check it only waits. Then
// it closes idle connections. What is being fetched goes on, and an Origin can
// be used without Run, or after it, but without probes.
func (o *Origin) Run(ctx context.Context) {
	var running sync.WaitGroup
	if o.check != nil {
		for _, e := range o.endpoints {
			running.Go(func() { o.probe(ctx, e) })
		}
	}
	<-ctx.Done()
	running.Wait()
	for _, e := range o.endpoints {
		e.transport.CloseIdleConnections()
	}
}

// Object is one object of an origin. Make it with Origin.Object.
type Object struct {
	origin *Origin
	path   string
	query  string
	held   bool
}

// Object names the object at a path, which is canonical and decoded as
// mediaedge.Match has it. rawQuery is what the origin is to see of the query,
// as it goes on the wire, at most 8 KiB; a bucket sees none. What is wrong with
// either, Fetch tells.
func (o *Origin) Object(path, rawQuery string) Object {
	return Object{origin: o, path: path, query: rawQuery}
}

// Name returns the origin's name.
func (o *Origin) Name() string { return o.name }

// sparing lets a message through once a minute for each of a few words.
type sparing struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu
}

func (s *sparing) allow(word string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, there := s.last[word]; there && now.Sub(last) < time.Minute {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[word] = now
	return true
}
