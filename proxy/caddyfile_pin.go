package proxy

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
)

// readPin reads the block of pin:
//
//	pin {
//		query|cookie <name>    # the places, in the order in which they are tried
//		path <prefix>|<regular expression with one group>
//		cmcd
//		idle|deadline <duration>
//		max <sessions>
//	}
func (s *Service) readPin(d *caddyfile.Dispenser) error {
	p := new(Pin)
	s.Pin = p
	if d.NextArg() {
		return d.ArgErr()
	}
	key := func(value func(*PinKey) *string) block.Reader {
		return func(d *caddyfile.Dispenser) error {
			k := &PinKey{By: d.Val()}
			p.Keys = append(p.Keys, k)
			return block.Text(value(k))(d)
		}
	}
	name := key(func(k *PinKey) *string { return &k.Name })
	return block.Options{
		"query":    name,
		"cookie":   name,
		"path":     key(func(k *PinKey) *string { return &k.Match }),
		"cmcd":     p.readCMCD,
		"idle":     block.Duration(&p.Idle),
		"deadline": block.Duration(&p.Deadline),
		"max":      block.Number(&p.Max),
	}.Read(d, "query", "cookie", "path")
}

func (p *Pin) readCMCD(d *caddyfile.Dispenser) error {
	p.Keys = append(p.Keys, &PinKey{By: "cmcd"})
	return block.On(new(bool))(d)
}
