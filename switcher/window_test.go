package switcher_test

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// window checks the state of a service's rollback window, and words of its reason.
func (b *bed) window(want switcher.WindowState, words ...string) switcher.RollbackWindow {
	b.Helper()
	w := b.view("app").RollbackWindow
	if w == nil || w.State != want {
		b.Fatalf("the window is %+v, want %s", w, want)
	}
	if t, ok := b.TB.(*testing.T); ok {
		text(t, w.Reason, words...)
	}
	return *w
}

func withWindow(d time.Duration) switcher.Config {
	return switcher.Config{Options: switcher.Options{RollbackWindow: switcher.Duration(d)}}
}

func TestTheRollbackWindowIsOpenFromTheFlipOnForItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, withWindow(time.Hour), "app")
		b.window(switcher.WindowOpen, "no cutover has been completed")
		flipped := time.Now()
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(59 * time.Minute)
		w := b.window(switcher.WindowOpen, "reckoned with until")
		if !w.Until.Equal(flipped.Add(time.Hour)) || w.To != blue {
			t.Errorf("got %+v", w)
		}
		pass(2 * time.Minute)
		b.window(switcher.WindowClosed, "blue is drained")
	})
}

func TestTheRollbackWindowStaysOpenWhileTheOldColorStillWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, withWindow(time.Minute), "app")
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(10 * time.Minute)
		b.window(switcher.WindowOpen, "blue drains: 1 in-flight")
		release()
		pass(time.Second)
		b.window(switcher.WindowClosed)
	})
}

func TestTheRollbackWindowIsOpenInARamp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, withWindow(time.Second), "app")
		_, err := b.cutover(green, "50:hold", "app")
		b.must(err)
		pass(time.Hour)
		if w := b.window(switcher.WindowOpen, "ramping", "blue still serves"); !w.Until.IsZero() {
			t.Errorf("it says when it closes: %+v", w)
		}
	})
}

func TestACutoverThatIsUndoneClosesNoWindow(t *testing.T) {
	for name, undo := range map[string]func(*bed){
		"aborted": func(b *bed) {
			_, err := b.cutover(green, "50:hold", "app")
			b.must(err)
			_, err = b.Abort(b.Context(), request("app"))
			b.must(err)
		},
		"rolled back": func(b *bed) {
			_, err := b.cutover(green, "", "app")
			b.must(err)
			pass(2 * time.Hour)
			_, err = b.rollback("app")
			b.must(err)
		},
		"rolled back while it drained": func(b *bed) {
			release := b.work("app", 0, 1)
			defer release()
			_, err := b.cutover(green, "", "app")
			b.must(err)
			_, err = b.rollback("app")
			b.must(err)
			b.window(switcher.WindowUndone)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBed(t, withWindow(time.Hour), "app")
				undo(b)
				pass(10 * time.Hour)
				b.window(switcher.WindowUndone, "blue serves again")
				_, err := b.cutover(green, "", "app")
				b.must(err)
				pass(2 * time.Hour)
				b.window(switcher.WindowClosed)
			})
		})
	}
}

func TestARollbackAfterTheWindowGoesThroughAndIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, withWindow(time.Hour), "app")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(2 * time.Hour)
		_, err = b.rollback("app")
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 0)
		text(t, b.last("app").Detail, "the rollback window of app was closed", "contracted")
	})
}

func TestTheRollbackWindowSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, withWindow(time.Hour), "app")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(30 * time.Minute)
		b.restart()
		b.window(switcher.WindowOpen)
		pass(31 * time.Minute)
		b.window(switcher.WindowClosed)
	})
}

func TestARefusedCutoverLeavesTheWindowOfTheOneBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := new(valve)
		v.say(switcher.Pass, "")
		config := withWindow(time.Hour)
		config.Gates = []switcher.Gate{v}
		b := newBed(t, config, "app")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(2 * time.Hour)
		v.say(switcher.Refuse, "no")
		_, err = b.cutover(blue, "", "app")
		b.is(err, switcher.ErrRefused)
		b.window(switcher.WindowClosed)
	})
}

func TestWorkThatASupersededDrainLeftKeepsTheWindowOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := new(valve)
		v.say(switcher.Pass, "")
		config := withWindow(time.Minute)
		config.Gates = []switcher.Gate{v}
		b := newBed(t, config, "app")
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		v.say(switcher.Refuse, "no")
		_, err = b.cutover(blue, "", "app") // takes the drain's place, and does not happen
		b.is(err, switcher.ErrRefused)
		pass(time.Hour)
		b.at("app", switcher.Steady, 100)
		b.window(switcher.WindowOpen, "1 in-flight on blue")
		release()
		pass(time.Second)
		b.window(switcher.WindowClosed)
	})
}
