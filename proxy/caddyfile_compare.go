package proxy

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
)

// readCompare reads what the colors of a ramp are compared by.
//
//	compare off
//	compare {
//		errors|connect|starvation [off|<times> [<share>]]
//		latency [off|p<percent> [<times> [<duration>]]]
//		min_samples <n>
//		clients <n>
//		window <short> [<long>]
//		risk <share>
//	}
func (s *Service) readCompare(d *caddyfile.Dispenser) error {
	s.Compare = new(Compare)
	c := s.Compare
	switch args := d.RemainingArgs(); {
	case len(args) == 1 && args[0] == "off":
		c.Off = true
		return block.None(d)
	case len(args) > 0:
		return d.Errf("compare %q: want off, or nothing and a block", strings.Join(args, " "))
	}
	return block.Options{
		"errors":      readShare(&c.Errors),
		"connect":     readShare(&c.Connect),
		"starvation":  readShare(&c.Starvation),
		"latency":     c.readLatency,
		"min_samples": block.Number(&c.MinSamples),
		"clients":     block.Number(&c.Clients),
		"risk":        block.Share(&c.Risk),
		"window": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) < 1 || len(args) > 2 {
				return d.Errf("window: want a short one and a long one, as 1m 5m")
			}
			if err := block.ParseDuration(d, "window", args[0], &c.Short); err != nil || len(args) == 1 {
				return err
			}
			return block.ParseDuration(d, "window", args[1], &c.Long)
		},
	}.Read(d)
}

// readShare reads "off", or how many times as much and how much more is worse.
func readShare(into **CompareShare) block.Reader {
	return func(d *caddyfile.Dispenser) error {
		option, args := d.Val(), d.RemainingArgs()
		s := new(CompareShare)
		*into = s
		switch {
		case len(args) == 0:
			return nil
		case len(args) == 1 && args[0] == "off":
			s.Off = true
			return nil
		case len(args) > 2:
			return d.Errf("%s: want off, or how many times as much and how much more is worse, as 2 0.5%%", option)
		}
		if err := readTimes(d, option, args[0], &s.Ratio); err != nil || len(args) == 1 {
			return err
		}
		digits, percent := strings.CutSuffix(args[1], "%")
		points, err := strconv.ParseFloat(digits, 64)
		if percent {
			points /= 100
		}
		if err != nil || !(points > 0 && points <= 1) {
			return d.Errf("%s %q: want a share above 0, as 0.5%% or 0.005", option, args[1])
		}
		s.Points = points
		return nil
	}
}

func (c *Compare) readLatency(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	l := new(CompareLatency)
	c.Latency = l
	switch {
	case len(args) == 0:
		return nil
	case len(args) == 1 && args[0] == "off":
		l.Off = true
		return nil
	case len(args) > 3:
		return d.Errf("latency: want off, or a quantile, how many times as long and how much more is worse, as p95 2 50ms")
	}
	digits, ok := strings.CutPrefix(args[0], "p")
	percent, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(percent > 0 && percent < 100) {
		return d.Errf("latency %q: want a quantile, as p95 or p99", args[0])
	}
	l.Quantile = percent / 100
	if len(args) == 1 {
		return nil
	}
	if err := readTimes(d, "latency", args[1], &l.Ratio); err != nil || len(args) == 2 {
		return err
	}
	return block.ParseDuration(d, "latency", args[2], &l.By)
}

// readTimes reads how many times as much is worse.
func readTimes(d *caddyfile.Dispenser, option, value string, into *float64) error {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f > 0 && f <= 1e6) { // what is out of range, but not by far, Validate names
		return d.Errf("%s %q: want off, or how many times as much is worse, as 2", option, value)
	}
	*into = f
	return nil
}
