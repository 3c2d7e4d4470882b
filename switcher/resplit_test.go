package switcher_test

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestASplitStaysUntilSomebodySaysMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
		for _, step := range []struct {
			color  switcher.Color
			weight uint8
			green  uint8
		}{{green, 20, 20}, {green, 60, 60}, {blue, 70, 30}, {blue, 30, 70}, {green, 70, 70}} {
			receipt, err := b.split(step.color, step.weight, "app")
			b.must(err)
			if !receipt.Changed || receipt.Services[0].Split.Green != step.green {
				t.Errorf("split %s %d: the receipt says %+v", step.color, step.weight, receipt)
			}
			pass(10 * time.Minute)
			b.at("app", switcher.Ramping, step.green)
			b.stored("app")
		}
		_, err := b.split(green, 100, "app")
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestASplitToZeroUndoesTheMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.split(green, 40, "app")
		b.must(err)
		receipt, err := b.split(blue, 100, "app")
		b.must(err)
		if !receipt.Changed {
			t.Error("the receipt says that nothing changed")
		}
		pass(time.Second)
		b.at("app", switcher.Steady, 0)
		if m := b.last("app"); m.Result != switcher.ResultAborted || m.Kind != switcher.KindSplit {
			t.Errorf("history says %+v", m)
		}
		receipt, err = b.split(green, 0, "app")
		b.must(err)
		if receipt.Changed {
			t.Error("a split to what is there changed something")
		}
	})
}

func TestASplitWhilePreparingAnswersEverybody(t *testing.T) {
	for weight, want := range map[uint8]uint8{0: 0, 30: 30, 100: 100} {
		bubble(t, func(t *testing.T) {
			v := &valve{}
			b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}}, "app")
			_, err := b.cutover(green, "10:1m", "app")
			b.must(err)
			b.at("app", switcher.Preparing, 0)
			done := later(func() (switcher.Receipt, error) { return b.split(green, weight, "app") })
			pass(time.Second)
			b.must(b.answered(done).err)
			v.say(switcher.Pass, "")
			pass(time.Second)
			if s := b.view("app").Split; s.Green != want {
				t.Errorf("split to %d: green has %d", weight, s.Green)
			}
		})
	}
}

func TestASplitWhileDrainingStartsAMoveOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		release := b.work("app", 0, 3)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		receipt, err := b.split(green, 100, "app")
		b.must(err)
		if receipt.Changed {
			t.Error("green has all already")
		}
		_, err = b.split(blue, 25, "app")
		b.must(err)
		b.at("app", switcher.Ramping, 75)
		if m := b.last("app"); m.Result != switcher.ResultSuperseded {
			t.Errorf("history says %+v", m)
		}
		release()
		_, err = b.Abort(t.Context(), request("app"))
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}
