package proxy

import (
	"errors"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// elder is a process that has handed over to this one and still has streams: its
// work counts as this one's, and what this one decides holds for it too.
type elder struct {
	pid    int
	report atomic.Pointer[elderReport] // never nil
	began  atomic.Bool                 // it has handed over, and answers

	// turn holds one value, for whoever makes a call; none until it began.
	turn chan struct{}
	conn *handover.Conn // of whoever has the turn, as owed
	owed int            // answers to calls that nobody waits for any more

	due sync.Mutex
	// drains whose deadlines it is to look at. Guarded by due.
	drains map[post]switcher.Drain
	// moved is what it is still to be told; unsure are the services of which it
	// is not known that it has followed. Guarded by due.
	moved  map[string]switcher.Followed
	unsure map[string]bool
}

// newElder is one that is about to hand over: it counts, and is not called before
// begin.
func newElder(pid int, conn *handover.Conn, first *elderReport) *elder {
	e := &elder{
		pid: pid, conn: conn, turn: make(chan struct{}, 1),
		drains: make(map[post]switcher.Drain), moved: make(map[string]switcher.Followed), unsure: make(map[string]bool),
	}
	e.report.Store(first)
	return e
}

// elderCall is what an elder is asked or told. The zero value asks for no more
// than the report that every answer has.
type elderCall struct {
	Follow  []switcher.Followed `json:"follow,omitempty"`
	Drains  []elderDrain        `json:"drains,omitempty"`
	Streams *elderQuery         `json:"streams,omitempty"`
	Evict   *elderEvict         `json:"evict,omitempty"`
	// Leave is how long it may still go on; 0: as it likes.
	Leave time.Duration `json:"leave,omitempty"`
}

type elderDrain struct {
	Service string         `json:"service"`
	Drain   switcher.Drain `json:"drain"`
}

type elderQuery struct {
	Service string               `json:"service"`
	Query   switcher.StreamQuery `json:"query"`
}

type elderEvict struct {
	Service string                `json:"service"`
	Color   switcher.Color        `json:"color"`
	Kinds   []switcher.StreamKind `json:"kinds,omitempty"`
	IDs     []string              `json:"ids,omitempty"`
}

// elderReport is an elder's answer.
type elderReport struct {
	// Listening: it may still accept connections that had come to it.
	Listening bool                                     `json:"listening,omitempty"`
	Under     map[string]switcher.PerColor[elderColor] `json:"under"`
	Page      *switcher.StreamPage                     `json:"page,omitempty"`
	Evicted   int                                      `json:"evicted,omitempty"`
	Error     string                                   `json:"error,omitempty"`
}

// elderColor is what an elder has of one color of a service.
type elderColor struct {
	Inflight int64                  `json:"inflight"`
	Streams  []switcher.StreamCount `json:"streams,omitempty"`
	Evicted  int                    `json:"evicted,omitempty"` // since the drain began
}

func (r *elderReport) of(service string, c switcher.Color) elderColor {
	under := r.Under[service]
	return under.Of(c)
}

const (
	// elderEvery is how often an elder is asked what it has.
	elderEvery = 200 * time.Millisecond
	// followPatience is how long a command waits for an elder to follow.
	followPatience = 250 * time.Millisecond
	// elderPatience is how long anything else may take it.
	elderPatience = 5 * time.Second
)

// errSlow is of an elder that has not answered in time; it may yet.
var errSlow = errors.New("the process before does not answer in time")

// begin has the elder answer from now on; it is told first what has been moved
// since it handed over.
func (e *elder) begin() error {
	e.began.Store(true)
	defer func() { e.turn <- struct{}{} }()
	_, err := e.ask(elderCall{}, time.Now().Add(elderPatience))
	return err
}

// call asks the elder, and tells it what it is still to follow. An answer is also
// its latest report. An error without an answer that is not errSlow is the end of
// the elder.
func (e *elder) call(c elderCall, patience time.Duration) (*elderReport, error) {
	until := time.Now().Add(patience)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-e.turn:
	case <-timer.C:
		return nil, errSlow
	}
	defer func() { e.turn <- struct{}{} }()
	return e.ask(c, until)
}

// ask is call of whoever has the turn.
func (e *elder) ask(c elderCall, until time.Time) (*elderReport, error) {
	for ; e.owed > 0; e.owed-- {
		if err := e.hear(new(elderReport), until); err != nil {
			return nil, err
		}
	}
	e.due.Lock()
	for name, f := range e.moved {
		c.Follow = append(c.Follow, f)
		delete(e.moved, name)
	}
	e.due.Unlock()
	if err := e.conn.Send(c, elderPatience); err != nil {
		return nil, errors.Join(err, e.conn.Close()) // it has heard half of it
	}
	e.owed++
	r := new(elderReport)
	if err := e.hear(r, until); err != nil {
		return nil, err
	}
	e.owed--
	e.report.Store(r)
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	e.due.Lock()
	defer e.due.Unlock()
	maps.DeleteFunc(e.unsure, func(name string, _ bool) bool { _, more := e.moved[name]; return !more })
	return r, nil
}

func (e *elder) hear(r *elderReport, until time.Time) error {
	err := e.conn.Receive(r, max(time.Until(until), time.Millisecond))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case err != nil:
		return errors.Join(err, e.conn.Close())
	}
	return nil
}

// moves notes what the elder is to follow. A color that has traffic again, or whose
// drain is over, has no deadlines any more.
func (e *elder) moves(moved []switcher.Followed) {
	e.due.Lock()
	defer e.due.Unlock()
	for _, f := range moved {
		e.moved[f.Service], e.unsure[f.Service] = f, true
		for _, c := range switcher.Colors {
			if f.Phase != switcher.Draining || f.Split.Weight(c) > 0 {
				delete(e.drains, post{f.Service, c})
			}
		}
	}
}

// inflight is what the elder has of a color. One of which it is not known that it
// has followed may have something more.
func (e *elder) inflight(service string, c switcher.Color) int64 {
	e.due.Lock()
	defer e.due.Unlock()
	n := e.report.Load().of(service, c).Inflight
	if e.unsure[service] {
		n++
	}
	return n
}
