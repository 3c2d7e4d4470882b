package media

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
)

// unmarshal reads the rest of:
//
//	origin <url...> {
//		s3 <bucket> {
//			region    <region>
//			style     path|host
//			keys      <key-file>
//			sign_with <id>
//		}
//		header       <name> <value>
//		check        <path> {
//			interval <duration>
//			timeout  <duration>
//			rise     <n>
//			fall     <n>
//		}
//		dial_timeout <duration>
//		head_timeout <duration>
//		idle_timeout <duration>
//		max_conns    <n>
//		ca_file      <file>
//		resume       <n>|off
//	}
func (c *Origin) unmarshal(d *caddyfile.Dispenser) error {
	if c.Endpoints = d.RemainingArgs(); len(c.Endpoints) == 0 {
		return d.Err("origin: want URLs as https://origin.example.com")
	}
	return block.Options{
		"s3": func(d *caddyfile.Dispenser) error {
			c.S3 = new(S3)
			return c.S3.unmarshal(d)
		},
		"check": func(d *caddyfile.Dispenser) error {
			c.Check = new(Check)
			return c.Check.unmarshal(d)
		},
		"header": func(d *caddyfile.Dispenser) error {
			var name, value string
			if !d.AllArgs(&name, &value) {
				return d.Err("header: want a name and a value")
			}
			for other := range c.Header {
				if strings.EqualFold(other, name) {
					return d.Errf("header %s is given twice", name)
				}
			}
			if c.Header == nil {
				c.Header = make(map[string]string)
			}
			c.Header[name] = value
			return nil
		},
		"dial_timeout": block.Duration(&c.DialTimeout),
		"head_timeout": block.Duration(&c.HeadTimeout),
		"idle_timeout": block.Duration(&c.IdleTimeout),
		"max_conns":    block.Number(&c.MaxConns),
		"ca_file":      block.Text(&c.CAFile),
		"resume": func(d *caddyfile.Dispenser) error {
			if args := d.RemainingArgs(); len(args) == 1 && args[0] == "off" {
				c.Resume = -1
				return nil
			}
			d.Prev()
			return block.Number(&c.Resume)(d)
		},
	}.Read(d, "header")
}

func (s *S3) unmarshal(d *caddyfile.Dispenser) error {
	if err := block.Text(&s.Bucket)(d); err != nil {
		return err
	}
	return block.Options{
		"region":    block.Text(&s.Region),
		"style":     block.Text(&s.Style),
		"keys":      block.Text(&s.Keys),
		"sign_with": block.Text(&s.SignWith),
	}.Read(d)
}

func (c *Check) unmarshal(d *caddyfile.Dispenser) error {
	if err := block.Text(&c.Path)(d); err != nil {
		return err
	}
	return block.Options{
		"interval": block.Duration(&c.Interval),
		"timeout":  block.Duration(&c.Timeout),
		"rise":     block.Number(&c.Rise),
		"fall":     block.Number(&c.Fall),
	}.Read(d)
}
