package origin

import (
	"fmt"
	"net/http"
	"time"
)

// maxHold is how long an origin may hold an answer back: three target durations
// of ten seconds. By then it says 503 itself (RFC 8216bis §6.2.5.2).
const maxHold = 30 * time.Second

// Held is the same object, asked for in a way that has the origin hold its answer
// back until there is something new, as for a reload of a low-latency playlist
// that blocks (RFC 8216bis §6.2.5.2). One that does so for 30 s, or for
// Timeouts.Head if that is longer, is asked no further: the error is a timeout,
// and says nothing against the endpoint, since anybody can ask for what will never
// be. Of such answers an origin has half of Config.MaxConns at one time, so that
// the rest is not kept waiting; what comes on top is a 503. A bucket holds nothing
// back.
func (b Object) Held() Object {
	b.held = true
	return b
}

// hold counts an answer that may be held back, until release.
func (o *Origin) hold(q question) *Error {
	if !q.held {
		return nil
	}
	select {
	case o.holding <- struct{}{}:
		return nil
	default:
		o.totals.failures.Add(1)
		return o.refuse(http.StatusServiceUnavailable, fmt.Sprintf("it holds %d answers back, which is half of max_conns: raise it, if these are playlists that exist", cap(o.holding)))
	}
}

func (o *Origin) release(q question) {
	if q.held {
		<-o.holding
	}
}

// patience is how long an endpoint may take for the head of its answer.
func (o *Origin) patience(q question) time.Duration {
	if q.held {
		return max(o.timeouts.Head, maxHold)
	}
	return o.timeouts.Head
}

func (a *attempt) heldTooLong(wait time.Duration) *Error {
	err := a.error(fmt.Sprintf("it has held the answer back for %v", wait), http.StatusGatewayTimeout)
	err.final = true
	return err
}
