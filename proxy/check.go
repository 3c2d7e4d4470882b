package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/healthcheck"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Check is the config of one active health check.
type Check struct {
	// What to ask: http, tcp or grpc. Required.
	Type string `json:"type"`

	// The color whose upstreams are checked. Default: both.
	Color string `json:"color,omitempty"`

	// The name in status, metrics and errors. Default: what the check does,
	// as "http GET /healthz".
	Name string `json:"name,omitempty"`

	// Time between two probes of an upstream, 100ms to 1h. Default: 2s.
	Interval caddy.Duration `json:"interval,omitempty"`

	// Longest time for an answer, 10ms to 1m. Default: 1s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Random part of the interval, so that edges do not probe in step, as a
	// share above 0 up to 0.5. Default: 0.1.
	Jitter float64 `json:"jitter,omitempty"`

	// Passes in a row that make an upstream healthy, 1 to 100. Default: 2.
	Rise int `json:"rise,omitempty"`

	// Failures in a row that make it unhealthy, 1 to 100. Default: 3.
	Fall int `json:"fall,omitempty"`

	// Hold-down of an upstream that flaps: the first, 1ms to 1h, doubling with
	// each further fall. Default: 10s.
	HoldMin caddy.Duration `json:"hold_min,omitempty"`

	// The longest hold-down, from hold_min up to 24h. Default: 5m.
	HoldMax caddy.Duration `json:"hold_max,omitempty"`

	// Two falls within this time are flapping, 1ms to 24h. Default: 5m.
	FlapWindow caddy.Duration `json:"flap_window,omitempty"`

	// HTTP: the method. Default: GET.
	Method string `json:"method,omitempty"`

	// HTTP: path and query. Default: /.
	Path string `json:"path,omitempty"`

	// HTTP: the Host to ask for. Default: the upstream's address.
	Host string `json:"host,omitempty"`

	// HTTP: more header fields.
	Headers http.Header `json:"headers,omitempty"`

	// HTTP: the statuses that pass, as "200-299", "2xx" or "200,204".
	// Default: 200-299.
	Status string `json:"status,omitempty"`

	// HTTP: a regular expression (RE2) that the first 64 KiB of the body
	// must match. Default: any body.
	Body string `json:"body,omitempty"`

	// gRPC: the service to ask grpc.health.v1 for. Default: the server.
	Service string `json:"service,omitempty"`

	// TLS to the upstream. Default: plaintext.
	TLS *CheckTLS `json:"tls,omitempty"`
}

// CheckTLS is how a check speaks TLS.
type CheckTLS struct {
	// The name that the certificate must be for. Default: the host of the
	// check, or of the upstream's address.
	ServerName string `json:"server_name,omitempty"`

	// A PEM file with the certificates to trust. Default: the system's.
	CA string `json:"ca,omitempty"`

	// Accept any certificate. A probe then proves less; traffic is not
	// affected. Default: false.
	InsecureSkipVerify bool `json:"insecure_skip_verify,omitempty"`

	pem []byte // of CA
}

// build makes the check that the config describes.
func (c *Check) build() (healthcheck.Check, error) {
	settings := healthcheck.Settings{
		Interval: time.Duration(c.Interval), Timeout: time.Duration(c.Timeout), Jitter: c.Jitter,
		Rise: c.Rise, Fall: c.Fall,
		HoldMin: time.Duration(c.HoldMin), HoldMax: time.Duration(c.HoldMax), FlapWindow: time.Duration(c.FlapWindow),
	}.WithDefaults()
	if err := settings.Validate(); err != nil {
		return healthcheck.Check{}, err
	}
	if c.Color != "" {
		if _, err := switcher.ParseColor(c.Color); err != nil {
			return healthcheck.Check{}, err
		}
	}
	probe, err := c.probe()
	if err != nil {
		return healthcheck.Check{}, err
	}
	name := c.Name
	if name == "" {
		name = probe.String()
	}
	return healthcheck.Check{Name: name, Probe: probe, Settings: settings}, nil
}

func (c *Check) probe() (healthcheck.Probe, error) {
	config, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	if c.Type != "http" && (c.Method+c.Path+c.Host+c.Status+c.Body != "" || c.Headers != nil) {
		return nil, fmt.Errorf("a %s check has no method, path, host, headers, status or body", c.Type)
	}
	if c.Type != "grpc" && c.Service != "" {
		return nil, fmt.Errorf("a %s check has no service", c.Type)
	}
	switch c.Type {
	case "http":
		return c.http(config)
	case "tcp":
		return healthcheck.TCP{TLS: config}, nil
	case "grpc":
		return healthcheck.GRPC{Service: c.Service, TLS: config}, nil
	}
	return nil, fmt.Errorf("check type %q: want http, tcp or grpc", c.Type)
}

func (c *Check) http(config *tls.Config) (healthcheck.Probe, error) {
	probe := healthcheck.HTTP{Method: c.Method, Path: c.Path, Host: c.Host, Headers: c.Headers, TLS: config}
	var err error
	if c.Status != "" {
		if probe.Status, err = healthcheck.ParseStatusSet(c.Status); err != nil {
			return nil, err
		}
	}
	if c.Body != "" {
		if probe.BodyMatch, err = regexp.Compile(c.Body); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	return probe, probe.Validate()
}

func (t *CheckTLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	config := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CA == "" {
		return config, nil
	}
	var err error
	if t.pem, err = os.ReadFile(t.CA); err != nil {
		return nil, fmt.Errorf("tls ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(t.pem) {
		return nil, fmt.Errorf("tls ca %s: no certificate in PEM form in it", t.CA)
	}
	return config, nil
}

// checkSet is the checks of one service, by color, and a fingerprint that says
// whether a reload changed them.
type checkSet struct {
	checks      switcher.PerColor[[]healthcheck.Check]
	fingerprint string
}

func buildChecks(configs []*Check) (checkSet, error) {
	if len(configs) == 0 {
		configs = []*Check{{Type: "tcp"}}
	}
	var set checkSet
	for i, c := range configs {
		if c == nil {
			return set, fmt.Errorf("check %d: no settings", i+1)
		}
		check, err := c.build()
		if err != nil {
			return set, fmt.Errorf("check %d (%s): %w", i+1, c.Type, err)
		}
		for _, color := range switcher.Colors {
			if c.Color != "" && c.Color != color.String() {
				continue
			}
			list := set.checks.At(color)
			for _, other := range *list {
				if other.Name == check.Name {
					return set, fmt.Errorf("check %d: two checks of %s are named %q: give one a name of its own", i+1, color, check.Name)
				}
			}
			*list = append(*list, check)
		}
	}
	for _, color := range switcher.Colors {
		if len(set.checks.Of(color)) == 0 {
			return set, errors.New("no check for " + color.String() + ": an upstream that is not checked would never be healthy")
		}
	}
	fingerprint, err := json.Marshal(configs)
	for _, c := range configs {
		if c.TLS != nil {
			fingerprint = append(fingerprint, c.TLS.pem...) // a file that was replaced is a change
		}
	}
	set.fingerprint = string(fingerprint)
	return set, err
}
