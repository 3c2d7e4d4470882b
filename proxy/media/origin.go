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

	// How long to connect, 1ms to 10m. Default: 2s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long from a request to the head of its answer, 1ms to 10m. Default: 10s.
	// A playlist with _HLS_msn, which its origin holds back until it is there, has
	// 30s at least.
	HeadTimeout caddy.Duration `json:"head_timeout,omitempty"`

	// How long a body may pause, 1ms to 10m. Default: 15s.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// Connections to an endpoint at a time, 1 to 65536. Default: 256. Half as
	// many answers may be held back by the origin.
	MaxConns int `json:"max_conns,omitempty"`

	// A file with the certificates, in PEM, that https endpoints must be
	// signed by. Default: the system's.
	CAFile string `json:"ca_file,omitempty"`

	// How often a body whose endpoint dies may go on from another, or from the
	// same one, up to 16. 0 is the default, below 0 never. Default: 3.
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
	// Time between two probes of an endpoint, 100ms to 1h. Default: 2s.
	Interval caddy.Duration `json:"interval,omitempty"`
	// Longest time for an answer, 10ms to 1m. Default: 1s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Successes in a row until it is healthy, 1 to 100. Default: 2.
	Rise int `json:"rise,omitempty"`
	// Failures in a row until it is not, 1 to 100. Default: 3.
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

// config is what needs no file.
func (c *Origin) config(name string) origin.Config {
	config := origin.Config{
		Name: name, Header: make(http.Header),
		Timeouts: origin.Timeouts{Dial: time.Duration(c.DialTimeout), Head: time.Duration(c.HeadTimeout), Idle: time.Duration(c.IdleTimeout)},
		MaxConns: c.MaxConns, Resume: origin.Resume{Attempts: c.Resume},
	}
	for _, e := range c.Endpoints {
		config.Endpoints = append(config.Endpoints, origin.Endpoint{URL: e})
	}
	for field, value := range c.Header {
		config.Header[field] = []string{value}
	}
	if c.S3 != nil {
		config.S3 = &origin.S3{Bucket: c.S3.Bucket, VirtualHost: c.S3.Style == "host"}
	}
	if k := c.Check; k != nil {
		config.Check = &origin.Check{Path: k.Path, Settings: healthcheck.Settings{
			Interval: time.Duration(k.Interval), Timeout: time.Duration(k.Timeout), Rise: k.Rise, Fall: k.Fall,
		}}
	}
	return config
}

// check finds what is wrong with the config itself.
func (c *Origin) check(name string) error {
	if s := c.S3; s != nil {
		switch {
		case s.Style != "" && s.Style != "path" && s.Style != "host":
			return fmt.Errorf("origin: s3: style %q: want path or host", s.Style)
		case s.SignWith != "" && s.Keys == "":
			return errors.New("origin: s3: sign_with names a key, but keys is missing: name the file")
		}
	}
	_, err := origin.New(c.config(name))
	return err
}

// open reads what the config names: keys, certificates and secrets. Two sources
// with the same key are one.
func (c *Origin) open(name string, log *slog.Logger) (*source, error) {
	config := c.config(name)
	config.Log = log
	repl := caddy.NewReplacer()
	for field, value := range c.Header {
		plain, err := repl.ReplaceOrErr(value, true, true)
		if err != nil {
			return nil, fmt.Errorf("origin: header %s: a placeholder is unknown, or what it stands for is empty: want {env.NAME} or {file.PATH}", field) // err may quote a secret
		}
		config.Header[field] = []string{plain}
	}
	s := &source{name: name}
	var err error
	if c.S3 != nil {
		if config.S3.Signer, s.keys, err = c.S3.signer(); err != nil {
			return nil, fmt.Errorf("origin: s3: %w", err)
		}
	}
	var authorities []byte
	if config.TLS, authorities, err = c.tls(); err != nil {
		return nil, err
	}
	if s.Origin, err = origin.New(config); err != nil {
		return nil, err
	}
	// A secret or a file that has changed is a change, even if its name has not.
	s.key = digest([]any{name, c, config.Header, authorities})
	s.scope = name + "#" + digest([]any{c.Endpoints, c.S3 != nil, cmp.Or(c.S3, new(S3)).Bucket})[:8]
	return s, nil
}

// signer is nil for a public bucket.
func (c *S3) signer() (*sign.S3, *sign.Keys, error) {
	if c.Keys == "" {
		return nil, nil, nil
	}
	keys, err := sign.OpenKeys(sign.KeyFile{Path: c.Keys, Encoding: sign.Text, SignWith: c.SignWith})
	if err != nil {
		return nil, nil, err
	}
	signer, err := sign.NewS3(keys, cmp.Or(c.Region, "us-east-1"))
	return signer, keys, err
}

// tls also returns the certificates as they are in the file.
func (c *Origin) tls() (*tls.Config, []byte, error) {
	if c.CAFile == "" {
		return nil, nil, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("origin: ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("origin: ca_file %s: no certificate in PEM in it", c.CAFile)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, pem, nil
}

// digest is the same for what is the same in JSON.
func digest(v any) string {
	text, _ := json.Marshal(v) // of plain structs
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
