package switcher_test

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// oneWay is a ramp that a gate has held because blue could not take the traffic
// back.
func oneWay(t *testing.T) (*bed, *valve, *traffic) {
	b, w := compared(t, switcher.OnFailureRollback, "10:1h", "app")
	v := new(valve)
	v.mu.Lock()
	v.verdict = switcher.Verdict{Decision: switcher.Refuse, Stay: true, Reason: "blue cannot read schema 15"}
	v.mu.Unlock()
	c := b.configs["app"]
	c.Gates = []switcher.Gate{v}
	b.configs["app"] = c
	b.must(b.Configure(b.Context(), b.configs))
	pass(61 * time.Minute)
	b.at("app", switcher.Ramping, 10)
	text(t, b.view("app").Cutover.Held.Reason, "blue cannot read schema 15")
	return b, v, w
}

func TestARampThatCannotGoBackStaysWhateverElseIsFoundWanting(t *testing.T) {
	for name, found := range map[string]func(*bed, *traffic){
		"a target that is not reachable": func(b *bed, _ *traffic) { b.health("app", green, false) },
		"an empty pool":                  func(b *bed, _ *traffic) { b.announce("app", 2, 0); b.health("app", blue, true) },
		"worse than the other":           func(_ *bed, w *traffic) { w.set(wellBlue, badGreen) },
		"worse, when it goes on": func(b *bed, w *traffic) {
			w.set(wellBlue, badGreen)
			_, err := b.Resume(b.Context(), request("app"))
			b.must(err)
		},
		"not reachable after a restart": func(b *bed, _ *traffic) {
			b.restart()
			b.pools("app", 2, 2)
			b.health("app", green, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, _, w := oneWay(t)
				found(b, w)
				pass(20 * time.Minute)
				b.at("app", switcher.Ramping, 10)
				b.stored("app")
				_, err := b.rollback("app") // which always wins
				b.must(err)
				pass(time.Second)
				b.at("app", switcher.Steady, 0)
			})
		})
	}
}

func TestARampThatCanGoBackAgainDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, v, _ := oneWay(t)
		v.say(switcher.Wait, "not yet")
		_, err := b.Resume(b.Context(), request("app"))
		b.must(err)
		pass(time.Second)
		b.health("app", green, false)
		pass(time.Second)
		b.at("app", switcher.Steady, 0)
	})
}
