package proxy

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
	"github.com/greenroom-proxy/greenroom/switcher/file"
)

func init() {
	caddy.RegisterModule(StaticPools{})
	caddy.RegisterModule(FilePools{})
}

// PoolSource is what a module of the namespace greenroom.pools implements.
type PoolSource interface {
	// Source returns where the pools come from. It is called when the
	// config starts, not when it is merely validated.
	Source(SourceContext) (switcher.Source, error)
}

// SourceContext is what a PoolSource may use.
type SourceContext struct {
	// Log goes on through reloads.
	Log *slog.Logger
	// Consul returns the client of the app's consul block.
	Consul func() (*consul.Client, error)
	// Probed is what this edge's checks say of an address of the service.
	Probed func(address string) (healthy, known bool)
	// Memory is the path of a file of the service's own in the state
	// directory.
	Memory string
}

// StaticPools are pools that stand in the config.
type StaticPools struct {
	// The upstreams of the blue pool.
	Blue []switcher.Upstream `json:"blue,omitempty"`
	// The upstreams of the green pool.
	Green []switcher.Upstream `json:"green,omitempty"`
}

// CaddyModule implements caddy.Module.
func (StaticPools) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "greenroom.pools.static", New: func() caddy.Module { return new(StaticPools) }}
}

func (p *StaticPools) pools() switcher.Pools { return switcher.Pools{Blue: p.Blue, Green: p.Green} }

// Validate implements caddy.Validator.
func (p *StaticPools) Validate() error { return switcher.ValidatePools(p.pools()) }

// Source implements PoolSource.
func (p *StaticPools) Source(SourceContext) (switcher.Source, error) {
	return switcher.Static(p.pools()), nil
}

// FilePools are pools in a JSON file that is watched: an edit takes effect
// without a reload, and a bad one is refused, with the last good pools in
// force.
type FilePools struct {
	// The file, absolute or relative to the working directory. Required.
	Path string `json:"path"`
}

// CaddyModule implements caddy.Module.
func (FilePools) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "greenroom.pools.file", New: func() caddy.Module { return new(FilePools) }}
}

// Provision implements caddy.Provisioner.
func (p *FilePools) Provision(caddy.Context) error {
	if p.Path == "" {
		return fmt.Errorf("pools from a file: no path")
	}
	path, err := filepath.Abs(p.Path)
	p.Path = path
	return err
}

// UnmarshalCaddyfile reads the rest of "pools file <path>".
func (p *FilePools) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := block.Text(&p.Path)(d); err != nil {
		return err
	}
	return block.None(d)
}

// Source implements PoolSource.
func (p *FilePools) Source(c SourceContext) (switcher.Source, error) {
	return file.NewSource(p.Path, c.Log), nil
}

// sourceKey tells whether a reload changed where the pools come from.
func (app *App) sourceKey(p PoolSource) (string, error) {
	key, err := json.Marshal(p)
	text := fmt.Sprintf("%T %s", p, key)
	if _, asks := p.(*ConsulPools); asks && app.Consul != nil {
		text += fmt.Sprintf(" of %+v", app.Consul.Config)
	}
	return text, err
}

var (
	_ PoolSource            = (*StaticPools)(nil)
	_ PoolSource            = (*FilePools)(nil)
	_ caddy.Validator       = (*StaticPools)(nil)
	_ caddy.Provisioner     = (*FilePools)(nil)
	_ caddyfile.Unmarshaler = (*FilePools)(nil)
)
