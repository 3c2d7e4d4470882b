package main

import (
	"encoding/json"
	"errors"
	"io"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// The colors, as they are in the bodies of answers.
const (
	blue  = 'b'
	green = 'g'
)

// flip is a command that a color is to serve, by the clock of all processes.
type flip struct {
	To           byte  `json:"to"`
	Commanded    int64 `json:"commanded"` // Unix, nanoseconds
	Acknowledged int64 `json:"acknowledged"`
}

// verdict is how clients fared with flips.
type verdict struct {
	Flips int `json:"flips"`
	Green int `json:"green"` // of the answers
	// Failed requests have no answer, or not a right one. Unanswered are not among
	// them: their connection had been in use, and was closed instead, so that a client
	// sends them again.
	Failed     int    `json:"failed"`
	Unanswered int    `json:"unanswered"`
	FirstError string `json:"first_error,omitempty"`
	// Stale requests were sent when a flip had been acknowledged, and answered by
	// the other color before the next was commanded.
	Stale int `json:"stale"`
	// StaleFor is, for each flip, how long after it a stale request was sent.
	StaleFor quantiles `json:"stale_for_ns"`
	// Of the streams, Cut ended before the load did.
	Streams int `json:"streams"`
	Cut     int `json:"cut"`
}

// judge compares answers with the flips, which alternate and are in order.
func judge(answers []answer, flips []flip) (v verdict) {
	v.Flips = len(flips)
	last := make([]time.Duration, len(flips))
	for _, a := range answers {
		if a.color == green {
			v.Green++
		}
		i := sort.Search(len(flips), func(i int) bool { return flips[i].Acknowledged >= a.sent }) - 1
		if i < 0 || a.color == flips[i].To || i+1 < len(flips) && a.done >= flips[i+1].Commanded {
			continue
		}
		v.Stale++
		last[i] = max(last[i], time.Duration(a.sent-flips[i].Acknowledged))
	}
	v.StaleFor = quantilesOf(last)
	return v
}

// errUnready: the load has said why already.
var errUnready = errors.New("not ready")

// flips sends and holds streams open until it is told what flips there have been.
func (p *plan) flips(ask *json.Decoder, say *json.Encoder) (o outcome, err error) {
	pace, lanes, err := newPacing(p)
	var held streams
	if err == nil {
		err = held.open(p)
	}
	var r ready
	if err != nil {
		r.Error = err.Error()
	}
	if err := errors.Join(say.Encode(r), err); err != nil {
		return o, errUnready
	}
	told := make(chan struct{})
	var all []flip
	var unheard error
	go func() { unheard = ask.Decode(&all); close(told) }()
	o = pace.run(lanes, told)
	<-told
	cut := held.close()
	if unheard != nil {
		return o, unheard
	}
	var answers []answer
	for _, l := range lanes {
		answers = append(answers, l.answers...)
	}
	v := judge(answers, all)
	v.Streams, v.Cut = p.Streams, cut
	for _, l := range lanes {
		v.Failed, v.Unanswered = v.Failed+l.failed, v.Unanswered+l.unanswered
		if l.first != nil {
			v.FirstError = l.first.Error()
		}
	}
	o.Verdict = &v
	return o, nil
}

// streams are server-sent events that are read to their end.
type streams struct {
	clients []*client
	reading sync.WaitGroup
	over    atomic.Bool
	cut     atomic.Int64
}

func (s *streams) open(p *plan) (err error) {
	if s.clients, err = dialAll(p.Address, p.Streams); err != nil {
		return err
	}
	for _, c := range s.clients {
		c.allow(p.For)
		if _, err = c.Write(requestFor(p.Address, eventsPath)); err == nil {
			_, err = c.readHead(-1)
		}
		if err != nil {
			s.close()
			return err
		}
		s.reading.Go(func() {
			_, _ = io.Copy(io.Discard, c.in)
			if !s.over.Load() {
				s.cut.Add(1)
			}
		})
	}
	return nil
}

// close says how many had ended before.
func (s *streams) close() (cut int) {
	s.over.Store(true)
	cut = int(s.cut.Load())
	hangUp(s.clients)
	s.reading.Wait()
	return cut
}

var roles = map[string]rig.Role{"backends": serveBackends, "load": serveLoad}
