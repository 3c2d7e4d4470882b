package proxy

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
	return noBlock(d)
}

// noBlock refuses a block where none is read: it would be ignored.
func noBlock(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("unexpected block with %q", d.Val())
	}
	return nil
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
			if err := text(&app.StateDir)(d); err != nil {
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

// options reads a block of options, each given once unless it is repeatable.
type options map[string]func(d *caddyfile.Dispenser) error

func (o options) read(d *caddyfile.Dispenser, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read := o[name]
		if read == nil {
			return d.Errf("unknown option %q: want one of %s", name, o)
		}
		if seen[name] && !contains(repeatable, name) {
			return d.Errf("%s is given twice", name)
		}
		seen[name] = true
		if err := read(d); err != nil {
			return err
		}
	}
	return nil
}

func (o options) String() string { return strings.Join(sortedKeys(o), ", ") }
