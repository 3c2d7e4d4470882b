package origin

import "time"

// When an endpoint is taken out, and for how long.
const (
	maxFails = 3 // failures in a row
	minOut   = time.Second
	maxOut   = 30 * time.Second
)

// health is what an endpoint's own answers say of it. The zero value is that
// of one that is in. An answer's head lets an endpoint back in, and only a
// whole answer clears its record: one that dies in each body goes out too.
type health struct {
	fails   int       // in a row
	outs    int       // in a row
	until   time.Time // when it is asked again; zero: it is in
	probing bool      // the request that decides is under way
}

func (h *health) in() bool { return h.until.IsZero() }

// admit reports whether to ask the endpoint. probe: the request is the one
// that decides whether it comes back, and must be settled by failed, answered
// or left.
func (h *health) admit(now time.Time) (ok, probe bool) {
	switch {
	case h.in():
		return true, false
	case h.probing || now.Before(h.until):
		return false, false
	}
	h.probing = true
	return true, true
}

// failed notes a failure. Those of an endpoint that is out already say nothing
// new, however many requests were under way when it died.
func (h *health) failed(now time.Time, probe bool) {
	if probe {
		h.probing = false
	}
	if !h.in() && (!probe || now.Before(h.until)) {
		return
	}
	h.fails = min(h.fails+1, maxFails)
	if h.fails < maxFails {
		return
	}
	h.outs++
	pause := maxOut
	if h.outs <= 5 {
		pause = min(minOut<<(h.outs-1), maxOut)
	}
	h.until = now.Add(pause)
}

// answered notes the head of an answer.
func (h *health) answered(probe bool) {
	if probe {
		h.probing, h.until = false, time.Time{}
	}
}

// whole notes an answer that came to its end.
func (h *health) whole() {
	if h.in() {
		h.fails, h.outs = 0, 0
	}
}

// left notes that nothing is known of an attempt, as its client has gone.
func (h *health) left(probe bool) {
	if probe {
		h.probing = false
	}
}
