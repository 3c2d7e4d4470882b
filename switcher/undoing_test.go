package switcher_test

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestHistorySaysWhatUndidAMove(t *testing.T) {
	ill := func(b *bed, _ *traffic) { b.health("app", green, false) }
	for name, c := range map[string]struct {
		undo func(*bed, *traffic)
		want switcher.Undoing
	}{
		"an abort":                         {func(b *bed, _ *traffic) { _, err := b.Abort(b.Context(), request("app")); b.must(err) }, switcher.UndoneByCommand},
		"a rollback":                       {func(b *bed, _ *traffic) { _, err := b.rollback("app"); b.must(err) }, switcher.UndoneByCommand},
		"a target without a live upstream": {ill, switcher.UndoneByFailure},
		"a verdict":                        {func(_ *bed, w *traffic) { w.set(wellBlue, badGreen) }, switcher.UndoneByComparison},
		"nothing":                          {func(*bed, *traffic) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, w := compared(t, "", "10:2m", "app")
				release := b.work("app", 0, 1)
				c.undo(b, w)
				pass(time.Minute)
				if v := b.view("app"); v.Cutover == nil || v.Cutover.Undone != c.want || b.store.state(b, "app").Cutover.Undone != c.want {
					t.Errorf("while it is undone: %+v", v.Cutover)
				}
				release()
				pass(5 * time.Minute)
				if m := b.last("app"); m.Undone != c.want || (m.Result == switcher.ResultDone) != (c.want == "") {
					t.Errorf("history says %+v", m)
				}
			})
		})
	}
}

func TestAnAbortBeforeTheFirstStepIsUndoneByCommand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := new(valve)
		v.say(switcher.Wait, "not yet")
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}}, "app")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		_, err = b.Abort(b.Context(), request("app"))
		b.must(err)
		if m := b.last("app"); m.Result != switcher.ResultAborted || m.Undone != switcher.UndoneByCommand {
			t.Errorf("history says %+v", m)
		}
	})
}
