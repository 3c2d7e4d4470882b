package proxy

import (
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
	"github.com/greenroom-proxy/greenroom/switcher/file"
)

func init() { caddy.RegisterModule(ConsulPools{}) }

// ConsulPools are pools from Consul's catalog, as the app's consul block says
// where that is. Consul's own checks choose the candidates; this edge's checks
// decide whether they take traffic.
type ConsulPools struct {
	consul.SourceConfig
}

// CaddyModule implements caddy.Module.
func (ConsulPools) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "greenroom.pools.consul", New: func() caddy.Module { return new(ConsulPools) }}
}

// Source implements PoolSource.
func (p *ConsulPools) Source(c SourceContext) (switcher.Source, error) {
	client, err := c.Consul()
	if err != nil {
		return nil, err
	}
	config := p.SourceConfig
	config.Log, config.Probed = c.Log, c.Probed
	if config.Last, err = file.Recall(c.Memory); err != nil {
		c.Log.Warn("the pools of before cannot be recalled", "error", err)
	}
	return file.Remember(consul.NewSource(client, config), c.Memory, c.Log), nil
}

// UnmarshalCaddyfile reads
//
//	pools consul [<service>] {
//		color_by tag [<blue> <green>]
//		color_by meta <key> [<blue> <green>]
//		color_by service <blue> <green>
//		tag|datacenter|namespace|partition|near|filter <value>
//		warning
//		hold <duration>
//		reads <n>
//	}
func (p *ConsulPools) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		p.Query.Service = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return options{
		"color_by":   p.readNaming,
		"tag":        text(&p.Query.Tag),
		"datacenter": text(&p.Query.Datacenter),
		"namespace":  text(&p.Query.Namespace),
		"partition":  text(&p.Query.Partition),
		"near":       text(&p.Query.Near),
		"filter":     text(&p.Query.Filter),
		"warning":    on(&p.Query.Warning),
		"hold":       duration((*caddy.Duration)(&p.Hold)),
		"reads":      number(&p.Reads),
	}.read(d)
}

func (p *ConsulPools) readNaming(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	p.Colors.By = consul.By(args[0])
	args = args[1:]
	if p.Colors.By == consul.ByMeta && len(args) > 0 {
		p.Colors.Key, args = args[0], args[1:]
	}
	switch len(args) {
	case 0:
	case 2:
		p.Colors.Blue, p.Colors.Green = args[0], args[1]
	default:
		return d.ArgErr()
	}
	return nil
}

// Validate implements caddy.Validator.
func (p *ConsulPools) Validate() error { return p.SourceConfig.Validate() }

// unmarshalConsul reads the block of consul:
//
//	consul {
//		address <host:port, URL, or unix:///path>
//		token_file <path>
//		token_env <name>
//		datacenter|namespace|partition <name>
//		wait <duration>
//		polls <n>
//		tls {
//			ca|cert|key <path>
//			server_name <name>
//		}
//	}
func unmarshalConsul(d *caddyfile.Dispenser, c *consul.Config) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return options{
		"address":    text(&c.Address),
		"token_file": text(&c.TokenFile),
		"token_env":  text(&c.TokenEnv),
		"datacenter": text(&c.Datacenter),
		"namespace":  text(&c.Namespace),
		"partition":  text(&c.Partition),
		"wait":       duration((*caddy.Duration)(&c.Wait)),
		"polls":      number(&c.Polls),
		"tls": func(d *caddyfile.Dispenser) error {
			if d.NextArg() {
				return d.ArgErr()
			}
			return options{
				"ca":          text(&c.TLS.CAFile),
				"cert":        text(&c.TLS.CertFile),
				"key":         text(&c.TLS.KeyFile),
				"server_name": text(&c.TLS.ServerName),
			}.read(d)
		},
	}.read(d)
}

// consuls holds the clients in use, by their config, so that a reload that does
// not change it keeps the client and its watches.
var consuls = caddy.NewUsagePool()

// consulClient is a client that is closed with its last user.
type consulClient struct{ *consul.Client }

// Destruct implements caddy.Destructor.
func (c consulClient) Destruct() error {
	c.Close()
	return nil
}

// loadConsul returns the app's client, made when the first source wants it.
func (app *App) loadConsul(log *slog.Logger) (*consul.Client, error) {
	if app.consul != nil {
		return app.consul, nil
	}
	var config consul.Config
	if app.Consul != nil {
		config = *app.Consul
	}
	value, _, err := consuls.LoadOrNew(config, func() (caddy.Destructor, error) {
		client, err := consul.NewClient(config, log)
		return consulClient{client}, err
	})
	if err != nil {
		return nil, err
	}
	app.consul = value.(consulClient).Client
	app.consulKey = config
	return app.consul, nil
}

// dropConsul lets the client go.
func (app *App) dropConsul() error {
	if app.consul == nil {
		return nil
	}
	app.consul = nil
	_, err := consuls.Delete(app.consulKey)
	return err
}

// probed asks what this edge's checks say of an address in either pool of a
// service.
func probed(s *switcher.Service) consul.Probed {
	return func(address string) (healthy, known bool) {
		t := s.Table()
		if t == nil {
			return false, false
		}
		for _, c := range switcher.Colors {
			for _, e := range t.Pools.Of(c).Endpoints() {
				if e.Address() == address {
					h := e.Health()
					healthy, known = healthy || h.Healthy, known || h.Known
				}
			}
		}
		return healthy, known
	}
}

func validateConsul(c *consul.Config) error {
	if c == nil {
		return nil
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("consul: %w", err)
	}
	return nil
}

var (
	_ PoolSource            = (*ConsulPools)(nil)
	_ caddy.Validator       = (*ConsulPools)(nil)
	_ caddyfile.Unmarshaler = (*ConsulPools)(nil)
)
