package proxy

import (
	"maps"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The readers of one value, for tables of options.

type reader = func(d *caddyfile.Dispenser) error

func text(into *string) reader {
	return func(d *caddyfile.Dispenser) error {
		if !d.AllArgs(into) {
			return d.ArgErr()
		}
		return nil
	}
}

func duration(into *caddy.Duration) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if !d.AllArgs(&value) {
			return d.ArgErr()
		}
		parsed, err := caddy.ParseDuration(value)
		if err != nil {
			return d.Errf("%s %q: want a duration, as 30s or 10m", option, value)
		}
		*into = caddy.Duration(parsed)
		return nil
	}
}

func number(into *int) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if !d.AllArgs(&value) {
			return d.ArgErr()
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return d.Errf("%s %q: want a whole number", option, value)
		}
		*into = n
		return nil
	}
}

func optionalNumber(into **int) reader {
	return func(d *caddyfile.Dispenser) error {
		*into = new(int)
		return number(*into)(d)
	}
}

// share reads "50%" or "0.5".
func share(into *float64) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if !d.AllArgs(&value) {
			return d.ArgErr()
		}
		scale := 1.0
		digits := value
		if digits[len(digits)-1] == '%' {
			digits, scale = digits[:len(digits)-1], 100
		}
		f, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return d.Errf("%s %q: want a share, as 50%% or 0.5", option, value)
		}
		*into = f / scale
		return nil
	}
}

func on(into *bool) reader {
	return func(d *caddyfile.Dispenser) error {
		if d.NextArg() {
			return d.ArgErr()
		}
		*into = true
		return nil
	}
}

func contains(list []string, name string) bool { return slices.Contains(list, name) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
