package proxy

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The readers of one value, for tables of options.

type reader = func(d *caddyfile.Dispenser) error

// text reads exactly one value.
func text(into *string) reader {
	return func(d *caddyfile.Dispenser) error {
		if option := d.Val(); !d.AllArgs(into) {
			return d.Errf("%s: want one value", option)
		}
		return nil
	}
}

// duration refuses 0, which would mean the default.
func duration(into *caddy.Duration) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := text(&value)(d); err != nil {
			return err
		}
		return parseDuration(d, option, value, into)
	}
}

// durationOrZero is for an option whose default is 0.
func durationOrZero(into *caddy.Duration) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := text(&value)(d); err != nil {
			return err
		}
		if zero, err := caddy.ParseDuration(value); err == nil && zero == 0 {
			return nil
		}
		return parseDuration(d, option, value, into)
	}
}

func parseDuration(d *caddyfile.Dispenser, option, value string, into *caddy.Duration) error {
	parsed, err := caddy.ParseDuration(value)
	switch {
	case err != nil:
		return d.Errf("%s %q: want a duration, as 30s or 10m", option, value)
	case parsed == 0:
		return d.Errf("%s 0: want more than that, or leave it out for the default", option)
	}
	*into = caddy.Duration(parsed)
	return nil
}

// optionalNumber keeps a 0 apart from the default.
func optionalNumber(into **int) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := text(&value)(d); err != nil {
			return err
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return d.Errf("%s %q: want a whole number", option, value)
		}
		*into = &n
		return nil
	}
}

// number refuses 0, which would mean the default.
func number(into *int) reader {
	return func(d *caddyfile.Dispenser) error {
		option, n := d.Val(), new(int)
		if err := optionalNumber(&n)(d); err != nil {
			return err
		}
		if *into = *n; *into == 0 {
			return d.Errf("%s 0: want more than that, or leave it out for the default", option)
		}
		return nil
	}
}

// share reads "50%" or "0.5". It refuses 0, which would mean the default.
func share(into *float64) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := text(&value)(d); err != nil {
			return err
		}
		scale := 1.0
		digits, percent := strings.CutSuffix(value, "%")
		if percent {
			scale = 100
		}
		f, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(f > 0 && f <= scale) {
			return d.Errf("%s %q: want a share above 0, as 50%% or 0.5", option, value)
		}
		*into = f / scale
		return nil
	}
}

func on(into *bool) reader {
	return func(d *caddyfile.Dispenser) error {
		if option := d.Val(); d.NextArg() {
			return d.Errf("%s: takes no value", option)
		}
		*into = true
		return nil
	}
}

func contains(list []string, name string) bool { return slices.Contains(list, name) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
