package switcher_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestCommitRefusesEveryTransitionThatIsNotInTheTable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, from := range switcher.Phases {
			for _, to := range switcher.Phases {
				if from != to {
					force(t, from, to)
				}
			}
		}
	})
}

func force(t *testing.T, from, to switcher.Phase) {
	t.Helper()
	legal := slices.Contains(switcher.Transitions()[from], to)
	if from.CanBecome(to) != legal {
		t.Errorf("CanBecome: %s to %s", from, to)
	}
	sw := switcher.New(&memory{}, switcher.Hooks{}, nil)
	svc := sw.Service("app")
	err := sw.Force("app", from, to)
	if legal != (err == nil) {
		t.Errorf("%s to %s: legal %t, commit says %v", from, to, legal, err)
	}
	if err != nil {
		says(t, err, "app", from.String(), to.String(), "nothing was changed")
		if svc.Table() != nil {
			t.Errorf("%s to %s is illegal and reached the board", from, to)
		}
	}
}

// reach lists a way to each change of phase in the table. Each begins in the
// first phase, and ends in the other as soon as it returns.
var reach = map[[2]switcher.Phase]func(*bed){
	{switcher.Steady, switcher.Preparing}: func(b *bed) { b.bring(switcher.Preparing) },
	{switcher.Steady, switcher.Draining}: func(b *bed) {
		b.bring(switcher.Steady)
		b.Cleanup(b.work("app", 0, 1))
		_, err := b.rollback("app")
		b.must(err)
	},
	{switcher.Preparing, switcher.Steady}: func(b *bed) {
		b.bring(switcher.Preparing)
		_, err := b.Abort(b.Context(), request("app"))
		b.must(err)
	},
	{switcher.Preparing, switcher.Ramping}:  func(b *bed) { b.bring(switcher.Ramping) },
	{switcher.Preparing, switcher.Draining}: func(b *bed) { b.bring(switcher.Draining) },
	{switcher.Ramping, switcher.Ramping}: func(b *bed) {
		b.bring(switcher.Ramping)
		_, err := b.split(green, 60, "app")
		b.must(err)
	},
	{switcher.Ramping, switcher.Draining}: func(b *bed) {
		b.bring(switcher.Ramping)
		b.Cleanup(b.work("app", 0, 1))
		_, err := b.Abort(b.Context(), request("app"))
		b.must(err)
	},
	{switcher.Draining, switcher.Steady}: func(b *bed) {
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		release()
		pass(time.Second)
	},
	{switcher.Draining, switcher.Draining}: func(b *bed) {
		b.bring(switcher.Draining)
		b.Cleanup(b.work("app", 0, 1))
		_, err := b.rollback("app")
		b.must(err)
	},
	{switcher.Draining, switcher.Preparing}: func(b *bed) {
		b.bring(switcher.Draining)
		b.health("app", blue, false, 1)
		_, err := b.cutover(blue, "", "app")
		b.must(err)
	},
}

func TestEveryLegalTransitionIsReachable(t *testing.T) {
	for from, list := range switcher.Transitions() {
		for _, to := range list {
			way := reach[[2]switcher.Phase{from, to}]
			if way == nil {
				t.Errorf("no way is known from %s to %s", from, to)
				continue
			}
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
					events, cancel := b.Subscribe()
					defer cancel()
					way(b)
					if v := b.view("app"); v.Phase != to {
						t.Errorf("the service is %s", v.Phase)
					}
					seen := from == to
					for len(events) > 0 {
						e := <-events
						seen = seen || e.Type == switcher.EventPhase && strings.HasPrefix(e.Detail, to.String()+", was "+from.String())
					}
					if !seen {
						t.Errorf("no event says %s, was %s", to, from)
					}
				})
			})
		}
	}
	for pair := range reach {
		if !pair[0].CanBecome(pair[1]) {
			t.Errorf("%s to %s is not in the table", pair[0], pair[1])
		}
	}
}

func TestFromEveryPhaseAbortLeadsBackInOneStep(t *testing.T) {
	for _, phase := range []switcher.Phase{switcher.Preparing, switcher.Ramping, switcher.Draining} {
		bubble(t, func(t *testing.T) {
			b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
			b.bring(phase)
			receipt, err := b.Abort(t.Context(), request("app"))
			b.must(err)
			if s := receipt.Services[0].Split; s != switcher.All(blue) {
				t.Errorf("abort while %s led to %s", phase, s)
			}
			pass(time.Second)
			b.at("app", switcher.Steady, 0)
			if m := b.last("app"); m.Result != switcher.ResultAborted {
				t.Errorf("abort while %s: history says %+v", phase, m)
			}
		})
	}
}
