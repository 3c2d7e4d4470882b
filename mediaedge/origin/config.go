package origin

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck"
	"github.com/greenroom-proxy/greenroom/internal/resume"
	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

// Config describes an origin. Name and one endpoint are needed.
type Config struct {
	// Name is what the origin is called in errors, logs and status: 1 to 128
	// printable characters of ASCII.
	Name string

	// Endpoints that hold the same objects, in order of preference: 1 to 16.
	Endpoints []Endpoint

	// S3 makes it a bucket. nil: a plain HTTP origin.
	S3 *S3

	// Header is sent with each request, such as a secret that the origin wants
	// to see; it is never logged. Fields that frame, route or negotiate, those
	// that the edge sets by itself, and with a signature those that it strips
	// (Authorization, Cookie, X-Amz-*), are refused. At most 32.
	Header http.Header

	// Check has Run probe each endpoint. nil: only answers to requests tell.
	Check *Check

	Timeouts Timeouts

	// MaxConns is how many requests an endpoint has under way at one time, and
	// so how many connections, 1 to 65536. Others go to the next endpoint, or
	// wait up to Timeouts.Head. Default: 256.
	MaxConns int

	// TLS of endpoints with https. Its protocols are not used: it is always
	// HTTP/1.1, since one connection for all is a bottleneck for bulk. nil: the
	// system's roots.
	TLS *tls.Config

	Resume Resume

	// Log is told when an endpoint's health changes, and once a minute what a
	// bucket has against the edge. nil: nobody is told.
	Log *slog.Logger
}

// Endpoint is one place where the objects are.
type Endpoint struct {
	// URL has a scheme (http or https), a host in ASCII, perhaps a port, and
	// perhaps a canonical path that all objects are below. No user, query or
	// fragment.
	URL string
}

// S3 says which bucket the objects are in. The region belongs to the Signer.
type S3 struct {
	// Bucket is its name, as S3 wants it: 3 to 63 lower-case letters, digits,
	// "-" and ".".
	Bucket string

	// VirtualHost puts the bucket before the endpoint's host, "bucket.host".
	// Default: in the path, "/bucket/", which MinIO wants. A bucket with a dot
	// has no certificate at AWS, and must stay in the path there.
	VirtualHost bool

	// Signer signs each attempt. nil: the bucket is public.
	Signer *sign.S3
}

// Check is how endpoints are probed. An endpoint without a verdict is used.
type Check struct {
	// Path is canonical, decoded, and below the endpoint's base path and the
	// bucket. A plain origin is asked with GET, a bucket with a HEAD that is
	// signed like all else. Default: "/", which is the bucket itself.
	Path string

	// Settings are rhythm and thresholds.
	Settings healthcheck.Settings

	// Status codes that pass. Default: 200-299.
	Status healthcheck.StatusSet
}

// Timeouts bound what an endpoint may let us wait for. Each is 1 ms to 10
// minutes; zero means the default.
type Timeouts struct {
	Dial time.Duration // for a connection; again for its TLS handshake. Default: 2 s
	Head time.Duration // from the dial to the end of the response's head; before that, as long again for a connection to be free. Default: 10 s
	Idle time.Duration // in one read of a body; time that the client takes does not count. Default: 15 s
}

// Resume bounds how bodies go on from another endpoint. An endpoint that died
// may be asked again when it is the only one.
type Resume struct {
	// Attempts for each body, up to 16. Default: 3. Negative: none.
	Attempts int

	// Patience from a failure to the head of the continuation, 1 ms to 10
	// minutes. One attempt waits for half of it at most, and no longer than
	// Timeouts.Head. Default: 10 s.
	Patience time.Duration

	// Concurrent is how many bodies look for a continuation at one time; more
	// are cut. Default: MaxConns, so that none is when one endpoint dies.
	Concurrent int

	// LastModified has bodies without any ETag go on by their Last-Modified,
	// which says less. Default: false.
	LastModified bool
}

func (c *Config) defaults() {
	orDefault(&c.Timeouts.Dial, 2*time.Second)
	orDefault(&c.Timeouts.Head, 10*time.Second)
	orDefault(&c.Timeouts.Idle, 15*time.Second)
	orDefault(&c.MaxConns, 256)
	orDefault(&c.Resume.Attempts, resume.DefaultAttempts)
	orDefault(&c.Resume.Patience, resume.DefaultPatience)
	orDefault(&c.Resume.Concurrent, c.MaxConns)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
