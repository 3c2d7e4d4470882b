package proxy

import (
	"math"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// readReplay reads "replay [off]" and its block.
func (s *Service) readReplay(d *caddyfile.Dispenser) error {
	s.Replay = new(Replay)
	switch args := d.RemainingArgs(); {
	case len(args) > 1:
		return d.ArgErr()
	case len(args) == 1 && args[0] != "off":
		return d.Errf("replay %q: want off, or a block of options", args[0])
	case len(args) == 1:
		s.Replay.Off = true
	}
	return options{
		"methods": func(d *caddyfile.Dispenser) error {
			if s.Replay.Methods = d.RemainingArgs(); len(s.Replay.Methods) == 0 {
				return d.Errf("methods: want methods in capitals, or all")
			}
			return nil
		},
		"idempotency_key": on(&s.Replay.IdempotencyKey),
		"memory":          size(&s.Replay.Memory),
		"disk":            size(&s.Replay.Disk),
	}.read(d)
}

// unmarshal reads the block of spool.
func (s *Spool) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return options{"memory": size(&s.Memory), "disk": size(&s.Disk), "dir": text(&s.Dir)}.read(d)
}

// size reads bytes, as 64KiB or 1GiB. It refuses 0, which would mean the default.
func size(into *int64) reader {
	return func(d *caddyfile.Dispenser) error {
		option, value := d.Val(), ""
		if err := text(&value)(d); err != nil {
			return err
		}
		digits, factor := value, int64(1)
		for unit, n := range map[string]int64{"KiB": kib, "MiB": mib, "GiB": gib, "TiB": tib} {
			if number, ok := strings.CutSuffix(value, unit); ok {
				digits, factor = number, n
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
}
