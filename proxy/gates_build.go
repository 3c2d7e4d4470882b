package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/greenroom-proxy/greenroom/healthcheck/hls"
	asker "github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
	"github.com/greenroom-proxy/greenroom/switcher/livestream"
	"github.com/greenroom-proxy/greenroom/switcher/schema"
	"github.com/greenroom-proxy/greenroom/switcher/warmup"
	"github.com/greenroom-proxy/greenroom/switcher/webgate"
)

// gateConfig is the config of one gate.
type gateConfig interface {
	// build makes the gate, and refuses what cannot be used. It asks nobody.
	build(of *gateContext) (switcher.Gate, error)
}

// gateContext is what gates of a service have in common.
type gateContext struct {
	pinned bool // the service pins sessions
	// consul is set when the config starts, if wantsConsul.
	consul      *atomic.Pointer[consul.Client]
	wantsConsul bool
}

// builtGates are a service's gates besides those of its pool's health.
type builtGates struct {
	gates   []switcher.Gate
	context gateContext
}

// gateEvery is how often a gate that goes over the network is asked again.
const gateEvery = time.Second

// reserved are the names of gates that no config names: of health, of the fast
// forwarder, and of the store that a step is written to.
var reserved = []string{switcher.HealthyShare{}.Name(), switcher.Soak{}.Name(), (*ahead)(nil).Name(), "store"}

// build makes all gates of a service.
func (g *Gates) build(s *Service) (*builtGates, error) {
	b := &builtGates{context: gateContext{pinned: s.Pin != nil, consul: new(atomic.Pointer[consul.Client])}}
	names := make(map[string]bool)
	for i, c := range g.all() {
		gate, err := c.build(&b.context)
		if err != nil {
			return nil, fmt.Errorf("gate %d: %w", i+1, err)
		}
		name := gate.Name()
		switch {
		case !serviceName.MatchString(name):
			return nil, fmt.Errorf("gate %q: the name must match %s", name, serviceName)
		case slices.Contains(reserved, name):
			return nil, fmt.Errorf("gate %q: Greenroom's own gates are named %s: give it another name", name, strings.Join(reserved, ", "))
		case names[name]:
			return nil, fmt.Errorf("two gates are named %q: give one a name of its own", name)
		}
		names[name] = true
		b.gates = append(b.gates, gate)
	}
	return b, nil
}

var errNoSettings = errors.New("no settings")

func (g *HTTPGate) build(*gateContext) (switcher.Gate, error) {
	if g == nil {
		return nil, errNoSettings
	}
	web, err := g.Request.build()
	if err := errors.Join(err, gateTimeout(g.Timeout)); err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	return &switcher.Paced{Every: gateEvery, Gate: &webgate.Gate{Called: g.Name, Server: web, Timeout: time.Duration(g.Timeout)}}, nil
}

func (g *WarmupGate) build(*gateContext) (switcher.Gate, error) {
	if g == nil {
		return nil, errNoSettings
	}
	upstreams, err := g.Direct.build()
	err = errors.Join(err, gateTimeout(g.Timeout), plainTarget("path", g.Path),
		inRange("requests", g.Requests, 0, warmup.MaxRequests),
		inRange("within", time.Duration(g.Within), 0, 10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("warmup: %w", err)
	}
	return &switcher.Paced{Every: gateEvery, Gate: &warmup.Gate{
		Called: g.Name, Path: g.Path, Requests: g.Requests, Within: time.Duration(g.Within), Timeout: time.Duration(g.Timeout), Upstreams: upstreams,
	}}, nil
}

func (g *LiveGate) build(of *gateContext) (switcher.Gate, error) {
	if g == nil {
		return nil, errNoSettings
	}
	upstreams, err := g.Direct.build()
	err = errors.Join(err, inRange("paths", len(g.Paths), 1, livestream.MaxPaths),
		optionalDuration("max_lag", g.MaxLag, time.Second, 24*time.Hour),
		optionalDuration("max_skew", g.MaxSkew, 100*time.Millisecond, time.Hour))
	for i, path := range g.Paths {
		err = errors.Join(err, plainTarget("path", path))
		if slices.Contains(g.Paths[:i], path) {
			err = errors.Join(err, fmt.Errorf("path %q is given twice", path))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	limits := hls.Limits{Lag: time.Duration(g.MaxLag), Skew: time.Duration(g.MaxSkew), Unaligned: of.pinned}
	if g.Unaligned != nil {
		limits.Unaligned = *g.Unaligned
	}
	return &livestream.Gate{Called: g.Name, Paths: g.Paths, Limits: limits, Host: g.Host, Upstreams: upstreams}, nil
}

func (g *SchemaGate) build(of *gateContext) (switcher.Gate, error) {
	if g == nil {
		return nil, errNoSettings
	}
	gate := &schema.Gate{Called: g.Name, Min: g.MinKey, Max: g.MaxKey, Path: g.Path, Timeout: time.Duration(g.Timeout)}
	var err error
	if gate.Upstreams, err = g.Direct.build(); err == nil && g.Path != "" {
		err = plainTarget("path", g.Path)
	}
	err = errors.Join(err, gateTimeout(g.Timeout))
	for _, c := range switcher.Colors {
		text := switcher.PerColor[string]{Blue: g.Blue, Green: g.Green}
		if text.Of(c) == "" {
			continue
		}
		r, wrong := schema.ParseRange(text.Of(c))
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c, wrong))
		}
		*gate.Static.At(c) = &r
	}
	reader, wrong := g.reader(of)
	if err := errors.Join(err, wrong); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	gate.Reader = reader
	return &switcher.Paced{Every: gateEvery, Gate: gate}, nil
}

// reader makes the one that there is.
func (g *SchemaGate) reader(of *gateContext) (schema.Reader, error) {
	given := 0
	for _, is := range []bool{g.Postgres != nil, g.HTTP != nil, g.Consul != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, errors.New("want one of postgres, http and consul: where the version is")
	case g.Postgres != nil:
		return g.Postgres.build()
	case g.HTTP != nil:
		web, err := g.HTTP.Request.build()
		return &schema.HTTP{Server: web, Field: g.HTTP.Field}, err
	}
	if err := consul.ValidateKey(g.Consul); err != nil {
		return nil, fmt.Errorf("consul: key %q: %w", g.Consul, err)
	}
	of.wantsConsul = true
	client := of.consul
	return schema.Key{Where: "consul key " + g.Consul, Read: func(ctx context.Context) ([]byte, error) {
		c := client.Load()
		if c == nil {
			return nil, errors.New("the config has not started yet")
		}
		return c.Value(ctx, g.Consul)
	}}, nil
}

func (p *PostgresVersion) build() (schema.Reader, error) {
	reader := &schema.Postgres{Query: p.Query}
	switch {
	case secretSource.MatchString(p.DSN):
		reader.DSN = secretOf(p.DSN)
	case strings.ContainsAny(p.DSN, "{}"):
		return nil, errors.New("postgres: dsn: want either one placeholder for all of it, or none")
	case schema.HasPassword(p.DSN):
		return nil, errors.New("postgres: dsn: it holds a password, which the admin API would show: use password, a password file, or one placeholder for the whole dsn")
	default:
		reader.DSN = func() (string, error) { return p.DSN, nil }
	}
	if p.Password != "" {
		if !secretSource.MatchString(p.Password) {
			return nil, errors.New("postgres: password: want one {env.NAME} or {file.PATH}: a literal would be shown by the admin API")
		}
		reader.Password = secretOf(p.Password)
	}
	if err := reader.Validate(); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return reader, nil
}

// withSecret is a header field's value that ends with a placeholder.
var withSecret = regexp.MustCompile(`^[^{}]*\{(env|file)\.[^{}]+\}$`)

func (r *Request) build() (*asker.Web, error) {
	if r.URL == "" {
		return nil, errors.New("want a URL")
	}
	at, err := asker.ParseURL(r.URL)
	if err != nil {
		return nil, err
	}
	config, err := r.TLS.config()
	if err != nil {
		return nil, err
	}
	web := &asker.Web{URL: at, TLS: config}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		value := r.Headers[name]
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return nil, fmt.Errorf("header %q: want a name of letters, digits and dashes", name)
		case !withSecret.MatchString(value):
			return nil, fmt.Errorf("header %s: the value must end with one {env.NAME} or {file.PATH}: a literal would be shown by the admin API", name)
		}
		field := asker.Field{Name: name, Value: secretOf(value)}
		if _, err := field.Value.Read(); err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		web.Fields = append(web.Fields, field)
	}
	return web, nil
}

// secretOf reads a value with a placeholder anew each time.
func secretOf(value string) asker.Secret {
	return func() (string, error) {
		secret, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
		if err != nil || strings.TrimSpace(secret) == "" {
			return "", fmt.Errorf("there is no value for %s", value)
		}
		return secret, nil
	}
}

func (d *Direct) build() (*asker.Upstreams, error) {
	if parsed, err := url.Parse("http://" + d.Host); d.Host != "" && (err != nil || parsed.Host != d.Host) {
		return nil, fmt.Errorf("host %q: want name or name:port", d.Host)
	}
	config, err := d.TLS.config()
	return &asker.Upstreams{Host: d.Host, TLS: config}, err
}

// plainTarget wants a path, with a query or without.
func plainTarget(option, target string) error {
	u, err := url.ParseRequestURI(target)
	if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || u.Host != "" || strings.Contains(target, "#") {
		return fmt.Errorf("%s %.200q: want a path that begins with a slash, and its query", option, target)
	}
	return nil
}

func gateTimeout(d caddy.Duration) error {
	return optionalDuration("timeout", d, 100*time.Millisecond, 10*time.Second)
}

// optionalDuration lets 0 be, which means the default.
func optionalDuration(option string, d caddy.Duration, low, high time.Duration) error {
	if d == 0 {
		return nil
	}
	return inRange(option, time.Duration(d), low, high)
}
