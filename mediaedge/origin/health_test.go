package origin

import (
	"testing"
	"time"
)

// now is when pure tests begin.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestThreeFailuresInARowTakeAnEndpointOutLongerEachTime(t *testing.T) {
	h, at := health{}, now
	h.failed(at, false)
	h.failed(at, false)
	h.answered(false)
	h.whole()
	h.failed(at, false)
	h.failed(at, false)
	if !h.in() {
		t.Fatal("out, though a whole answer came between the failures")
	}
	h.failed(at, false)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		pause := want * time.Second
		if got := h.until.Sub(at); got != pause {
			t.Fatalf("out for %v, want %v", got, pause)
		}
		h.failed(at, false) // of a request that was under way
		if ok, _ := h.admit(at.Add(pause - 1)); ok {
			t.Fatal("asked too early")
		}
		at = at.Add(pause)
		ok, probe := h.admit(at)
		if more, _ := h.admit(at); !ok || !probe || more {
			t.Fatalf("ok %v, probe %v, and one more %v", ok, probe, more)
		}
		h.failed(at, true)
	}
}

func TestOneAnswerLetsAnEndpointBackIn(t *testing.T) {
	h := health{}
	out := func() {
		for range maxFails {
			h.failed(now, false)
		}
	}
	out()
	h.answered(false)
	h.whole()
	if h.in() {
		t.Error("the answer to a request of before decided")
	}
	later := now.Add(minOut)
	_, probe := h.admit(later)
	h.left(probe)
	if ok, probe := h.admit(later); !ok || !probe {
		t.Fatal("a client that left has spent the probe")
	}
	h.answered(true)
	if ok, probe := h.admit(later); !ok || probe || !h.in() {
		t.Fatal("not let in")
	}
	h.failed(later, false)
	if got := h.until.Sub(later); got != 2*minOut {
		t.Errorf("its body died and it is out for %v", got)
	}
	h.admit(h.until)
	h.answered(true)
	h.whole()
	if h != (health{}) {
		t.Errorf("%+v after a whole answer", h)
	}
}
