package proxy

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// elders are those that are left, the latest first.
type elders struct {
	mu   sync.Mutex
	list []*elder // guarded by mu; replaced, not edited
}

func (es *elders) all() []*elder {
	es.mu.Lock()
	defer es.mu.Unlock()
	return es.list
}

func (es *elders) add(e *elder) {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.list = append([]*elder{e}, es.list...)
}

func (es *elders) drop(e *elder) {
	_ = e.conn.Close()
	es.mu.Lock()
	defer es.mu.Unlock()
	es.list = slices.DeleteFunc(slices.Clone(es.list), func(other *elder) bool { return other == e })
}

// follow watches over an elder until it has ended.
func (es *elders) follow(e *elder) {
	defer es.drop(e)
	for {
		e.due.Lock()
		var c elderCall
		for at, d := range e.drains {
			c.Drains = append(c.Drains, elderDrain{at.service, d})
		}
		e.due.Unlock()
		if r, err := e.call(c, elderPatience); r == nil && !errors.Is(err, errSlow) {
			return
		}
		time.Sleep(elderEvery)
	}
}

// tell has all follow what has been moved. One that is slow is not waited for: it
// is told as soon as it listens.
func (es *elders) tell(moved []switcher.Followed) (failed error) {
	for _, e := range es.all() {
		e.moves(moved)
		if !e.began.Load() {
			continue // begin tells it
		}
		if _, err := e.call(elderCall{}, followPatience); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (es *elders) inflight(service string, c switcher.Color) (n int64) {
	for _, e := range es.all() {
		n += e.inflight(service, c)
	}
	return n
}

// drain has all end what is past its deadline. It does not wait for them: ended
// is what they had said last.
func (es *elders) drain(service string, d switcher.Drain) (ended int) {
	for _, e := range es.all() {
		e.due.Lock()
		e.drains[post{service, d.Color}] = d
		e.due.Unlock()
		ended += e.report.Load().of(service, d.Color).Evicted
	}
	return ended
}

// counts adds what all have to what this process has.
func (es *elders) counts(service string, c switcher.Color, own []switcher.StreamCount) []switcher.StreamCount {
	for _, e := range es.all() {
		for _, theirs := range e.report.Load().of(service, c).Streams {
			i := slices.IndexFunc(own, func(k switcher.StreamCount) bool { return k.Kind == theirs.Kind })
			if i < 0 {
				own = append(own, theirs)
				continue
			}
			own[i].Count += theirs.Count
			own[i].Ending += theirs.Ending
			if theirs.Oldest.Before(own[i].Oldest) {
				own[i].Oldest = theirs.Oldest
			}
			if theirs.ETA.IsZero() || !own[i].ETA.IsZero() && theirs.ETA.After(own[i].ETA) {
				own[i].ETA = theirs.ETA
			}
		}
	}
	slices.SortFunc(own, func(a, b switcher.StreamCount) int { return cmp.Compare(a.Kind, b.Kind) })
	return own
}

// streams puts theirs into a page of this process's own. The numbers of streams
// grow from process to process, so that one order holds for all.
func (es *elders) streams(service string, q switcher.StreamQuery, own switcher.StreamPage) switcher.StreamPage {
	all := es.all()
	if len(all) == 0 {
		return own
	}
	more := own.Next != ""
	for _, e := range all {
		r, err := e.call(elderCall{Streams: &elderQuery{service, q}}, elderPatience)
		if err != nil {
			continue // it has ended, and its streams with it
		}
		if r.Page != nil {
			own.Streams = append(own.Streams, r.Page.Streams...)
			own.Total += r.Page.Total
			more = more || r.Page.Next != ""
		}
	}
	slices.SortFunc(own.Streams, func(a, b switcher.Stream) int { return cmp.Compare(numberOf(a.ID), numberOf(b.ID)) })
	own.Next = ""
	if limit := q.PageLimit(); len(own.Streams) > limit {
		own.Streams, more = own.Streams[:limit], true
	}
	if more && len(own.Streams) > 0 {
		own.Next = own.Streams[len(own.Streams)-1].ID
	}
	return own
}

// evict asks streams of all to end, and returns how many.
func (es *elders) evict(req elderEvict) (n int) {
	for _, e := range es.all() {
		if r, err := e.call(elderCall{Evict: &req}, elderPatience); err == nil {
			n += r.Evicted
		}
	}
	return n
}

// leave has all end within a time.
func (es *elders) leave(within time.Duration) {
	for _, e := range es.all() {
		_, _ = e.call(elderCall{Leave: max(within, time.Millisecond)}, followPatience) // else it has ended
	}
}

func (es *elders) views() (views []control.ElderView) {
	for _, e := range es.all() {
		v := control.ElderView{Pid: e.pid}
		for _, under := range e.report.Load().Under {
			v.Inflight += under.Blue.Inflight + under.Green.Inflight
		}
		views = append(views, v)
	}
	return views
}

// listening returns one that may still accept connections.
func (es *elders) listening() *elder {
	for _, e := range es.all() {
		if e.report.Load().Listening {
			return e
		}
	}
	return nil
}
