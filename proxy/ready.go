package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/proxy/block"
	"github.com/greenroom-proxy/greenroom/switcher"
)

func init() {
	caddy.RegisterModule(Ready{})
	httpcaddyfile.RegisterHandlerDirective("greenroom_ready", parseReady)
	// Before blue_green and reverse_proxy, which serve all of a site where they have
	// no matcher.
	httpcaddyfile.RegisterDirectiveOrder("greenroom_ready", httpcaddyfile.Before, "metrics")
}

// Ready answers a load balancer that asks whether this edge is to get traffic: 200,
// or 503 with the reason. It is 503 from the moment the process is asked to end,
// while everything is still served for as long as Caddy's shutdown_delay says; 503
// too where a service that is named has no healthy upstream on a color that gets
// traffic.
type Ready struct {
	// The services that must be able to serve. Default: none; only the end of
	// the process counts, so that one service that is down does not take the
	// others with it.
	Services []string `json:"services,omitempty"`

	app *App
}

// CaddyModule implements caddy.Module.
func (Ready) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.greenroom_ready", New: func() caddy.Module { return new(Ready) }}
}

// Provision implements caddy.Provisioner.
func (h *Ready) Provision(ctx caddy.Context) error {
	value, err := ctx.App("greenroom")
	if err != nil {
		return err
	}
	h.app = value.(*App)
	for _, name := range h.Services {
		if h.app.edges[name] == nil {
			return fmt.Errorf("greenroom_ready %q: no such service in the greenroom app, which has: %s", name, h.app.names())
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Ready) ServeHTTP(w http.ResponseWriter, _ *http.Request, _ caddyhttp.Handler) error {
	status, body := http.StatusOK, map[string]any{"ready": true}
	if err := h.unready(); err != nil {
		status, body = http.StatusServiceUnavailable, map[string]any{"ready": false, "reason": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(body)
}

func (h *Ready) unready() error {
	if h.app.runtime.leaving.Load() != nil {
		return errors.New("the process ends")
	}
	for _, name := range h.Services {
		if err := h.app.edges[name].unable(); err != nil {
			return err
		}
	}
	return nil
}

// unable is why the service cannot serve; nil: it can.
func (e *edge) unable() error {
	t := e.service.Table()
	if t == nil {
		return fmt.Errorf("service %q is not running", e.name)
	}
	for _, c := range switcher.Colors {
		if h := t.Pools.Of(c).Health(); t.Split.Weight(c) > 0 && h.Healthy+h.Held == 0 {
			return fmt.Errorf("service %q: %s has no healthy upstream", e.name, c)
		}
	}
	return nil
}

// parseReady reads "greenroom_ready [<matcher>] [<service>...]".
func parseReady(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Ready)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (h *Ready) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	h.Services = d.RemainingArgs()
	return block.None(d)
}

var (
	_ caddy.Provisioner           = (*Ready)(nil)
	_ caddyhttp.MiddlewareHandler = (*Ready)(nil)
)
