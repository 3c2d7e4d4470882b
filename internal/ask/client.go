package ask

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Limits of an answer.
const (
	maxHeaderBytes = 64 << 10
	idleFor        = 10 * time.Second // of a connection that is not used any more
)

// Upstreams asks upstreams of a pool by their addresses, over HTTP/1.1, on
// connections of its own. The zero value speaks plaintext. It must not be copied
// or changed after first use.
type Upstreams struct {
	// Host sent instead of the address, as "name" or "name:port". Default: the
	// address; of a unix socket localhost.
	Host string
	// TLS, if not nil, makes it https. Without a ServerName the certificate must
	// be for Host, or else for the address.
	TLS *tls.Config

	once      sync.Once
	transport *http.Transport
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	// Body, cut at the limit.
	Body []byte
	// Cut says that there was more of it.
	Cut bool
	// Took is the time to the answer's head.
	Took time.Duration
}

// Get asks the upstream at address ("host:port" or "unix//path") for a path and
// query, with more header fields if there are any, and reads at most limit bytes
// of the body. ctx bounds all of it.
func (u *Upstreams) Get(ctx context.Context, address, target string, header http.Header, limit int64) (Answer, error) {
	r, err := u.request(ctx, address, target)
	if err != nil {
		return Answer{}, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	u.once.Do(u.open)
	return send(u.transport, r, limit)
}

// CloseIdle closes the connections that no request uses. They close by
// themselves ten seconds after their last one.
func (u *Upstreams) CloseIdle() {
	u.once.Do(u.open)
	u.transport.CloseIdleConnections()
}

func (u *Upstreams) request(ctx context.Context, address, target string) (*http.Request, error) {
	if !strings.HasPrefix(target, "/") {
		return nil, fmt.Errorf("path %q: want a leading slash", target)
	}
	location, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", target, errors.Unwrap(err))
	}
	location.Scheme, location.Host = "http", authority(address)
	if u.TLS != nil {
		location.Scheme = "https"
	}
	r := (&http.Request{Method: http.MethodGet, URL: location, Header: http.Header{"User-Agent": {"greenroom"}}}).WithContext(ctx)
	switch {
	case u.Host != "":
		r.Host = u.Host
	case strings.HasPrefix(address, unixPrefix):
		r.Host = "localhost"
	}
	return r, nil
}

func (u *Upstreams) open() {
	u.transport = &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        u.config(),
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 only
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		IdleConnTimeout:        idleFor,
		MaxIdleConnsPerHost:    2,
	}
}

func (u *Upstreams) config() *tls.Config {
	if u.TLS == nil {
		return nil
	}
	config := u.TLS.Clone()
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" && u.Host != "" {
		config.ServerName = u.Host
		if host, _, err := net.SplitHostPort(u.Host); err == nil {
			config.ServerName = host
		}
	}
	return config
}

// A unix socket's path is no host of a URL, so it goes there in hex.
const (
	unixPrefix = "unix/"
	unixSuffix = ".unix:1"
)

func authority(address string) string {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return hex.EncodeToString([]byte(path)) + unixSuffix
	}
	return address
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if name, ok := strings.CutSuffix(address, unixSuffix); ok {
		path, err := hex.DecodeString(name)
		if err != nil {
			return nil, err
		}
		return d.DialContext(ctx, "unix", string(path))
	}
	return d.DialContext(ctx, network, address)
}

// send sends one request and reads its answer. Errors hold no URL: it may be a
// secret, and the caller knows whom it asked.
func send(by http.RoundTripper, r *http.Request, limit int64) (Answer, error) {
	began := time.Now()
	response, err := by.RoundTrip(r)
	if err != nil {
		return Answer{}, plain(r.Context(), err)
	}
	defer func() { _ = response.Body.Close() }()
	a := Answer{Status: response.StatusCode, Header: response.Header, Took: time.Since(began)}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return a, fmt.Errorf("status %d, and then: %w", a.Status, plain(r.Context(), err))
	}
	if a.Cut = int64(len(body)) > limit; a.Cut {
		body = body[:limit]
	}
	a.Body = body
	return a, nil
}

func plain(ctx context.Context, err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}
