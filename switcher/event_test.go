package switcher_test

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestEventsAreOrderedWithoutAGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var hooked []uint64
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"a": {}, "b": {}}}
		b.hooks.Event = func(e switcher.Event) { hooked = append(hooked, e.Seq) }
		b.open()
		events, cancel := b.Subscribe()
		defer cancel()
		receipt, err := b.cutover(green, "10:1s,50:1s", "a", "b")
		b.must(err)
		pass(3 * time.Second)
		synctest.Wait()
		var seq, generation uint64
		got := map[switcher.EventType]int{}
		for len(events) > 0 {
			e := <-events
			if seq > 0 && e.Seq != seq+1 {
				t.Errorf("event %d after %d", e.Seq, seq)
			}
			seq = e.Seq
			if e.Service == "a" {
				got[e.Type]++
				if e.ID != receipt.ID || e.Kind != switcher.KindCutover || e.Generation < generation {
					t.Errorf("an event of the cutover says %+v", e)
				}
				generation = e.Generation
			}
			if e.Type == switcher.EventEnd && (e.Result != switcher.ResultDone || e.Took < switcher.Duration(2*time.Second) || e.Phase != switcher.Steady) {
				t.Errorf("the end says %+v", e)
			}
		}
		want := map[switcher.EventType]int{switcher.EventSplit: 3, switcher.EventPhase: 4, switcher.EventEnd: 1}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for i, n := range hooked {
			if n != uint64(i+1) {
				t.Fatalf("the hook got event %d as number %d", n, i+1)
			}
		}
		b.stop()
		if _, open := <-events; open {
			t.Error("the channel is open after the stop")
		}
		if late, _ := b.Subscribe(); late != nil {
			if _, open := <-late; open {
				t.Error("a late subscriber's channel is open")
			}
		}
	})
}

func TestASlowSubscriberHearsThatItMissedSomething(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		events, cancel := b.Subscribe()
		defer cancel()
		flap := func(n int) {
			for i := range n {
				b.health("app", green, i%2 == 1, 1)
			}
		}
		flap(switcher.Backlog + 50)
		var got []switcher.Event
		for len(events) > 0 {
			got = append(got, <-events)
		}
		last := got[len(got)-1]
		if len(got) != switcher.Backlog+1 || last.Type != switcher.EventLost || last.Seq != got[len(got)-2].Seq+1 {
			t.Fatalf("got %d events, the last one %+v", len(got), last)
		}
		flap(2)
		if e := <-events; e.Type != switcher.EventHealth || e.Seq != last.Seq+50 {
			t.Errorf("then came %+v", e)
		}
		cancel()
		cancel()
		<-events
		if _, open := <-events; open {
			t.Error("the channel is open after cancel")
		}
	})
}

func TestAHealthEventSaysWhereTheServiceStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.bring(switcher.Ramping)
		events, cancel := b.Subscribe()
		defer cancel()
		b.health("app", green, false, 1)
		e := <-events
		if e.Type != switcher.EventHealth || e.Color != green || e.Phase != switcher.Ramping || e.Split.Green != 30 || e.Active != blue || e.Generation != 2 {
			t.Errorf("got %+v", e)
		}
		text(t, e.Detail, "app-green-1:80", "got 500")
	})
}
