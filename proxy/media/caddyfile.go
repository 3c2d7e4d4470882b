package media

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/proxy/block"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("media_edge", parseApp)
	httpcaddyfile.RegisterHandlerDirective("media_edge", parseHandler)
	// blue_green comes between the two, whichever is registered first.
	httpcaddyfile.RegisterDirectiveOrder("media_edge", httpcaddyfile.Before, "reverse_proxy")
}

// parseApp reads the global option block:
//
//	media_edge {
//		cache {
//			memory <size>
//			disk <dir> <size>
//		}
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		return nil, d.Err("media_edge is given twice")
	}
	app := new(App)
	d.Next()
	file, line := d.File(), d.Line()
	d.Prev()
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	if app.Cache != nil {
		tried := *app.Cache // since provision sets defaults
		if err := tried.provision(); err != nil {
			return nil, fmt.Errorf("media_edge: cache: %w, at %s:%d", err, file, line)
		}
	}
	return httpcaddyfile.App{Name: "greenroom_media", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (app *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return block.Options{"cache": func(d *caddyfile.Dispenser) error {
		if d.NextArg() {
			return d.ArgErr()
		}
		app.Cache = new(Cache)
		return block.Options{
			"memory": block.Size(&app.Cache.Memory),
			"disk": func(d *caddyfile.Dispenser) error {
				var size string
				if !d.AllArgs(&app.Cache.Dir, &size) {
					return d.Err("disk: want a directory and a size")
				}
				return block.ParseSize(d, "disk", size, &app.Cache.Disk)
			},
		}.Read(d)
	}}.Read(d)
}

// parseHandler reads the directive: see UnmarshalCaddyfile. What is wrong with it
// as a whole is told with its place, which nobody knows later.
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler, d := new(Handler), h.Dispenser
	d.Next()
	file, line := d.File(), d.Line()
	d.Prev()
	if err := handler.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	tried := new(Handler) // since check sets defaults
	if err := json.Unmarshal(caddyconfig.JSON(handler, nil), tried); err != nil {
		return nil, err
	}
	if err := tried.check(); err != nil {
		return nil, fmt.Errorf("%w, at %s:%d", tried.named(err), file, line)
	}
	return handler, nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	media_edge [<matcher>] {
//		name         <name>
//		hosts        <host...>
//		path         <prefix...>
//		types        hls|dash|cmaf|video|audio|images|subtitles...
//		extension    <extension> <kind> [<content-type>]
//		all
//		strip_prefix <path>
//		query        <name...>
//		redirect     <url> {
//			…
//		}
//		origin       <url...> {
//			…
//		}
//		cache        off
//		cache {
//			…
//		}
//		cors         <origin...> {
//			credentials
//			max_age <duration>
//		}
//		cmcd_events  <path>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return block.Options{
		"name":         block.Text(&h.Name),
		"hosts":        texts(&h.Match.Hosts),
		"path":         texts(&h.Match.Paths),
		"types":        texts(&h.Match.Sets),
		"all":          block.On(&h.Match.All),
		"strip_prefix": block.Text(&h.StripPrefix),
		"query":        texts(&h.Query),
		"cmcd_events":  block.Text(&h.CMCDEvents),
		"extension":    h.Match.extension,
		"redirect": func(d *caddyfile.Dispenser) error {
			h.Redirect = new(Redirect)
			return h.Redirect.unmarshal(d)
		},
		"origin": func(d *caddyfile.Dispenser) error {
			h.Origin = new(Origin)
			return h.Origin.unmarshal(d)
		},
		"cache": func(d *caddyfile.Dispenser) error {
			h.Cache = new(Keeping)
			return h.Cache.unmarshal(d)
		},
		"cors": func(d *caddyfile.Dispenser) error {
			h.CORS = new(CORS)
			if h.CORS.Origins = d.RemainingArgs(); len(h.CORS.Origins) == 0 {
				return d.Err("cors: want origins as https://player.example.com, or *")
			}
			return block.Options{"credentials": block.On(&h.CORS.Credentials), "max_age": block.Duration(&h.CORS.MaxAge)}.Read(d)
		},
	}.Read(d, "extension")
}

func (r *Rule) extension(d *caddyfile.Dispenser) error {
	e := new(Extension)
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.Err("extension: want an extension, its kind, and perhaps its content type")
	}
	e.Name, e.Kind = strings.TrimPrefix(args[0], "."), args[1]
	if len(args) == 3 {
		e.ContentType = args[2]
	}
	r.Extensions = append(r.Extensions, e)
	return block.None(d)
}

// unmarshal reads the rest of:
//
//	redirect <url> {
//		status  302|307
//		methods <method...>
//		max_age <duration>
//		sign    <scheme> <key-file> {
//			sign_with    <id>
//			bucket       <duration>
//			life         <duration>
//			directory
//			client_ip
//			cookie {
//				domain    <domain>
//				same_site lax|strict|none
//			}
//			region       <region>
//			parameter    <name>
//			escape_early
//			ttl          <duration>
//		}
//	}
func (c *Redirect) unmarshal(d *caddyfile.Dispenser) error {
	if err := block.Text(&c.To)(d); err != nil {
		return err
	}
	return block.Options{
		"status":  block.Number(&c.Status),
		"methods": texts(&c.Methods),
		"max_age": block.Duration(&c.MaxAge),
		"sign": func(d *caddyfile.Dispenser) error {
			c.Sign = new(Sign)
			return c.Sign.unmarshal(d)
		},
	}.Read(d)
}

func (c *Sign) unmarshal(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&c.Scheme, &c.Keys) {
		return d.Err("sign: want a scheme and a file with keys")
	}
	return block.Options{
		"sign_with":    block.Text(&c.SignWith),
		"bucket":       block.Duration(&c.Bucket),
		"life":         block.Duration(&c.Life),
		"directory":    block.On(&c.Directory),
		"client_ip":    block.On(&c.ClientIP),
		"region":       block.Text(&c.Region),
		"parameter":    block.Text(&c.Parameter),
		"escape_early": block.On(&c.EscapeEarly),
		"ttl":          block.Duration(&c.TTL),
		"cookie": func(d *caddyfile.Dispenser) error {
			if d.NextArg() {
				return d.ArgErr()
			}
			c.Cookie = new(Cookie)
			return block.Options{"domain": block.Text(&c.Cookie.Domain), "same_site": block.Text(&c.Cookie.SameSite)}.Read(d)
		},
	}.Read(d)
}

// unmarshal reads the rest of:
//
//	cache off
//	cache {
//		bypass                 <kind...>
//		ttl                    <kind> <duration>
//		stale_if_error         <kind> <duration>
//		stale_while_revalidate <kind> <duration>
//		negative               <duration>
//	}
func (k *Keeping) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		if k.Off = d.Val() == "off"; !k.Off || d.NextArg() {
			return d.Err("cache: want off, or a block")
		}
		return block.None(d)
	}
	return block.Options{
		"bypass":                 texts(&k.Bypass),
		"ttl":                    byKind(&k.TTL),
		"stale_if_error":         byKind(&k.StaleIfError),
		"stale_while_revalidate": byKind(&k.StaleWhileRevalidate),
		"negative":               block.Duration((*caddy.Duration)(&k.Negative)),
	}.Read(d, "ttl", "stale_if_error", "stale_while_revalidate")
}

// byKind reads a kind of media and a duration.
func byKind(into *map[string]caddy.Duration) block.Reader {
	return func(d *caddyfile.Dispenser) error {
		option, kind, value := d.Val(), "", ""
		if !d.AllArgs(&kind, &value) {
			return d.Errf("%s: want a kind of media and a duration", option)
		}
		if _, err := parseKind(kind); err != nil {
			return d.WrapErr(err)
		}
		if _, twice := (*into)[kind]; twice {
			return d.Errf("%s %s is given twice", option, kind)
		}
		parsed, err := caddy.ParseDuration(value)
		if err != nil {
			return d.Errf("%s %s %q: want a duration, as 500ms or 1h", option, kind, value)
		}
		if *into == nil {
			*into = make(map[string]caddy.Duration)
		}
		(*into)[kind] = caddy.Duration(parsed)
		return nil
	}
}

// texts reads one value or more.
func texts(into *[]string) block.Reader {
	return func(d *caddyfile.Dispenser) error {
		option := d.Val()
		if *into = d.RemainingArgs(); len(*into) == 0 {
			return d.Errf("%s: want one value or more", option)
		}
		return nil
	}
}
