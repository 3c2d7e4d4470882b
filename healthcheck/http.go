package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	maxHeaderBytes = 64 << 10
	defaultMaxBody = 64 << 10
	maxMaxBody     = 16 << 20
	shownBody      = 64
)

// HTTP passes when the answer to one HTTP/1.1 request has an expected status
// and, if asked, an expected body. It never follows a redirect: 302 is a
// status like another. The zero value asks for "GET /" and wants 200-299.
type HTTP struct {
	// Method of the request. Default: GET.
	Method string

	// Path asked for, with its query if any, as it goes on the wire.
	// Default: "/".
	Path string

	// Host sent instead of the address, as "name" or "name:port"; with TLS
	// also the name the certificate must have. Default: the address.
	Host string

	// Headers added to the request. Host is not taken from here.
	// Default: only User-Agent "greenroom-healthcheck".
	Headers http.Header

	// Status codes that pass. Default: 200-299.
	Status StatusSet

	// BodyMatch, if not nil, must match the first MaxBody bytes of the body.
	// Default: nil, the body is not read.
	BodyMatch *regexp.Regexp

	// TLS, if not nil, makes it https. Default: nil, plaintext.
	TLS *tls.Config

	// MaxBody is how many bytes are read for BodyMatch, 1 to 16 MiB.
	// Default: 64 KiB.
	MaxBody int64
}

var _ Probe = HTTP{}

func (p HTTP) withDefaults() HTTP {
	if p.Method == "" {
		p.Method = http.MethodGet
	}
	if p.Path == "" {
		p.Path = "/"
	}
	if p.MaxBody == 0 {
		p.MaxBody = defaultMaxBody
	}
	return p
}

// Validate reports the first field that no request can be made from, or nil.
func (p HTTP) Validate() error {
	p = p.withDefaults()
	if p.MaxBody < 1 || p.MaxBody > maxMaxBody {
		return fmt.Errorf("max_body %d: want 1 to %d bytes", p.MaxBody, maxMaxBody)
	}
	_, err := p.request(context.Background(), "localhost")
	return err
}

// Probe asks once.
func (p HTTP) Probe(ctx context.Context, address string) error {
	p = p.withDefaults()
	return attempt(ctx, func(ctx context.Context) error {
		target, err := parseAddress(address)
		if err != nil {
			return err
		}
		request, err := p.request(ctx, target.authority())
		if err != nil {
			return err
		}
		conn, err := target.dialTLS(ctx, p.tlsConfig(), p.serverName(target))
		if err != nil {
			return err
		}
		defer conn.Close()
		response, err := exchange(conn, request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return p.judge(response)
	})
}

func (p HTTP) String() string {
	p = p.withDefaults()
	return p.scheme() + " " + p.Method + " " + p.Path
}

func (p HTTP) scheme() string {
	if p.TLS != nil {
		return "https"
	}
	return "http"
}

func (p HTTP) request(ctx context.Context, authority string) (*http.Request, error) {
	if !strings.HasPrefix(p.Path, "/") {
		return nil, fmt.Errorf("path %q: want a leading slash", p.Path)
	}
	location, err := url.ParseRequestURI(p.Path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", p.Path, errors.Unwrap(err))
	}
	location.Scheme, location.Host = p.scheme(), authority
	request, err := http.NewRequestWithContext(ctx, p.Method, "/", nil)
	if err != nil {
		return nil, fmt.Errorf("method %q: %w", p.Method, err)
	}
	request.URL, request.Host = location, authority
	if p.Host != "" {
		// The client would send an empty Host in place of a malformed one.
		if parsed, err := url.Parse("http://" + p.Host); err != nil || parsed.Host != p.Host {
			return nil, fmt.Errorf("host %q: want name or name:port", p.Host)
		}
		request.Host = p.Host
	}
	request.Header.Set("User-Agent", "greenroom-healthcheck")
	for name, values := range p.Headers {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	return request, nil
}

// tlsConfig is p.TLS without HTTP/2, which the exchange does not speak.
func (p HTTP) tlsConfig() *tls.Config {
	if p.TLS == nil {
		return nil
	}
	config := p.TLS.Clone()
	config.NextProtos = []string{"http/1.1"}
	return config
}

func (p HTTP) serverName(target target) string {
	if p.Host == "" {
		return target.host
	}
	if host, _, err := net.SplitHostPort(p.Host); err == nil {
		return host
	}
	return strings.Trim(p.Host, "[]")
}

// exchange sends request on conn and reads the head of the answer. Closing
// conn ends whatever the transport still does with it.
func exchange(conn net.Conn, request *http.Request) (*http.Response, error) {
	dialed := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	transport := &http.Transport{
		DialContext:            dialed,
		DialTLSContext:         dialed,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return transport.RoundTrip(request)
}

// judge says whether the answer is the expected one.
func (p HTTP) judge(response *http.Response) error {
	if !p.Status.Contains(response.StatusCode) {
		return fmt.Errorf("status %d, want %v", response.StatusCode, p.Status)
	}
	if p.BodyMatch == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, p.MaxBody))
	if err != nil {
		return fmt.Errorf("status %d, then reading the body: %w", response.StatusCode, err)
	}
	if p.BodyMatch.Match(body) {
		return nil
	}
	return fmt.Errorf("body does not match %q (first %d bytes: %q)",
		p.BodyMatch, min(len(body), shownBody), body[:min(len(body), shownBody)])
}
