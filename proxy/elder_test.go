package proxy

import (
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// fakeElder is the other end of an elder.
type fakeElder struct {
	t *testing.T
	*handover.Conn
}

// newFakeElder is one that has not begun, in a bubble. It has n exchanges on blue
// of "app".
func newFakeElder(t *testing.T, pid int, n int64) (*elder, *fakeElder) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return newElder(pid, handover.NewConn(ours), onBlue(n)), &fakeElder{t, handover.NewConn(theirs)}
}

func onBlue(n int64) *elderReport {
	return &elderReport{Under: map[string]switcher.PerColor[elderColor]{"app": {Blue: elderColor{Inflight: n}}}}
}

// hears waits for the next call.
func (f *fakeElder) hears() (c elderCall) {
	f.t.Helper()
	must(f.t, f.Receive(&c, time.Hour))
	return c
}

func (f *fakeElder) says(r *elderReport) {
	f.t.Helper()
	must(f.t, f.Send(r, time.Hour))
}

func flipped(to switcher.Color, phase switcher.Phase) []switcher.Followed {
	return []switcher.Followed{{Service: "app", Generation: 2, Active: to, Split: switcher.All(to), Phase: phase}}
}

func TestAnElderIsNotCalledBeforeItHasHandedOverAndHearsThenWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, f := newFakeElder(t, 7, 0)
		var es elders
		es.add(e)
		began := time.Now()
		must(t, es.tell(flipped(switcher.Green, switcher.Ramping)))
		must(t, es.tell(flipped(switcher.Blue, switcher.Draining)))
		equal(t, "waited", time.Since(began), 0) // the switcher waits meanwhile
		if err := f.Receive(new(elderCall), time.Minute); err == nil {
			t.Fatal("it was called while it hands over")
		}
		// Nobody knows what goes to either color there, until it follows.
		equal(t, "in-flight of blue", es.inflight("app", switcher.Blue), 1)
		equal(t, "in-flight of another service", es.inflight("other", switcher.Blue), 0)
		done := make(chan error, 1)
		go func() { done <- e.begin() }()
		c := f.hears()
		if !slices.Equal(c.Follow, flipped(switcher.Blue, switcher.Draining)) {
			t.Errorf("it is to follow %+v", c.Follow)
		}
		f.says(onBlue(3))
		must(t, <-done)
		equal(t, "in-flight of blue then", es.inflight("app", switcher.Blue), 3)
	})
}

func TestAnElderThatIsSlowHoldsNoMoveUpAndIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, f := newFakeElder(t, 7, 0)
		e.began.Store(true)
		e.turn <- struct{}{}
		var es elders
		es.add(e)
		began, told := time.Now(), make(chan error, 1)
		go func() { told <- es.tell(flipped(switcher.Green, switcher.Draining)) }()
		c := f.hears() // and does not answer
		equal(t, "followed at once", len(c.Follow), 1)
		if err := <-told; !errors.Is(err, errSlow) || time.Since(began) != followPatience {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		equal(t, "in-flight while it is not known", es.inflight("app", switcher.Blue), 1)

		following := make(chan struct{})
		go func() { defer close(following); es.follow(e) }() // waits for that answer too
		synctest.Wait()
		began = time.Now()
		go func() { told <- es.tell(flipped(switcher.Blue, switcher.Draining)) }()
		if err := <-told; !errors.Is(err, errSlow) || time.Since(began) != followPatience {
			t.Errorf("while another call waits, after %s: %v", time.Since(began), err)
		}
		time.Sleep(time.Minute)
		f.says(onBlue(9)) // late: it was before the second move
		equal(t, "in-flight while it is not known", es.inflight("app", switcher.Blue), 1)
		for c = f.hears(); len(c.Follow) == 0; c = f.hears() {
			f.says(onBlue(9))
		}
		if c.Follow[0].Active != switcher.Blue {
			t.Errorf("it is to follow %+v", c.Follow)
		}
		f.says(onBlue(2))
		synctest.Wait()
		equal(t, "in-flight at last", es.inflight("app", switcher.Blue), 2)
		equal(t, "elders", len(es.all()), 1)
		must(t, f.Close()) // its end
		<-following
		equal(t, "elders after its end", len(es.all()), 0)
		equal(t, "in-flight after its end", es.inflight("app", switcher.Blue), 0)
	})
}

func TestADrainsDeadlinesEndWhenItsColorHasTrafficAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := newFakeElder(t, 7, 0)
		var es elders
		es.add(e)
		due := func() []post {
			e.due.Lock()
			defer e.due.Unlock()
			var posts []post
			for at := range e.drains {
				posts = append(posts, at)
			}
			return posts
		}
		blue := post{"app", switcher.Blue}
		must(t, es.tell(flipped(switcher.Green, switcher.Draining)))
		es.drain("app", switcher.Drain{Color: switcher.Blue, Started: time.Now()})
		es.drain("other", switcher.Drain{Color: switcher.Blue, Started: time.Now()})
		must(t, es.tell(flipped(switcher.Green, switcher.Draining)))
		if !slices.Contains(due(), blue) {
			t.Error("a drain that goes on has no deadlines any more")
		}
		must(t, es.tell(flipped(switcher.Blue, switcher.Draining))) // a rollback: now green drains
		if posts := due(); len(posts) != 1 || posts[0].service != "other" {
			t.Errorf("after the rollback streams are still ended of %v", posts)
		}
		es.drain("app", switcher.Drain{Color: switcher.Green, Started: time.Now()})
		must(t, es.tell(flipped(switcher.Blue, switcher.Steady)))
		equal(t, "drains when all is steady", len(due()), 1)
	})
}

func TestACallToAnElderThatEndsFailsAndLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, f := newFakeElder(t, 7, 4)
		e.began.Store(true)
		e.turn <- struct{}{}
		var es elders
		es.add(e)
		go func() { f.hears(); _ = f.Close() }()
		if err := es.tell(flipped(switcher.Green, switcher.Draining)); err == nil || errors.Is(err, errSlow) {
			t.Errorf("got %v", err)
		}
		es.follow(e) // returns
		equal(t, "elders", len(es.all()), 0)
		equal(t, "evicted", es.evict(elderEvict{Service: "app"}), 0)
	})
}

func TestWhatEldersHaveIsAddedUpByKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now()
		in := func(d time.Duration) time.Time { return at.Add(d) }
		var es elders
		for _, streams := range [][]switcher.StreamCount{
			{{Kind: switcher.StreamSSE, Count: 2, Oldest: in(-5), Ending: 1, ETA: in(9)}, {Kind: switcher.StreamUpload, Count: 1, Oldest: in(-1), ETA: in(1)}},
			{{Kind: switcher.StreamUpload, Count: 4, Oldest: in(-2)}, {Kind: switcher.StreamWebSocket, Count: 1, Oldest: in(-3), ETA: in(3)}},
		} {
			e, _ := newFakeElder(t, 7, 0)
			e.report.Store(&elderReport{Under: map[string]switcher.PerColor[elderColor]{"app": {Green: elderColor{Streams: streams}}}})
			es.add(e)
		}
		own := []switcher.StreamCount{{Kind: switcher.StreamSSE, Count: 1, Oldest: in(-7), ETA: in(4)}}
		want := []switcher.StreamCount{
			{Kind: switcher.StreamWebSocket, Count: 1, Oldest: in(-3), ETA: in(3)},
			{Kind: switcher.StreamSSE, Count: 3, Oldest: in(-7), Ending: 1, ETA: in(9)},
			{Kind: switcher.StreamUpload, Count: 5, Oldest: in(-2)}, // nobody can tell of one's
		}
		if got := es.counts("app", switcher.Green, own); !slices.Equal(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		equal(t, "of the other color", len(es.counts("app", switcher.Blue, nil)), 0)
	})
}

func TestPagesOfEldersAreOnePageInTheOrderOfTheStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := func(next string, total int, ids ...string) switcher.StreamPage {
			p := switcher.StreamPage{Next: next, Total: total}
			for _, id := range ids {
				p.Streams = append(p.Streams, switcher.Stream{ID: id})
			}
			return p
		}
		var es elders
		if got := es.streams("app", switcher.StreamQuery{}, page("b", 5, "a", "b")); got.Next != "b" || got.Total != 5 {
			t.Errorf("without elders: %+v", got)
		}
		for i, p := range []switcher.StreamPage{page("9", 7, "5", "9"), page("", 1, "7")} {
			e, f := newFakeElder(t, i, 0)
			e.began.Store(true)
			e.turn <- struct{}{}
			es.add(e)
			go func() {
				for {
					var c elderCall
					if f.Receive(&c, time.Hour) != nil {
						return
					}
					if c.Streams == nil || c.Streams.Service != "app" || c.Streams.Query.After != "4" {
						t.Errorf("asked for %+v", c.Streams)
					}
					f.says(&elderReport{Page: &p})
				}
			}()
		}
		for limit, want := range map[int]string{2: "57 next 7", 3: "579 next 9", 100: "579z10 next 10"} {
			got := es.streams("app", switcher.StreamQuery{After: "4", Limit: limit}, page("", 2, "z", "10"))
			text := ""
			for _, s := range got.Streams {
				text += s.ID
			}
			equal(t, "page", text+" next "+got.Next, want)
			equal(t, "total", got.Total, 10)
		}
		for _, e := range es.all() {
			es.drop(e)
		}
	})
}

func TestOnlyAnElderThatListensKeepsTheNextUpgradeWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var es elders
		if es.listening() != nil || es.views() != nil {
			t.Error("there is an elder where none is")
		}
		quiet, _ := newFakeElder(t, 6, 1)
		loud, _ := newFakeElder(t, 7, 2)
		es.add(quiet)
		equal(t, "listening", es.listening(), nil)
		es.add(loud)
		loud.report.Store(&elderReport{Listening: true, Under: onBlue(2).Under})
		equal(t, "listening", es.listening(), loud)
		views := es.views()
		if len(views) != 2 || views[0].Pid != 7 || views[0].Inflight != 2 || views[1].Pid != 6 || views[1].Inflight != 1 {
			t.Errorf("the latest first: %+v", views)
		}
		rt := &runtime{elders: elders{list: es.all()}}
		if err := rt.Upgrade(t.Context()); !errors.Is(err, switcher.ErrConflict) {
			t.Errorf("an upgrade while one listens: %v", err)
		}
	})
}
