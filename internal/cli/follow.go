package cli

import (
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// follow is what a waiting command knows of its move. It is fed with events,
// views and histories, in any order and with gaps, and does nothing itself.
type follow struct {
	id       string
	services []string // that move
	// until, if not nil, ends the wait before the move does: a split waits
	// until its weights serve.
	until *switcher.Split

	endings map[string]ending // by service
	reached bool
	undoing bool // said so already
	drained switcher.Duration
	took    switcher.Duration
}

// ending is how the move of one service ended.
type ending struct {
	result  switcher.Result
	detail  string
	evicted int
	counted bool // evicted is known
	heard   bool // the event came, so that the drain's time is known
}

func newFollow(r switcher.Receipt, until *switcher.Split) *follow {
	f := &follow{id: r.ID, until: until, endings: make(map[string]ending)}
	for i := range r.Services {
		f.services = append(f.services, r.Services[i].Name)
	}
	f.views(r.Services)
	return f
}

// concerns reports an event that a waiting operator wants to see.
func (f *follow) concerns(e switcher.Event) bool {
	if !slices.Contains(f.services, e.Service) {
		return false
	}
	switch e.Type {
	case switcher.EventHealth, switcher.EventLock, switcher.EventSource:
		return true
	case switcher.EventPhase, switcher.EventSplit, switcher.EventGate, switcher.EventCompare, switcher.EventHold, switcher.EventPins, switcher.EventEnd:
		return e.ID == f.id
	}
	return false
}

// event takes in one event.
func (f *follow) event(e switcher.Event) {
	if !f.concerns(e) || e.ID != f.id {
		return
	}
	switch e.Type {
	case switcher.EventEnd:
		end := f.endings[e.Service]
		end.result, end.detail, end.heard = e.Result, e.Detail, true
		f.endings[e.Service] = end
		f.drained, f.took = e.Drained, e.Took
	case switcher.EventSplit:
		f.reach(e.Split)
	}
}

// reach notes that split serves. Members of a group change as one.
func (f *follow) reach(split switcher.Split) {
	if f.until != nil && split == *f.until {
		f.reached = true
	}
}

// views takes in services as they are now. It returns those whose move is
// over without a word of how: their history tells.
func (f *follow) views(views []switcher.ServiceView) (ask []string) {
	for i := range views {
		v := &views[i]
		if !slices.Contains(f.services, v.Name) {
			continue
		}
		if v.Cutover != nil && v.Cutover.ID == f.id {
			f.reach(v.Split)
			continue
		}
		if v.Last != nil && f.recorded(v.Name, *v.Last) {
			continue
		}
		if _, known := f.endings[v.Name]; !known {
			ask = append(ask, v.Name)
		}
	}
	return ask
}

// missing lists the services of which a complete list of views says nothing:
// they were removed from the config.
func (f *follow) missing(views []switcher.ServiceView) (gone []string) {
	for _, name := range f.services {
		if !slices.ContainsFunc(views, func(v switcher.ServiceView) bool { return v.Name == name }) {
			gone = append(gone, name)
		}
	}
	return gone
}

// history takes in a service's history; where the move is not in it, nobody
// will ever tell how it ended.
func (f *follow) history(service string, moves []switcher.Move) {
	for _, m := range moves {
		if f.recorded(service, m) {
			return
		}
	}
	f.lost(service, "the edge no longer knows how the move ended")
}

// lost ends the wait for a service that will not be heard of again.
func (f *follow) lost(service, why string) {
	if _, known := f.endings[service]; !known {
		f.endings[service] = ending{result: switcher.ResultInterrupted, detail: why}
	}
}

// recorded takes in what history says of the move, if m is it.
func (f *follow) recorded(service string, m switcher.Move) bool {
	if m.ID != f.id || f.id == "" {
		return false
	}
	end := f.endings[service]
	end.result, end.detail = m.Result, m.Detail
	end.evicted, end.counted = m.Evicted, true
	f.endings[service] = end
	if f.took == 0 {
		f.took = switcher.Duration(m.Ended.Sub(m.Started).Round(time.Millisecond))
	}
	return true
}

// undoes reports, once, that the move is being undone.
func (f *follow) undoes(views []switcher.ServiceView) *switcher.CutoverView {
	for i := range views {
		if c := views[i].Cutover; c != nil && c.ID == f.id && c.Ending != "" && !f.undoing {
			f.undoing = true
			return c
		}
	}
	return nil
}

// ended reports that the move is over for all services.
func (f *follow) ended() bool { return f.id == "" || len(f.endings) == len(f.services) }

// heard reports that the end was announced, not only found by looking.
func (f *follow) heard() bool {
	for _, e := range f.endings {
		if !e.heard {
			return false
		}
	}
	return true
}

// done reports that there is nothing to wait for any more.
func (f *follow) done() bool { return f.ended() || f.reached }

// result is how the ended move ended: of a group, all members alike, but one
// that was lost may know less than the others.
func (f *follow) result() (switcher.Result, string) {
	result, detail := switcher.ResultDone, ""
	for _, name := range f.services {
		e, known := f.endings[name]
		if known && e.result != switcher.ResultDone && (result == switcher.ResultDone || result == switcher.ResultInterrupted) {
			result, detail = e.result, e.detail
		}
	}
	return result, detail
}
