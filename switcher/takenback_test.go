package switcher_test

import (
	"slices"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// takenBack is what the hook of that name was told.
type takenBack struct {
	service string
	c       switcher.Color
	by      switcher.FailureCause
}

// listen has a bed that is not open yet write down what is taken back.
func (b *bed) listen() *[]takenBack {
	told := new([]takenBack)
	b.hooks.TakenBack = func(service string, c switcher.Color, by switcher.FailureCause) {
		*told = append(*told, takenBack{service, c, by})
	}
	return told
}

func TestWhatIsTakenBackIsToldOnceWithItsCause(t *testing.T) {
	causes := map[string]switcher.FailureCause{
		"a gate that refuses": switcher.CauseGate, "a gate that stays closed": switcher.CauseGate,
		"a target that is not reachable": switcher.CauseUpstreams,
	}
	for name, fail := range failures {
		for _, policy := range []switcher.FailurePolicy{"", switcher.OnFailureFreeze, switcher.OnFailureForwardOnly} {
			t.Run(name+" "+string(policy), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					v := new(valve)
					v.say(switcher.Pass, "")
					b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{
						"app": {Gates: []switcher.Gate{v}, Options: switcher.Options{OnFailure: policy}},
					}}
					told := b.listen()
					b.open()
					_, err := b.cutover(green, "10:1m,50:1m", "app")
					b.must(err)
					b.at("app", switcher.Ramping, 10)
					fail(b, v)
					pass(10 * time.Minute)
					var want []takenBack
					if policy == "" {
						want = []takenBack{{"app", green, causes[name]}}
					}
					if !slices.Equal(*told, want) {
						t.Errorf("told %v, want %v", *told, want)
					}
				})
			})
		}
	}
}

func TestAWorseColorIsTakenBackFromEachServiceOfTheMoveByTheMetric(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &traffic{last: time.Now(), counts: map[string]*switcher.PerColor[compare.Counts]{"app": {}, "web": {}}}
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{}, hooks: switcher.Hooks{Samples: w.samples}}
		for name := range w.counts {
			b.configs[name] = switcher.Config{Compare: new(compare.Limits)}
		}
		told := b.listen()
		b.open()
		w.set(wellBlue, badGreen)
		_, err := b.cutover(green, "10:10m", "app", "web")
		b.must(err)
		pass(2 * time.Minute)
		b.at("app", switcher.Steady, 0)
		by := switcher.FailureCause(compare.Errors)
		if want := []takenBack{{"app", green, by}, {"web", green, by}}; !slices.Equal(*told, want) {
			t.Errorf("told %v, want %v", *told, want)
		}
	})
}

func TestAnOperatorsRollbackIsNoneThatIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"app": {}}}
		told := b.listen()
		b.open()
		_, err := b.cutover(green, "10:1m", "app")
		b.must(err)
		pass(time.Second)
		_, err = b.rollback("app")
		b.must(err)
		pass(time.Minute)
		b.at("app", switcher.Steady, 0)
		if len(*told) > 0 {
			t.Errorf("told %v", *told)
		}
	})
}
