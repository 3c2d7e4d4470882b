package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// unmarshal reads the block of a service:
//
//	service <name> {
//		active blue|green
//		blue   <address>… [{
//			<address> [<weight>] [<key>=<value>…]
//		}]
//		green  …
//		pools  <source> …
//		health [blue|green] http|tcp|grpc …
//		balance least_inflight|round_robin|hash
//		sticky client_ip|none|cookie|header|query [<name>] [<max age>]
//		pin { query|cookie <name>; path <match>; cmcd; idle|deadline <duration>; max <n> }
//		preview { header|cookie <name> <secret>; host <name>… }
//		ramp <steps>
//		min_healthy <share>
//		soak|gate_timeout|drain_timeout|rollback_window <duration>
//		gate http|warmup|schema|live …
//		compare off
//		compare {
//			errors|connect|starvation|latency …
//			min_samples|clients <n>
//			window <short> [<long>]
//			risk <share>
//		}
//		on_failure rollback|freeze|forward_only
//		drain_deadline <kind> <duration>
//		evict <share>%|<streams> # per second
//		close_code <code>
//		resume [off|pool|any_color] {
//			attempts|concurrent <n>
//			patience <duration>
//			last_modified
//		}
//		replay [off] {
//			methods <method>…|all
//			idempotency_key
//			memory|disk <size>
//		}
//		truncate_clients
//		retries|retry_percent|retries_per_second <n>
//		eject <connect errors> [<duration>]
//		color_header <name>
//		allow_ambiguous_paths
//		transport <module> …
//		forwarder auto|fast|transport {
//			max_age <duration>
//			ahead <connections>
//		}
//	}
func (s *Service) unmarshal(d *caddyfile.Dispenser) error {
	s.Retry = new(Retry)
	var static *StaticPools
	pool := func(into func() *[]switcher.Upstream) block.Reader {
		return func(d *caddyfile.Dispenser) error {
			if static == nil {
				static = new(StaticPools)
			}
			return readPool(d, into())
		}
	}
	err := block.Options{
		"active":                block.Text(&s.Active),
		"blue":                  pool(func() *[]switcher.Upstream { return &static.Blue }),
		"green":                 pool(func() *[]switcher.Upstream { return &static.Green }),
		"pools":                 module("greenroom.pools", "source", &s.PoolsRaw),
		"transport":             module("http.reverse_proxy.transport", "protocol", &s.TransportRaw),
		"health":                s.readCheck,
		"balance":               block.Text(&s.Balance),
		"sticky":                s.readSticky,
		"pin":                   s.readPin,
		"preview":               s.readPreview,
		"ramp":                  block.Text(&s.Ramp),
		"min_healthy":           block.Share(&s.MinHealthy),
		"soak":                  block.DurationOrZero(&s.Soak),
		"gate":                  s.readGate,
		"gate_timeout":          block.Duration(&s.GateTimeout),
		"compare":               s.readCompare,
		"on_failure":            block.Text((*string)(&s.OnFailure)),
		"rollback_window":       block.Duration(&s.RollbackWindow),
		"drain_timeout":         block.Duration(&s.DrainTimeout),
		"drain_deadline":        s.readDeadline,
		"evict":                 s.readPace,
		"resume":                s.readResume,
		"replay":                s.readReplay,
		"close_code":            block.Number(&s.CloseCode),
		"truncate_clients":      block.On(&s.TruncateClients),
		"retries":               block.OptionalNumber(&s.Retry.Attempts),
		"retry_percent":         block.OptionalNumber(&s.Retry.BudgetPercent),
		"retries_per_second":    block.OptionalNumber(&s.Retry.BudgetMin),
		"eject":                 s.readEject,
		"color_header":          block.Text(&s.ColorHeader),
		"allow_ambiguous_paths": block.On(&s.AllowAmbiguousPaths),
		"forwarder":             s.readForwarder,
	}.Read(d, "health", "drain_deadline", "gate")
	if err != nil {
		return err
	}
	if *s.Retry == (Retry{}) {
		s.Retry = nil
	}
	if static == nil {
		return nil
	}
	if s.PoolsRaw != nil {
		return d.Err("the pools come from the config (blue, green) or from a source (pools), not from both")
	}
	s.PoolsRaw = caddyconfig.JSONModuleObject(static, "source", "static", nil)
	return nil
}

// module reads "<option> <name> …" into a module of the namespace.
func module(namespace, inlineKey string, into *json.RawMessage) block.Reader {
	return func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		name := d.Val()
		unmarshaler, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
		if err != nil {
			return err
		}
		*into = caddyconfig.JSONModuleObject(unmarshaler, inlineKey, name, nil)
		return nil
	}
}

// readPool reads the upstreams of one color, on its line or in its block.
func readPool(d *caddyfile.Dispenser, into *[]switcher.Upstream) error {
	option := d.Val()
	for _, address := range d.RemainingArgs() {
		*into = append(*into, switcher.Upstream{Address: address})
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		u := switcher.Upstream{Address: d.Val()}
		for _, arg := range d.RemainingArgs() {
			if err := readUpstreamArg(&u, arg); err != nil {
				return d.WrapErr(err)
			}
		}
		*into = append(*into, u)
	}
	if len(*into) == 0 {
		return d.Errf("%s: want addresses, on its line or in a block", option)
	}
	for _, u := range *into {
		if err := u.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func readUpstreamArg(u *switcher.Upstream, arg string) error {
	if key, value, ok := strings.Cut(arg, "="); ok {
		if u.Meta == nil {
			u.Meta = make(map[string]string)
		}
		u.Meta[key] = value
		return nil
	}
	weight, err := strconv.Atoi(arg)
	if err != nil || weight < 1 || weight > switcher.MaxWeight {
		return fmt.Errorf("upstream %q: %q is neither a weight (1 to %d) nor key=value", u.Address, arg, switcher.MaxWeight)
	}
	u.Weight = weight
	return nil
}

// readCheck reads "health [blue|green] http [<path>]", "… tcp" or
// "… grpc [<service>]", each with a block of options.
func (s *Service) readCheck(d *caddyfile.Dispenser) error {
	c := new(Check)
	args := d.RemainingArgs()
	if len(args) > 0 && (args[0] == "blue" || args[0] == "green") {
		c.Color, args = args[0], args[1:]
	}
	if len(args) == 0 || len(args) > 2 {
		return d.Errf("health: want http, tcp or grpc, and at most one argument for it")
	}
	c.Type = args[0]
	if len(args) == 2 {
		switch c.Type {
		case "http":
			c.Path = args[1]
		case "grpc":
			c.Service = args[1]
		default:
			return d.Errf("a %s check takes no argument %q", c.Type, args[1])
		}
	}
	s.Checks = append(s.Checks, c)
	return c.options().Read(d, "header")
}

func (c *Check) options() block.Options {
	return block.Options{
		"name":        block.Text(&c.Name),
		"interval":    block.Duration(&c.Interval),
		"timeout":     block.Duration(&c.Timeout),
		"jitter":      block.Share(&c.Jitter),
		"rise":        block.Number(&c.Rise),
		"fall":        block.Number(&c.Fall),
		"hold_min":    block.Duration(&c.HoldMin),
		"hold_max":    block.Duration(&c.HoldMax),
		"flap_window": block.Duration(&c.FlapWindow),
		"method":      block.Text(&c.Method),
		"host":        block.Text(&c.Host),
		"status":      block.Text(&c.Status),
		"body":        block.Text(&c.Body),
		"header": func(d *caddyfile.Dispenser) error {
			var name, value string
			if !d.AllArgs(&name, &value) {
				return d.Errf("header: want a name and a value")
			}
			if c.Headers == nil {
				c.Headers = make(http.Header)
			}
			c.Headers.Add(name, value)
			return nil
		},
		"tls": readTLS(&c.TLS),
	}
}

// readSticky reads "sticky <by> [<name> [<max age>]]".
func (s *Service) readSticky(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 3 {
		return d.Errf("sticky: want client_ip, cookie, header, query or none, and at most a name and a max age for it")
	}
	s.Sticky = &Sticky{By: args[0]}
	if len(args) > 1 {
		s.Sticky.Name = args[1]
	}
	if len(args) > 2 {
		return block.ParseDuration(d, "sticky max age", args[2], &s.Sticky.MaxAge)
	}
	return nil
}

// readPreview reads the block of preview.
func (s *Service) readPreview(d *caddyfile.Dispenser) error {
	p := new(Preview)
	s.Preview = p
	carrier := func(name *string) block.Reader {
		return func(d *caddyfile.Dispenser) error {
			var secret string
			if option := d.Val(); !d.AllArgs(name, &secret) {
				return d.Errf("%s: want a name and a secret", option)
			}
			if p.Secret != "" && p.Secret != secret {
				return d.Err("header and cookie carry the same secret")
			}
			p.Secret = secret
			return nil
		}
	}
	return block.Options{
		"header": carrier(&p.Header),
		"cookie": carrier(&p.Cookie),
		"host": func(d *caddyfile.Dispenser) error {
			if p.Hosts = append(p.Hosts, d.RemainingArgs()...); len(p.Hosts) == 0 {
				return d.Errf("host: want hostnames")
			}
			return nil
		},
	}.Read(d)
}

// readEject reads "eject <connect errors> [<duration>]".
func (s *Service) readEject(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("eject: want a number of connect errors, and at most for how long")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return d.Errf("eject %q: want a number of connect errors", args[0])
	}
	s.Retry.EjectAfter = &n
	if len(args) == 2 {
		return block.ParseDuration(d, "eject duration", args[1], &s.Retry.EjectFor)
	}
	return nil
}
