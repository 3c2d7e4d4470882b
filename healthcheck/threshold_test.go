package healthcheck

import (
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// feed observes one answer per second: + is a pass, - a failure. It returns
// what became of the verdict after each: H healthy, u unhealthy, ? unknown;
// and checks that Observe reports a change exactly when there is one.
func feed(t *testing.T, threshold *Threshold, at *time.Time, answers string) string {
	t.Helper()
	var verdicts strings.Builder
	for _, a := range answers {
		*at = at.Add(time.Second)
		before := verdict(*threshold)
		changed := threshold.Observe(*at, a == '+')
		after := verdict(*threshold)
		if changed != (before != after) {
			t.Errorf("Observe says changed=%v from %c to %c", changed, before, after)
		}
		if changed && !threshold.Since.Equal(*at) {
			t.Errorf("Since is %v after a change at %v", threshold.Since, *at)
		}
		verdicts.WriteRune(after)
	}
	return verdicts.String()
}

func verdict(t Threshold) rune {
	switch {
	case t.Healthy:
		return 'H'
	case t.Known:
		return 'u'
	}
	return '?'
}

func TestOnlyResultsInARowChangeTheVerdict(t *testing.T) {
	for _, c := range []struct {
		name           string
		rise, fall     int
		answers, wants string
	}{
		{"the defaults are 2 and 3", 0, 0, "++---", "?HHHu"},
		{"rise", 3, 2, "+++", "??H"},
		{"a failure starts rise anew", 3, 2, "++-+++", "?????H"},
		{"fall without ever being healthy", 3, 2, "--", "?u"},
		{"a pass starts fall anew", 3, 2, "-+--", "???u"},
		{"alternating answers reach no verdict", 2, 2, "+-+-+-", "??????"},
		{"alternating answers keep a verdict", 2, 2, "++-+-+", "?HHHHH"},
		{"a fall needs fall failures", 1, 3, "+--+---", "HHHHHHu"},
		{"rise and fall of one follow each answer", 1, 1, "+-", "Hu"},
		{"a first fall costs no hold-down", 2, 2, "++--++", "?HHuuH"},
		{"unhealthy without a fall costs no hold-down", 1, 1, "--+-+", "uuHuH"},
	} {
		threshold := Threshold{Settings: Settings{Rise: c.rise, Fall: c.fall}}
		at := epoch
		if got := feed(t, &threshold, &at, c.answers); got != c.wants {
			t.Errorf("%s:\n%s\n%s, want\n%s", c.name, c.answers, got, c.wants)
		}
	}
}

func TestTheZeroThresholdIsUnknownAndNotHealthy(t *testing.T) {
	var threshold Threshold
	if threshold.Healthy || threshold.Known || !threshold.Since.IsZero() || threshold.Needed() != 2 {
		t.Errorf("the zero value is %+v, needs %d", threshold, threshold.Needed())
	}
}

func TestNeededCountsDownToHealth(t *testing.T) {
	threshold := Threshold{Settings: Settings{Rise: 3, Fall: 1}}
	at := epoch
	for i, want := range []int{2, 1, 0, 0, 3, 2, 3} {
		feed(t, &threshold, &at, "++++-+-"[i:i+1])
		if got := threshold.Needed(); got != want {
			t.Errorf("after %q: needed %d, want %d", "++++-+-"[:i+1], got, want)
		}
	}
}

// With a rise and a fall of 1, holds of 4s to 16s and a window of 20s.
func TestAFlappingUpstreamIsHeldDownEachTimeLonger(t *testing.T) {
	passes := func(n int) string { return strings.Repeat("+", n) }
	held := func(n int) string { return strings.Repeat("u", n) }
	healthy := func(n int) string { return strings.Repeat("H", n) }
	for _, c := range []struct{ name, answers, wants string }{
		{"holds double up to the longest", "+-+" + "-++++" + "-" + passes(8) + "-" + passes(16) + "-" + passes(16),
			"HuH" + "uuuuH" + "u" + held(7) + "H" + "u" + held(15) + "H" + "u" + held(15) + "H"},
		{"a fall at the window's end is a flap", "+-" + passes(19) + "-" + passes(4), "Hu" + healthy(19) + "uuuuH"},
		{"a fall after the window is forgiven", "+-" + passes(20) + "-+", "Hu" + healthy(20) + "uH"},
		{"the window begins when a hold-down ends", "+-+-" + passes(23) + "-" + passes(8), "HuHu" + held(3) + healthy(20) + "u" + held(7) + "H"},
		{"after a quiet window holds start anew", "+-+-" + passes(24) + "-+-++++", "HuHu" + held(3) + healthy(21) + "uHuuuuH"},
		{"failures do not extend a hold-down", "+-+-----+", "HuHuuuuuH"},
		{"a failure in a hold-down leaves it in force", "+-+-+-++", "HuHuuuuH"},
	} {
		threshold := Threshold{Settings: Settings{
			Rise: 1, Fall: 1, HoldMin: 4 * time.Second, HoldMax: 16 * time.Second, FlapWindow: 20 * time.Second,
		}}
		at := epoch
		if got := feed(t, &threshold, &at, c.answers); got != c.wants {
			t.Errorf("%s:\n%s\n%s, want\n%s", c.name, c.answers, got, c.wants)
		}
	}
}

func TestWhatPassesInAHoldDownIsHeld(t *testing.T) {
	threshold := &Threshold{Settings: Settings{Rise: 2, Fall: 1, HoldMin: time.Minute}}
	at := epoch
	for _, c := range []struct {
		answers string
		held    bool
	}{{"+", false}, {"+", false}, {"-", false}, {"++", false}, {"-", false}, {"+", false}, {"+", true}, {"+", true}, {"-", false}, {"++", true}} {
		feed(t, threshold, &at, c.answers)
		if threshold.Held() != c.held {
			t.Errorf("after %q at %v: held %t", c.answers, at, threshold.Held())
		}
	}
	at = threshold.HeldUntil
	if feed(t, threshold, &at, "+"); threshold.Held() || !threshold.Healthy {
		t.Errorf("%+v", threshold)
	}
}

func TestPassesDuringAHoldDownCount(t *testing.T) {
	settings := Settings{Rise: 3, Fall: 1, HoldMin: 4 * time.Second}
	for _, c := range []struct{ answers, wants string }{
		{"+++-+++-++++", "??HuuuHuuuuH"}, // three passes in the hold, the fourth ends it
		{"+++-+++--+++", "??HuuuHuuuuH"}, // two in the hold, the third at its end
		{"+++-+++----+++", "??HuuuHuuuuuuH"},
	} {
		threshold, at := Threshold{Settings: settings}, epoch
		if got := feed(t, &threshold, &at, c.answers); got != c.wants {
			t.Errorf("%s:\n%s, want\n%s", c.answers, got, c.wants)
		}
	}
	threshold, at := Threshold{Settings: settings}, epoch
	feed(t, &threshold, &at, "+++-+++-+++")
	if threshold.Needed() != 1 || threshold.Flaps != 1 || !threshold.HeldUntil.Equal(at.Add(time.Second)) {
		t.Errorf("held with enough passes: needed %d, flaps %d, held until %v at %v", threshold.Needed(), threshold.Flaps, threshold.HeldUntil, at)
	}
}
