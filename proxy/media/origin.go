package media

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/healthcheck"
	"github.com/greenroom-proxy/greenroom/mediaedge/origin"
	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

// Origin is where the edge fetches media: an HTTP server, or a bucket. It must
// say how long a body is, or send it in chunks: of any other nobody knows whether
// it is whole. It is asked by HTTP/1.1, and redirects of it are not followed.
type Origin struct {
	// URLs as https://origin.example.com, or with a path that the request's
	// is joined to. The first that is healthy is asked, and the next one if
	// it fails. At least one, at most 16.
	Endpoints []string `json:"endpoints"`

	// Default: a plain HTTP server.
	S3 *S3 `json:"s3,omitempty"`

	// Fields to send, as a secret that the origin wants. Values may have
	// global placeholders, as {file./run/secrets/origin} or {env.ORIGIN}.
	Header map[string]string `json:"header,omitempty"`

	// Active health checks. Default: none; an endpoint that fails three times in
	// a row is left alone for a while.
	Check *Check `json:"check,omitempty"`

	// How long to connect. Default: 2s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long from a request to the head of its answer. Default: 10s.
	HeadTimeout caddy.Duration `json:"head_timeout,omitempty"`

	// How long a body may pause. Default: 15s.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// Connections to an endpoint at a time. Default: 256.
	MaxConns int `json:"max_conns,omitempty"`

	// A file with the certificates, in PEM, that https endpoints must be
	// signed by. Default: the system's.
	CAFile string `json:"ca_file,omitempty"`

	// How often a body whose endpoint dies may go on from another, or from the
	// same one. 0 is the default, below 0 never. Default: 3.
	Resume int `json:"resume,omitempty"`
}

// S3 is a bucket.
type S3 struct {
	// Its name. Required.
	Bucket string `json:"bucket"`
	// Its region. Default: us-east-1.
	Region string `json:"region,omitempty"`
	// path (host/bucket/key) or host (bucket.host/key). Default: path.
	Style string `json:"style,omitempty"`
	// The file with the keys: a line with an access key's id and its secret.
	// It is watched. Default: the bucket is public.
	Keys string `json:"keys,omitempty"`
	// The id of the key to sign with. Default: the first in the file.
	SignWith string `json:"sign_with,omitempty"`
}

// Check is how endpoints are probed.
type Check struct {
	// What to ask for. Of a bucket it is a key; / is the bucket itself.
	Path string `json:"path"`
	// Default: 2s.
	Interval caddy.Duration `json:"interval,omitempty"`
	// Default: 1s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Successes in a row until it is healthy. Default: 2.
	Rise int `json:"rise,omitempty"`
	// Failures in a row until it is not. Default: 3.
	Fall int `json:"fall,omitempty"`
}

// source is an origin ready to be asked.
type source struct {
	*origin.Origin
	keys  *sign.Keys // nil: none
	name  string
	scope string // in the cache: other endpoints or another bucket are another scope
	key   string // the same for the same config
}

func (c *Origin) provision(name string, log *slog.Logger) (*source, error) {
	config := origin.Config{
		Name: name, Header: make(http.Header), Log: log,
		Timeouts: origin.Timeouts{Dial: time.Duration(c.DialTimeout), Head: time.Duration(c.HeadTimeout), Idle: time.Duration(c.IdleTimeout)},
		MaxConns: c.MaxConns, Resume: origin.Resume{Attempts: c.Resume},
	}
	for _, e := range c.Endpoints {
		config.Endpoints = append(config.Endpoints, origin.Endpoint{URL: e})
	}
	repl := caddy.NewReplacer()
	for field, value := range c.Header {
		plain, err := repl.ReplaceOrErr(value, true, true)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", field, err)
		}
		config.Header.Set(field, plain)
	}
	s := &source{name: name}
	var err error
	if config.S3, s.keys, err = c.S3.provision(); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	if config.TLS, err = c.tls(); err != nil {
		return nil, err
	}
	if k := c.Check; k != nil {
		config.Check = &origin.Check{Path: k.Path, Settings: healthcheck.Settings{
			Interval: time.Duration(k.Interval), Timeout: time.Duration(k.Timeout), Rise: k.Rise, Fall: k.Fall,
		}}
	}
	if s.Origin, err = origin.New(config); err != nil {
		return nil, err
	}
	s.key = digest(struct {
		Name string
		Origin
	}{name, *c})
	s.scope = name + "#" + digest([]any{c.Endpoints, c.S3 != nil, cmp.Or(c.S3, new(S3)).Bucket})[:8]
	return s, nil
}

func (c *S3) provision() (*origin.S3, *sign.Keys, error) {
	if c == nil {
		return nil, nil, nil
	}
	region := cmp.Or(c.Region, "us-east-1")
	if c.Style != "" && c.Style != "path" && c.Style != "host" {
		return nil, nil, fmt.Errorf("style %q: want path or host", c.Style)
	}
	s3 := &origin.S3{Bucket: c.Bucket, VirtualHost: c.Style == "host"}
	if c.Keys == "" {
		return s3, nil, nil
	}
	keys, err := sign.OpenKeys(sign.KeyFile{Path: c.Keys, Encoding: sign.Text, SignWith: c.SignWith})
	if err != nil {
		return nil, nil, err
	}
	s3.Signer, err = sign.NewS3(keys, region)
	return s3, keys, err
}

func (c *Origin) tls() (*tls.Config, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca_file: no certificate in PEM in it")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// digest is the same for what is the same in JSON.
func digest(v any) string {
	text, _ := json.Marshal(v) // of plain structs
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
