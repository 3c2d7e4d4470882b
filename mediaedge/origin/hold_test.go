package origin

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnAnswerThatIsHeldBackIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Second)
			honest(media(100))(w, r)
		}
		o := inBubble(t, Config{}, slow, status(http.StatusTeapot))
		g := fetch(t, o.Object("/live.m3u8", "_HLS_msn=7").Held(), "GET", nil)
		if g.err != nil || len(g.body) != 100 {
			t.Errorf("%v, %d bytes", g.err, len(g.body))
		}
	})
}

func TestWhatNeverComesIsHeldAgainstNoEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inBubble(t, Config{}, hang, status(http.StatusTeapot))
		for range 2 * maxFails {
			began := time.Now()
			g := fetch(t, o.Object("/live.m3u8", "_HLS_msn=99999").Held(), "GET", nil)
			fault, ok := errors.AsType[*Error](g.err)
			if !ok || fault.Status() != http.StatusGatewayTimeout || time.Since(began) != 30*time.Second {
				t.Errorf("%v after %v", g.err, time.Since(began))
			}
		}
		s := o.Status()
		if e := s.Endpoints[0]; !e.Healthy || e.Failures != 0 || s.Endpoints[1].Attempts != 0 {
			t.Errorf("%+v", s.Endpoints)
		}
	})
}

func TestWhatIsHeldBackLeavesHalfOfTheConnectionsToTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				hang(w, r)
			}
			honest(media(100))(w, r)
		}
		o := inBubble(t, Config{MaxConns: 4}, answers)
		ctx, leave := context.WithCancel(t.Context())
		for range 2 {
			go func() { _, _ = o.Object("/live.m3u8", "_HLS_msn=99999").Held().Fetch(ctx, "GET", nil) }()
		}
		synctest.Wait()
		g := fetch(t, o.Object("/live.m3u8", "_HLS_msn=99998").Held(), "GET", nil)
		if fault, ok := errors.AsType[*Error](g.err); !ok || fault.Status() != http.StatusServiceUnavailable {
			t.Errorf("one too many: %v", g.err)
		}
		if g := fetch(t, o.Object("/seg.m4s", ""), "GET", nil); g.err != nil {
			t.Errorf("another object: %v", g.err)
		}
		leave()
		synctest.Wait()
		if n := len(o.holding); n != 0 {
			t.Errorf("%d are held after all have left", n)
		}
	})
}
