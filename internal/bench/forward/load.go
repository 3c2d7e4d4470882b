package main

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// plan is what the load does.
type plan struct {
	Address     string `json:"address"`
	Connections int    `json:"connections"`
	// For is for how long.
	For time.Duration `json:"for"`
	// Rate is how many small requests are sent per second, whatever the answers
	// take. 0: each connection sends the next one when it has been answered.
	Rate int `json:"rate,omitempty"`
	// Bulk is the size of the bodies that are asked for. 0: small ones.
	Bulk int64 `json:"bulk,omitempty"`
	// Flips: there is no end, and Streams are held open, until it is told what
	// flips there have been.
	Flips   bool `json:"flips,omitempty"`
	Streams int  `json:"streams,omitempty"`
}

// outcome is what came of a plan.
type outcome struct {
	Requests int64         `json:"requests"`
	Bytes    int64         `json:"bytes"` // of bodies
	Took     time.Duration `json:"took_ns"`
	Latency  quantiles     `json:"latency_ns"`
	// Delay is how late requests were sent because the load itself, and no answer,
	// was late. It is in Latency too.
	Delay quantiles `json:"delay_ns,omitzero"`
	// Verdict is of flips only; in all else a request that fails is the end.
	Verdict *verdict `json:"flips,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// quantiles of a time, in nanoseconds.
type quantiles struct {
	P50  time.Duration `json:"p50"`
	P99  time.Duration `json:"p99"`
	P999 time.Duration `json:"p999"`
	Max  time.Duration `json:"max"`
}

// quantilesOf sorts times.
func quantilesOf(times []time.Duration) (q quantiles) {
	if len(times) == 0 {
		return q
	}
	slices.Sort(times)
	at := func(share float64) time.Duration { return times[int(share*float64(len(times)-1)+0.5)] }
	return quantiles{at(0.5), at(0.99), at(0.999), times[len(times)-1]}
}

// ready is what the load says before flips begin.
type ready struct {
	Error string `json:"error,omitempty"`
}

// serveLoad is the load's process: for each plan that it reads it tells what
// came of it.
func serveLoad(in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	return rig.Each(in, func(p plan, more *json.Decoder) error {
		var o outcome
		var err error
		switch {
		case p.Flips:
			if o, err = p.flips(more, say); err == errUnready {
				return nil
			}
		case p.Rate > 0:
			o, err = p.open()
		default:
			o, err = p.closed()
		}
		if err != nil {
			o.Error = err.Error()
		}
		return say.Encode(o)
	})
}
