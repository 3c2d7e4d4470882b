package consul

import (
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// outage is what failed of two queries. The zero value: nothing.
type outage struct {
	down switcher.PerColor[bool] // failed when last looked at
	half time.Time               // since when one of them works again; zero: none does
}

// halfway reports whether one query works again and the other, which failed, has
// not been asked since. Its turn comes within the backoff; until then what was
// told stands, so that one recovery is not told as two.
func (o *outage) halfway(a switcher.PerColor[answer]) bool {
	fails := switcher.PerColor[bool]{Blue: a.Blue.last.err != nil, Green: a.Green.last.err != nil}
	if fails.Blue != fails.Green {
		bad := switcher.Green
		if fails.Blue {
			bad = switcher.Blue
		}
		if o.half.IsZero() && o.down.Of(bad.Other()) {
			o.half = a.At(bad.Other()).good.at
		}
		if !o.half.IsZero() && !a.At(bad).last.at.After(o.half) {
			return true
		}
	}
	*o = outage{down: fails}
	return false
}
