package proxy

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func leavingNow(grace time.Duration) *leaving {
	o := switcher.Options{DrainTimeout: switcher.Duration(time.Hour)}.OrDefaults()
	o.Deadlines[switcher.StreamSSE] = switcher.Duration(time.Minute)
	return &leaving{since: time.Now(), grace: grace, options: map[string]switcher.Options{"app": o}}
}

func TestWhatIsUnderWayEndsByTheDeadlineOfItsKindAndWithMannersShortlyBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		kinds := map[switcher.StreamKind]*entry{}
		var l ledger
		for _, k := range []switcher.StreamKind{
			switcher.StreamRequest, switcher.StreamWebSocket, switcher.StreamSSE, switcher.StreamDownload,
			switcher.StreamUpload, switcher.StreamLive, switcher.StreamGRPC,
		} {
			kinds[k] = enter(t, &l, s, false)
			kinds[k].Became(k)
		}
		due := func(l *leaving, after time.Duration) (n int, has map[switcher.StreamKind]bool) {
			has = make(map[switcher.StreamKind]bool)
			for k, e := range kinds {
				if l.due(e, l.since.Add(after)) {
					has[k] = true
				}
			}
			return len(has), has
		}
		patient := leavingNow(10 * time.Second)
		for after, want := range map[time.Duration]int{0: 0, time.Minute - 1: 0, time.Minute: 1, time.Hour - 1: 1, time.Hour: len(kinds)} {
			if n, has := due(patient, after); n != want || want == 1 && !has[switcher.StreamSSE] {
				t.Errorf("nothing presses, after %s: %v are due, want %d", after, has, want)
			}
		}
		// 40 s of grace, after 20 s of delay: what has manners ends when 30 s are left.
		pressed := leavingNow(40 * time.Second)
		pressed.within(time.Minute)
		for after, want := range map[time.Duration]int{0: 0, 30*time.Second - 1: 0, 30 * time.Second: 3, time.Minute - 1: 3} {
			n, has := due(pressed, after)
			if n != want || want == 3 && !(has[switcher.StreamWebSocket] && has[switcher.StreamSSE] && has[switcher.StreamGRPC]) {
				t.Errorf("a minute is left, after %s: %v are due, want %d", after, has, want)
			}
		}
		unknown := &leaving{since: time.Now(), grace: time.Minute} // a service that was taken out of the config
		if n, has := due(unknown, 100*time.Hour); n != 0 {
			t.Errorf("of a service without options %v are due", has)
		}
		for _, e := range kinds {
			e.close()
		}
	})
}

func TestTheEndOnlyComesNearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leavingNow(time.Second)
		if left, limited := l.left(time.Now()); limited || l.over(time.Now().Add(1000*time.Hour)) {
			t.Errorf("an end in %s that nobody asked for", left)
		}
		var hurrying sync.WaitGroup
		for i := range 100 {
			hurrying.Go(func() { l.within(time.Duration(100-i) * time.Second) })
		}
		hurrying.Wait()
		l.within(time.Hour)
		if left, limited := l.left(time.Now()); left != time.Second || !limited {
			t.Errorf("%s are left, %v, want the shortest", left, limited)
		}
		if l.over(time.Now().Add(time.Second-1)) || !l.over(time.Now().Add(time.Second)) {
			t.Error("the end is not when it was to be")
		}
	})
}

func TestThePressGrowsAsTheEndComesNearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := new(runtime)
		equal(t, "of a process that goes on", rt.press(1000), 0)
		l := leavingNow(20 * time.Second)
		rt.leaving.Store(l)
		equal(t, "when nothing presses", rt.press(1000), 0)
		l.within(25 * time.Second)
		for _, c := range []struct{ after, wanted, press int }{
			{0, 1000, 51},    // the last quarter of the grace is for manners
			{10, 1000, 101},  // 10 s before that
			{5, 1000, 201},   //
			{4, 1000, 1001},  // 1 s
			{1, 1000, 1001},  // too late
			{10, 1000, 1001}, // over
			{0, 0, 1},
		} {
			time.Sleep(time.Duration(c.after) * time.Second)
			equal(t, "press", rt.press(c.wanted), c.press)
		}
	})
}

func TestStreamsThatMustEndInTimeDoWhateverThePaceIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l, p := new(ledger), &parting{ends: map[switcher.Color]int{}}
		for range 500 {
			p.enter(t, l, s, false, switcher.StreamWebSocket)
		}
		rt := new(runtime)
		end := leavingNow(20 * time.Second)
		end.within(15 * time.Second)
		rt.leaving.Store(end)
		u := newUsher(l, Pace{PerSecond: 1}, yesAlways)
		u.press = rt.press
		u.show("app", switcher.Blue, time.Now(), everything)
		time.Sleep(3 * time.Second)
		if n := p.of(switcher.Blue); n < 100 || n > 250 {
			t.Errorf("%d of 500 have ended after 3 of 10 s", n)
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		equal(t, "ended in time", p.of(switcher.Blue), 500)
	})
}
