package block

import (
	"math"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Reader reads the values of an option, whose name d stands on.
type Reader = func(d *caddyfile.Dispenser) error

// Text reads exactly one value.
func Text(into *string) Reader {
	return func(d *caddyfile.Dispenser) error {
		if option := d.Val(); !d.AllArgs(into) {
			return d.Errf("%s: want one value", option)
		}
		return nil
	}
}

// Duration refuses 0, which would mean the default.
func Duration(into *caddy.Duration) Reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := Text(&value)(d); err != nil {
			return err
		}
		return ParseDuration(d, option, value, into)
	}
}

// DurationOrZero is for an option whose default is 0.
func DurationOrZero(into *caddy.Duration) Reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := Text(&value)(d); err != nil {
			return err
		}
		if zero, err := caddy.ParseDuration(value); err == nil && zero == 0 {
			return nil
		}
		return ParseDuration(d, option, value, into)
	}
}

// ParseDuration reads a value that is at hand. It refuses 0.
func ParseDuration(d *caddyfile.Dispenser, option, value string, into *caddy.Duration) error {
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

// OptionalNumber keeps a 0 apart from the default.
func OptionalNumber(into **int) Reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := Text(&value)(d); err != nil {
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

// Number refuses 0, which would mean the default.
func Number(into *int) Reader {
	return func(d *caddyfile.Dispenser) error {
		option, n := d.Val(), new(int)
		if err := OptionalNumber(&n)(d); err != nil {
			return err
		}
		if *into = *n; *into == 0 {
			return d.Errf("%s 0: want more than that, or leave it out for the default", option)
		}
		return nil
	}
}

// Share reads "50%" or "0.5". It refuses 0, which would mean the default.
func Share(into *float64) Reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := Text(&value)(d); err != nil {
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

// On takes no value.
func On(into *bool) Reader {
	return func(d *caddyfile.Dispenser) error {
		if option := d.Val(); d.NextArg() {
			return d.Errf("%s: takes no value", option)
		}
		*into = true
		return nil
	}
}

// Size reads bytes, as 64KiB or 1GiB. It refuses 0, which would mean the default.
func Size(into *int64) Reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := Text(&value)(d); err != nil {
			return err
		}
		return ParseSize(d, option, value, into)
	}
}

// ParseSize reads a value that is at hand. It refuses 0.
func ParseSize(d *caddyfile.Dispenser, option, value string, into *int64) error {
	digits, factor := value, int64(1)
	for unit, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40} {
		if plain, ok := strings.CutSuffix(value, unit); ok {
			digits, factor = plain, n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || n < 0 || n > math.MaxInt64/factor:
		return d.Errf("%s %q: want a size in bytes, or as 64KiB, 10MiB, 1GiB", option, value)
	case n == 0:
		return d.Errf("%s 0: want more than that, or leave it out for the default", option)
	}
	*into = n * factor
	return nil
}
