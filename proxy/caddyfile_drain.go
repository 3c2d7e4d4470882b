package proxy

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// readDeadline reads "drain_deadline <kind> <duration>".
func (s *Service) readDeadline(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.Errf("drain_deadline: want a kind of stream and a duration")
	}
	kind, err := switcher.ParseStreamKind(name)
	if err != nil {
		return d.Errf("drain_deadline: %s", err)
	}
	if s.DrainDeadlines[kind] != 0 {
		return d.Errf("drain_deadline of %s is given twice", kind)
	}
	var deadline caddy.Duration
	if err := block.ParseDuration(d, "drain_deadline", value, &deadline); err != nil {
		return err
	}
	s.DrainDeadlines[kind] = switcher.Duration(deadline)
	return nil
}

// readPace reads "evict 2%" or "evict 50", per second.
func (s *Service) readPace(d *caddyfile.Dispenser) error {
	var value string
	if err := block.Text(&value)(d); err != nil {
		return err
	}
	s.Evict = new(Pace)
	digits, percent := strings.CutSuffix(value, "%")
	if percent {
		share, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(share > 0 && share <= 100) {
			return d.Errf("evict %q: want a share above 0%% up to 100%%, or streams, per second", value)
		}
		s.Evict.Percent = share
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return d.Errf("evict %q: want a share, as 2%%, or streams, as 50, per second", value)
	}
	s.Evict.PerSecond = n
	return nil
}

// readResume reads "resume [off|pool|any_color]" and its block.
func (s *Service) readResume(d *caddyfile.Dispenser) error {
	s.Resume = new(Resume)
	if d.NextArg() {
		s.Resume.From = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return block.Options{
		"attempts":      block.Number(&s.Resume.Attempts),
		"concurrent":    block.Number(&s.Resume.Concurrent),
		"patience":      block.Duration(&s.Resume.Patience),
		"last_modified": block.On(&s.Resume.LastModified),
	}.Read(d)
}
