package switcher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// commands calls everything that a Switcher does for a caller.
func commands(ctx context.Context, sw *switcher.Switcher) map[string]func() error {
	req := request("app")
	req.Reason = "because"
	second := func(_ any, err error) error { return err }
	return map[string]func() error{
		"cutover": func() error {
			return second(sw.Cutover(ctx, switcher.CutoverRequest{Request: req, To: green}))
		},
		"split": func() error {
			return second(sw.Split(ctx, switcher.SplitRequest{Request: req, Color: green, Weight: 5}))
		},
		"plan": func() error {
			return second(sw.Plan(ctx, switcher.CutoverRequest{Request: req, To: green}))
		},
		"drain":         func() error { return second(sw.Drain(ctx, switcher.DrainRequest{Request: req})) },
		"rollback":      func() error { return second(sw.Rollback(ctx, switcher.RollbackRequest{Request: req})) },
		"abort":         func() error { return second(sw.Abort(ctx, req)) },
		"hold":          func() error { return second(sw.Hold(ctx, req)) },
		"resume":        func() error { return second(sw.Resume(ctx, req)) },
		"lock":          func() error { return second(sw.Lock(ctx, req)) },
		"unlock":        func() error { return second(sw.Unlock(ctx, req)) },
		"services":      func() error { return second(sw.Services(ctx)) },
		"view":          func() error { return second(sw.View(ctx, "app")) },
		"history":       func() error { return second(sw.History(ctx, "app")) },
		"configure":     func() error { return sw.Configure(ctx, nil) },
		"set pools":     func() error { return second(sw.SetPools(ctx, "app", switcher.Pools{})) },
		"set source":    func() error { return sw.SetSource(ctx, "app", switcher.Static(switcher.Pools{})) },
		"source failed": func() error { return sw.SourceFailed(ctx, "app", errDisk) },
	}
}

func TestAStoppedSwitcherSaysSoAndStillServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.stop()
		for name, f := range commands(t.Context(), b.Switcher) {
			if err := f(); !errors.Is(err, switcher.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.work("app", 0, 1)()
		b.health("app", green, false)
	})
}

func TestACommandEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sw := switcher.New(&memory{}, switcher.Hooks{}, nil) // and Run is not called
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for name, f := range commands(ctx, sw) {
			if err := f(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestACutoverWhoseCallerLeavesGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &slowGate{open: make(chan struct{})}
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{g}}, "app")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Cutover(ctx, switcher.CutoverRequest{Request: request("app"), To: green})
		b.is(err, context.DeadlineExceeded)
		close(g.open)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAStopDoesNotHangCommandsWhileTheStoreHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		release := b.store.hang()
		_, err := b.cutover(green, "", "app")
		b.is(err, switcher.ErrStore)
		stopped := make(chan struct{})
		go func() { b.stop(); close(stopped) }()
		synctest.Wait()
		for name, f := range commands(t.Context(), b.Switcher) {
			if err := f(); !errors.Is(err, switcher.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		select {
		case <-stopped:
			t.Error("Run did not wait for the write under way")
		default:
		}
		release()
		<-stopped
	})
}
