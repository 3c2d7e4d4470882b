package proxy

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
)

// readForwarder reads "forwarder <which>" and its block.
func (s *Service) readForwarder(d *caddyfile.Dispenser) error {
	s.Forwarder = new(Forwarding)
	switch args := d.RemainingArgs(); len(args) {
	case 0: // the block alone
	case 1:
		s.Forwarder.By = args[0]
	default:
		return d.ArgErr()
	}
	return block.Options{
		"max_age": block.Duration(&s.Forwarder.MaxAge),
		"ahead":   block.OptionalNumber(&s.Forwarder.Ahead),
	}.Read(d)
}
