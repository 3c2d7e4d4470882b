package proxy

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
)

// readGate reads one gate; the option may be repeated.
//
//	gate http <URL> {
//		name <name>
//		header <name> <value with a placeholder>
//		timeout <duration>
//		tls { … }
//	}
//	gate warmup <path> {
//		name <name>
//		requests <n>
//		within|timeout <duration>
//		host <name>
//		tls { … }
//	}
//	gate schema {
//		name <name>
//		postgres {
//			dsn <connection string>|<placeholder>
//			password <placeholder>
//			query <SQL>
//		}
//		http <URL> { header …; field <name>; tls { … } }
//		consul <key>
//		blue|green <min>..<max>
//		meta <key of the min> <key of the max>
//		path <path>
//		timeout <duration>
//		host <name>
//		tls { … }
//	}
//	gate live <path>… {
//		name <name>
//		max_lag|max_skew <duration>
//		unaligned on|off
//		host <name>
//		tls { … }
//	}
func (s *Service) readGate(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("gate: want http, warmup, schema or live")
	}
	if s.Gates == nil {
		s.Gates = new(Gates)
	}
	kind, args := args[0], args[1:]
	one := func(into *string, what string) error {
		if len(args) != 1 {
			return d.Errf("gate %s: want one %s", kind, what)
		}
		*into = args[0]
		return nil
	}
	switch kind {
	case "http":
		g := new(HTTPGate)
		s.Gates.HTTP = append(s.Gates.HTTP, g)
		if err := one(&g.URL, "URL"); err != nil {
			return err
		}
		return g.options().Read(d, "header")
	case "warmup":
		g := new(WarmupGate)
		s.Gates.Warmup = append(s.Gates.Warmup, g)
		if err := one(&g.Path, "path"); err != nil {
			return err
		}
		return g.options().Read(d)
	case "schema":
		g := new(SchemaGate)
		s.Gates.Schema = append(s.Gates.Schema, g)
		if len(args) > 0 {
			return d.Errf("gate schema: takes no argument %q: say in its block where the version is", args[0])
		}
		return g.options().Read(d)
	case "live":
		s.Gates.Live = append(s.Gates.Live, &LiveGate{Paths: args})
		return s.Gates.Live[len(s.Gates.Live)-1].options().Read(d)
	}
	return d.Errf("gate %q: want http, warmup, schema or live", kind)
}

func (g *HTTPGate) options() block.Options {
	return block.Options{
		"name":    block.Text(&g.Name),
		"header":  g.readHeader,
		"timeout": block.Duration(&g.Timeout),
		"tls":     readTLS(&g.TLS),
	}
}

func (r *Request) readHeader(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.Errf("header: want a name and a value that ends with a placeholder")
	}
	if _, twice := r.Headers[name]; twice {
		return d.Errf("header %s is given twice", name)
	}
	if r.Headers == nil {
		r.Headers = make(map[string]string)
	}
	r.Headers[name] = value
	return nil
}

func (g *WarmupGate) options() block.Options {
	return block.Options{
		"name":     block.Text(&g.Name),
		"requests": block.Number(&g.Requests),
		"within":   block.Duration(&g.Within),
		"timeout":  block.Duration(&g.Timeout),
		"host":     block.Text(&g.Host),
		"tls":      readTLS(&g.TLS),
	}
}

func (g *SchemaGate) options() block.Options {
	return block.Options{
		"name":    block.Text(&g.Name),
		"consul":  block.Text(&g.Consul),
		"blue":    block.Text(&g.Blue),
		"green":   block.Text(&g.Green),
		"path":    block.Text(&g.Path),
		"timeout": block.Duration(&g.Timeout),
		"host":    block.Text(&g.Host),
		"tls":     readTLS(&g.Direct.TLS),
		"meta": func(d *caddyfile.Dispenser) error {
			if !d.AllArgs(&g.MinKey, &g.MaxKey) {
				return d.Errf("meta: want two keys of the upstreams' metadata: of the first version that it works with, and of the last")
			}
			return nil
		},
		"postgres": func(d *caddyfile.Dispenser) error {
			if d.NextArg() {
				return d.ArgErr()
			}
			g.Postgres = new(PostgresVersion)
			return block.Options{
				"dsn":      block.Text(&g.Postgres.DSN),
				"password": block.Text(&g.Postgres.Password),
				"query":    block.Text(&g.Postgres.Query),
			}.Read(d)
		},
		"http": func(d *caddyfile.Dispenser) error {
			g.HTTP = new(HTTPVersion)
			if err := block.Text(&g.HTTP.URL)(d); err != nil {
				return err
			}
			return block.Options{
				"header": g.HTTP.readHeader,
				"field":  block.Text(&g.HTTP.Field),
				"tls":    readTLS(&g.HTTP.TLS),
			}.Read(d, "header")
		},
	}
}

func (g *LiveGate) options() block.Options {
	return block.Options{
		"name":     block.Text(&g.Name),
		"max_lag":  block.Duration(&g.MaxLag),
		"max_skew": block.Duration(&g.MaxSkew),
		"host":     block.Text(&g.Host),
		"tls":      readTLS(&g.TLS),
		"unaligned": func(d *caddyfile.Dispenser) error {
			var value string
			if err := block.Text(&value)(d); err != nil {
				return err
			}
			if value != "on" && value != "off" {
				return d.Errf("unaligned %q: want on or off", value)
			}
			on := value == "on"
			g.Unaligned = &on
			return nil
		},
	}
}

// readTLS reads the block of tls.
func readTLS(into **CheckTLS) block.Reader {
	return func(d *caddyfile.Dispenser) error {
		t := new(CheckTLS)
		*into = t
		if d.NextArg() {
			return d.ArgErr()
		}
		return block.Options{
			"server_name":          block.Text(&t.ServerName),
			"ca":                   block.Text(&t.CA),
			"insecure_skip_verify": block.On(&t.InsecureSkipVerify),
		}.Read(d)
	}
}
