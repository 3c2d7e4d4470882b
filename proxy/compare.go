package proxy

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// Compare says how much worse than the other color the target of a ramp may do
// while both serve; what becomes of one that does worse, on_failure says. The new
// color must be worse in both windows, and the odds against chance must be those
// of risk, by a test that may be looked at as often as one likes. Requests for a
// preview do not count. Too few samples are no verdict. A flip without a ramp
// compares nothing.
type Compare struct {
	// Compare nothing. Default: false.
	Off bool `json:"off,omitempty"`

	// The share of requests that are answered with 500 and above, by the upstream
	// or because none answered, or whose answer breaks off. 501 and 505 do not
	// count: clients can choose them.
	Errors *CompareShare `json:"errors,omitempty"`

	// The share of attempts that find no connection.
	Connect *CompareShare `json:"connect,omitempty"`

	// The share of players' sessions that run out of data, as they say by CMCD
	// with a session id, in requests that go through the pools. Anybody can say
	// so. Default: not compared.
	Starvation *CompareShare `json:"starvation,omitempty"`

	// The time until the head of an answer below 500 (or of 501 or 505) is relayed,
	// or until the client leaves that waits for it; of requests without a body.
	// With pin only if it is named here.
	Latency *CompareLatency `json:"latency,omitempty"`

	// The least samples of each color in the long window, 20 to 1000000; in the
	// short one as many in proportion. Default: 100.
	MinSamples int `json:"min_samples,omitempty"`

	// How many clients, told apart by a hash of their address, must have had errors
	// or slow answers of the new color in the long window, 1 to 16, so that one that
	// fails with all it sends undoes no ramp. Where the edge sees few addresses, as
	// behind a load balancer that is not in trusted_proxies: 1. Default: 3.
	Clients int `json:"clients,omitempty"`

	// The short window, 10s to 1h. Default: 1m.
	Short caddy.Duration `json:"short,omitempty"`

	// The long window, from the short one up to 24h. Default: 5m.
	Long caddy.Duration `json:"long,omitempty"`

	// The chance, at most, that a ramp to a color that is no worse is called worse,
	// up to 0.05. Default: 0.001.
	Risk float64 `json:"risk,omitempty"`
}

// CompareShare limits a share.
type CompareShare struct {
	// Do not compare it. Default: false.
	Off bool `json:"off,omitempty"`

	// How many times the other color's share is worse, 1.25 to 1000. Default: 2.
	Ratio float64 `json:"ratio,omitempty"`

	// By how much it must be more besides, in parts of one, above 0 to 1.
	// Default: 0.005.
	Points float64 `json:"points,omitempty"`
}

// CompareLatency limits a quantile of the time to an answer.
type CompareLatency struct {
	// Do not compare it. Default: false.
	Off bool `json:"off,omitempty"`

	// Which quantile, 0.5 to 0.99. Default: 0.95.
	Quantile float64 `json:"quantile,omitempty"`

	// How many times the other color's quantile is worse, 1.25 to 1000. Default: 2.
	Ratio float64 `json:"ratio,omitempty"`

	// By how much it must be more besides, 1ms to 1m. Default: 50ms.
	By caddy.Duration `json:"by,omitempty"`
}

// limits returns what the switcher goes by; nil: nothing is compared.
func (c *Compare) limits(pins bool) (*compare.Limits, error) {
	if c == nil {
		c = new(Compare)
	}
	if c.Off {
		return nil, nil
	}
	l := &compare.Limits{
		Errors: c.Errors.limit(), Connect: c.Connect.limit(), Starvation: c.Starvation.limit(),
		MinSamples: c.MinSamples, Clients: c.Clients, Short: time.Duration(c.Short), Long: time.Duration(c.Long), Risk: c.Risk,
	}
	if c.Starvation == nil {
		l.Starvation.Off = true
	}
	if s := c.Latency; s == nil {
		l.Latency.Off = pins
	} else {
		l.Latency = compare.Slowness{Off: s.Off, Quantile: s.Quantile, Ratio: s.Ratio, By: time.Duration(s.By)}
	}
	if err := l.Validate(); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	if len(l.Compared()) == 0 {
		return nil, nil
	}
	return l, nil
}

func (s *CompareShare) limit() compare.Share {
	if s == nil {
		return compare.Share{}
	}
	return compare.Share{Off: s.Off, Ratio: s.Ratio, Points: s.Points}
}
