package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// steady asks an edge at a fixed rate, whether answers come or not: an edge that
// is slow gets no rest, as one that is asked in turn would.
type steady struct {
	t    testing.TB
	url  string
	kept *http.Client // connections are used again
	once *http.Client // a connection for each request

	asked, failed atomic.Int64
	unanswered    atomic.Int64 // for want of an edge
	slowest       atomic.Int64 // nanoseconds
	gone          atomic.Int64 // odd while there is no edge

	stop    chan struct{}
	stopped func() // ends the load, once, and waits for all answers
}

// freshEach is that every so many requests one has a connection of its own.
const freshEach = 20

// perSecond is the rate of a steady load. The race detector is slow.
func perSecond() int64 {
	if raceFlag == "-race" {
		return 150
	}
	return 500
}

func startSteady(e *edge) *steady {
	client := func(fresh bool) *http.Client {
		return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: fresh, MaxIdleConnsPerHost: 64}}
	}
	s := &steady{t: e.t, url: "http://" + e.http + "/", kept: client(false), once: client(true), stop: make(chan struct{})}
	var asking sync.WaitGroup
	asking.Go(func() { s.run(&asking) })
	s.stopped = sync.OnceFunc(func() {
		close(s.stop)
		asking.Wait()
		s.kept.CloseIdleConnections()
	})
	e.t.Cleanup(s.stopped)
	return s
}

func (s *steady) run(asking *sync.WaitGroup) {
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		due := int64(time.Since(began)) * perSecond() / int64(time.Second)
		for s.asked.Load() < due {
			client := s.kept
			if s.asked.Add(1)%freshEach == 0 {
				client = s.once
			}
			asking.Go(func() { s.ask(client) })
		}
	}
}

func (s *steady) ask(client *http.Client) {
	gone, began := s.gone.Load(), time.Now()
	err := ask(context.Background(), client, s.url) // all are waited for, also at the test's end
	took := int64(time.Since(began))
	for slowest := s.slowest.Load(); took > slowest && !s.slowest.CompareAndSwap(slowest, took); {
		slowest = s.slowest.Load()
	}
	_, broken := errors.AsType[*url.Error](err)
	switch without := gone%2 == 1 || s.gone.Load() != gone; {
	case err == nil:
	case without && (broken || errors.Is(err, io.ErrUnexpectedEOF)):
		s.unanswered.Add(1)
	case s.failed.Add(1) <= 10:
		s.t.Errorf("a request failed at %s: %v", time.Now().Format(time.StampMilli), err)
	}
}

// without runs f, during which there may be no edge. An answer must be a good
// one all the same.
func (s *steady) without(f func()) {
	s.gone.Add(1)
	f()
	s.gone.Add(1)
}

// String says what has come of it since the last time.
func (s *steady) String() string {
	return fmt.Sprintf("%d requests, %d failed, %d while there was no edge, slowest %s", s.asked.Load(), s.failed.Load(),
		s.unanswered.Load(), time.Duration(s.slowest.Swap(0)).Round(time.Millisecond))
}
