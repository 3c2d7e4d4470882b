package consul

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Limits of what an answer may hold: Consul, or who answers in its place, is
// not trusted with this process's memory.
const (
	maxAnswer  = 64 << 20
	maxProblem = 4 << 10 // of an answer that is not 200
)

// transport sends what Consul's library asks: with the token of the moment, and
// with limits on what comes back.
type transport struct {
	base  *http.Transport
	token *token
	limit int64 // bytes of an answer
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	value, err := t.token.get()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Del("X-Consul-Token") // the library's, a placeholder
	if value != "" {
		r.Header.Set("X-Consul-Token", string(value))
	}
	response, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	limit := t.limit
	if response.StatusCode != http.StatusOK {
		limit = maxProblem
	}
	if response.StatusCode == http.StatusForbidden {
		t.token.refuse()
	}
	response.Body = &bounded{body: response.Body, left: limit, hard: response.StatusCode == http.StatusOK}
	return response, nil
}

// bounded is a body that ends at its limit: with an error if hard, else as if
// there were no more.
type bounded struct {
	body io.ReadCloser
	left int64
	hard bool
}

var errTooLong = errors.New("the answer is longer than anything Consul has to say")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		if b.hard {
			return 0, errTooLong
		}
		return 0, io.EOF
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }

// newBase makes the connections. Consul is reached without a proxy, and a peer
// that is gone without a word is noticed within 15 s. HTTP/2 is left out: one
// connection that hangs would be all of them.
func newBase(at place, c Config) (*http.Transport, error) {
	dialer := &net.Dialer{
		Timeout:         5 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 2},
	}
	base := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: c.Polls + reads,
		IdleConnTimeout:     30 * time.Second,
	}
	switch at.scheme {
	case "unix":
		base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", at.path)
		}
	case "https":
		config, err := c.TLS.client()
		if err != nil {
			return nil, err
		}
		base.TLSClientConfig = config
	}
	return base, nil
}

// client reads the files; a certificate is read again for each connection, so
// that it may be renewed.
func (t TLS) client() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls: ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca_file: %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile == "" {
		return config, nil
	}
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls: cert_file, key_file: %w", err)
		}
		return &cert, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return config, nil
}

// noRedirect keeps the token from going where Consul never sends it.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

var errClosed = errors.New("the client is closed")
