package proxy

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
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
	return block.Options{
		"methods": func(d *caddyfile.Dispenser) error {
			if s.Replay.Methods = d.RemainingArgs(); len(s.Replay.Methods) == 0 {
				return d.Errf("methods: want methods in capitals, or all")
			}
			return nil
		},
		"idempotency_key": block.On(&s.Replay.IdempotencyKey),
		"memory":          block.Size(&s.Replay.Memory),
		"disk":            block.Size(&s.Replay.Disk),
	}.Read(d)
}

// unmarshal reads the block of spool.
func (s *Spool) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return block.Options{"memory": block.Size(&s.Memory), "disk": block.Size(&s.Disk), "dir": block.Text(&s.Dir)}.Read(d)
}
