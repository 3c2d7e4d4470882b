package proxy

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
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
		c.Log.Warn("what is remembered of the pools is damaged", "error", err)
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
	return block.Options{
		"color_by":   p.readNaming,
		"tag":        block.Text(&p.Query.Tag),
		"datacenter": block.Text(&p.Query.Datacenter),
		"namespace":  block.Text(&p.Query.Namespace),
		"partition":  block.Text(&p.Query.Partition),
		"near":       block.Text(&p.Query.Near),
		"filter":     block.Text(&p.Query.Filter),
		"warning":    block.On(&p.Query.Warning),
		"hold":       block.Duration((*caddy.Duration)(&p.Hold)),
		"reads":      block.Number(&p.Reads),
	}.Read(d)
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

var (
	_ PoolSource            = (*ConsulPools)(nil)
	_ caddy.Validator       = (*ConsulPools)(nil)
	_ caddyfile.Unmarshaler = (*ConsulPools)(nil)
)
