package consul

import (
	"testing"
	"time"
)

// turn is one poll: the index it must ask for, what comes, and what must follow.
type turn struct {
	index   uint64
	outcome outcome
	tell    bool
	resets  int
	ceiling time.Duration // before the next one
}

func TestTheCursorFollowsTheRulesOfBlockingQueries(t *testing.T) {
	failed := outcome{failed: true}
	truth := func(index uint64) outcome { return outcome{index: index, vouched: true} }
	view := func(index uint64) outcome { return outcome{index: index} }
	const ms = time.Millisecond
	for name, turns := range map[string][]turn{
		"a view wakes, and a read tells": {
			{0, truth(10), true, 0, 0}, {10, view(11), false, 0, 0}, {0, truth(11), true, 0, 0}, {11, view(11), false, 0, 0},
		},
		"a view that is ahead of the read does not spin": {
			{0, truth(10), true, 0, 0}, {10, view(20), false, 0, 0}, {0, truth(10), true, 0, 0}, {20, view(20), false, 0, 0},
		},
		"a leader that vouches needs no second read": {
			{0, truth(10), true, 0, 0}, {10, truth(11), true, 0, 0}, {11, truth(11), true, 0, 0}, {11, truth(12), true, 0, 0},
		},
		"an index that goes back resets to 0": {
			{0, truth(10), true, 0, 0}, {10, truth(5), false, 0, 0}, {0, truth(5), true, 1, 0}, {5, truth(6), true, 1, 0},
		},
		"and so with a view": {
			{0, truth(10), true, 0, 0}, {10, view(30), false, 0, 0}, {0, truth(5), true, 1, 0}, {5, view(6), false, 1, 0},
		},
		"failures back off, are told, and begin again with 0": {
			{0, failed, true, 0, 250 * ms}, {0, failed, true, 0, 500 * ms}, {0, failed, true, 0, 1000 * ms},
			{0, failed, true, 0, 2 * time.Second}, {0, failed, true, 0, 4 * time.Second}, {0, failed, true, 0, 8 * time.Second},
			{0, failed, true, 0, downCeiling}, {0, failed, true, 0, downCeiling}, {0, truth(10), true, 0, 0},
			{10, failed, false, 0, 250 * ms}, {0, failed, true, 0, 250 * ms}, {0, truth(3), true, 1, 0},
		},
		"where nothing can block, reads become rare": {
			{0, truth(10), true, 0, 0}, {10, failed, false, 0, 250 * ms}, {0, truth(10), true, 0, 0},
			{10, failed, false, 0, 500 * ms}, {0, truth(10), true, 0, 0}, {10, failed, false, 0, time.Second},
			{0, truth(10), true, 0, 0}, {10, view(10), false, 0, 0}, {0, truth(10), true, 0, 0}, {10, failed, false, 0, 250 * ms},
		},
		"a read that no leader vouches for is told as such": {
			{0, view(10), true, 0, 0}, {10, view(10), false, 0, 0}, {0, view(10), true, 0, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var c cursor
			for i, turn := range turns {
				if c.index != turn.index {
					t.Fatalf("turn %d asks for index %d, want %d", i, c.index, turn.index)
				}
				if tell := c.see(turn.outcome); tell != turn.tell || c.resets != turn.resets || c.ceiling() != turn.ceiling {
					t.Fatalf("turn %d: tell %v, %d resets, ceiling %s; want %+v", i, tell, c.resets, c.ceiling(), turn)
				}
			}
		})
	}
}

func TestJitterIsFull(t *testing.T) {
	if fullJitter(0) != 0 {
		t.Error("without a ceiling there is no pause")
	}
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := fullJitter(time.Second)
		low, high = min(low, d), max(high, d)
	}
	if low > 100*time.Millisecond || high < 900*time.Millisecond || high > time.Second {
		t.Errorf("from %s to %s", low, high)
	}
}
