package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// worker is a connection of a closed loop, and what it has seen.
type worker struct {
	*client
	times []time.Duration
	bytes int64
}

// closed has each connection ask for the next as soon as it has been answered.
func (p *plan) closed() (o outcome, err error) {
	clients, err := dialAll(p.Address, p.Connections)
	if err != nil {
		return o, err
	}
	defer hangUp(clients)
	workers := make([]worker, len(clients))
	errs := make([]error, len(clients))
	var all sync.WaitGroup
	began := time.Now()
	for i := range workers {
		workers[i].client = clients[i]
		clients[i].allow(p.For)
		all.Go(func() { errs[i] = workers[i].work(p, began.Add(p.For)) })
	}
	all.Wait()
	o.Took = time.Since(began)
	var times []time.Duration
	for _, w := range workers {
		times = append(times, w.times...)
		o.Bytes += w.bytes
	}
	o.Requests, o.Latency = int64(len(times)), quantilesOf(times)
	return o, errors.Join(errs...)
}

// work asks until the end, and once at least.
func (w *worker) work(p *plan, end time.Time) error {
	request := requestFor(p.Address, smallPath)
	var buffer []byte
	if p.Bulk > 0 {
		request = requestFor(p.Address, fmt.Sprint(bulkPath, p.Bulk))
		buffer = make([]byte, 256<<10)
	}
	for now := time.Now(); ; {
		if _, err := w.Write(request); err != nil {
			return err
		}
		if err := w.answer(p.Bulk, buffer); err != nil {
			return err
		}
		done := time.Now()
		w.times = append(w.times, done.Sub(now))
		if now = done; !now.Before(end) {
			return nil
		}
	}
}

func (w *worker) answer(bulk int64, buffer []byte) error {
	if bulk > 0 {
		w.bytes += bulk
		return w.readBulk(bulk, buffer)
	}
	w.bytes += smallSize
	_, last, err := w.readSmall()
	if err == nil && last {
		err = errors.New("the connection is not kept")
	}
	return err
}
