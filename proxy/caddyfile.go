package proxy

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/proxy/block"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("greenroom", parseApp)
	httpcaddyfile.RegisterHandlerDirective("blue_green", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("blue_green", httpcaddyfile.Before, "reverse_proxy")
}

// parseHandler reads "blue_green [<matcher>] <service>".
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&h.Service) {
		return d.Errf("blue_green: want the name of one service")
	}
	return block.None(d)
}

// parseApp reads the global option block:
//
//	greenroom {
//		state_dir <dir>
//		control {
//			…
//		}
//		consul {
//			…
//		}
//		spool {
//			memory|disk <size>
//			dir <dir>
//		}
//		service <name> {
//			…
//		}
//	}
//
// Several blocks add up; a service or an option may be given only once.
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	app := &App{Services: make(map[string]*Service)}
	if before, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(before.Value, app); err != nil {
			return nil, err
		}
	}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "greenroom", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (app *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch d.Val() {
		case "state_dir":
			if app.StateDir != "" {
				return d.Err("state_dir is given twice")
			}
			if err := block.Text(&app.StateDir)(d); err != nil {
				return err
			}
		case "control":
			if app.Control != nil {
				return d.Err("control is given twice")
			}
			app.Control = new(Control)
			if err := app.Control.unmarshal(d); err != nil {
				return err
			}
		case "consul":
			if app.Consul != nil {
				return d.Err("consul is given twice")
			}
			app.Consul = new(Consul)
			if err := app.Consul.unmarshal(d); err != nil {
				return err
			}
		case "spool":
			if app.Spool != nil {
				return d.Err("spool is given twice")
			}
			app.Spool = new(Spool)
			if err := app.Spool.unmarshal(d); err != nil {
				return err
			}
		case "service":
			var name string
			if !d.AllArgs(&name) {
				return d.Errf("service: want a name")
			}
			if app.Services[name] != nil {
				return d.Errf("service %q is given twice", name)
			}
			app.Services[name] = new(Service)
			if err := app.Services[name].unmarshal(d); err != nil {
				return err
			}
		default:
			return d.Errf("unknown option %q: want state_dir, control, consul, spool or service", d.Val())
		}
	}
	return nil
}
