package proxy

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
)

// Consul is where Consul is, and what it is used for besides pools.
type Consul struct {
	consul.Config

	// Take part in a fleet: carry out what operators write to Consul's KV,
	// publish this edge's moves there, and follow those of the other edges.
	// Whoever may write below the prefix moves traffic. Default: KV is
	// neither read nor written.
	Fleet *consul.FleetConfig `json:"fleet,omitempty"`
}

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
//		fleet {
//			prefix <path>
//			edge <name>
//			retry <duration>
//		}
//	}
func (c *Consul) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return block.Options{
		"fleet": func(d *caddyfile.Dispenser) error {
			if d.NextArg() {
				return d.ArgErr()
			}
			c.Fleet = new(consul.FleetConfig)
			return block.Options{
				"prefix": block.Text(&c.Fleet.Prefix),
				"edge":   block.Text(&c.Fleet.Edge),
				"retry":  block.Duration((*caddy.Duration)(&c.Fleet.Retry)),
			}.Read(d)
		},
		"address":    block.Text(&c.Address),
		"token_file": block.Text(&c.TokenFile),
		"token_env":  block.Text(&c.TokenEnv),
		"datacenter": block.Text(&c.Datacenter),
		"namespace":  block.Text(&c.Namespace),
		"partition":  block.Text(&c.Partition),
		"wait":       block.Duration((*caddy.Duration)(&c.Wait)),
		"polls":      block.Number(&c.Polls),
		"tls": func(d *caddyfile.Dispenser) error {
			if d.NextArg() {
				return d.ArgErr()
			}
			return block.Options{
				"ca":          block.Text(&c.TLS.CAFile),
				"cert":        block.Text(&c.TLS.CertFile),
				"key":         block.Text(&c.TLS.KeyFile),
				"server_name": block.Text(&c.TLS.ServerName),
			}.Read(d)
		},
	}.Read(d)
}

// provision fills in the edge's name.
func (c *Consul) provision() error {
	if c == nil {
		return nil
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("consul: %w", err)
	}
	if c.Fleet == nil {
		return nil
	}
	if c.Fleet.Edge == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("consul: fleet: no edge is named, and the host has no name: %w", err)
		}
		c.Fleet.Edge = host
	}
	if err := c.Fleet.Validate(); err != nil {
		return fmt.Errorf("consul: fleet: %w", err)
	}
	return nil
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
		config = app.Consul.Config
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
