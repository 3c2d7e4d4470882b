package consul

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// step is one answer in the life of a guard, and what must come of it.
type step struct {
	after    time.Duration // since the step before
	hosts    string        // found
	unsure   bool          // no leader vouches
	filtered bool
	resets   int
	dead     string // hosts that our probes call unhealthy
	alive    string // and healthy
	want     string // the pool
	says     string // part of the sentence; "" means: nothing is held
}

var guardCases = map[string][]step{
	"the first answer is taken as it is": {{hosts: "", want: ""}},
	"half may go at once": {
		{hosts: "a b c d", want: "a b c d"}, {hosts: "a b", want: "a b"}, {hosts: "b", want: "b"},
	},
	"the last one is held, and goes after three reads": {
		{hosts: "a", want: "a"}, {hosts: "", want: "a", says: "1 of 1 upstreams of blue vanished"},
		{after: 5 * time.Second, want: "a", says: "at once"}, {after: 5 * time.Second, want: ""},
	},
	"reads in quick succession count as one": {
		{hosts: "a", want: "a"}, {hosts: "", want: "a", says: "held"},
		{after: time.Second, want: "a", says: "held"}, {after: time.Second, want: "a", says: "held"},
		{after: 500 * time.Millisecond, want: "a", says: "held"}, {after: 3 * time.Second, want: ""},
	},
	"what probes healthy is kept for the hold": {
		{hosts: "a b c", want: "a b c"},
		{hosts: "a", alive: "b c", want: "a b c", says: "2 of 3"},
		{after: 10 * time.Second, hosts: "a", alive: "b c", want: "a b c", says: "2 of 3"},
		{after: 10 * time.Second, hosts: "a", alive: "b c", want: "a b c", says: "2 of 3"},
		{after: 10 * time.Second, hosts: "a", alive: "b c", want: "a"},
	},
	"what probes unhealthy goes, and the rest is held still": {
		{hosts: "a b c d", want: "a b c d"},
		{hosts: "a", alive: "b c", dead: "d", want: "a b c", says: "2 of 4"},
		{hosts: "a", alive: "b", dead: "c", want: "a b", says: "1 of 4"},
		{after: 30 * time.Second, hosts: "a", alive: "b", want: "a"},
	},
	"what is missing later is held longer": {
		{hosts: "a b c", want: "a b c"}, {hosts: "a", want: "a b c", says: "2 of 3"},
		{after: 5 * time.Second, hosts: "", want: "a b c", says: "3 of 3"},
		{after: 5 * time.Second, hosts: "", want: "a", says: "1 of 3"},
		{after: 5 * time.Second, hosts: "", want: ""},
	},
	"what returns is no longer missing": {
		{hosts: "a b c", want: "a b c"}, {hosts: "a", want: "a b c", says: "2 of 3"},
		{after: 5 * time.Second, hosts: "a b", want: "a b"},
	},
	"without a leader nothing goes, and nothing is counted": {
		{hosts: "a b c", want: "a b c"},
		{hosts: "a b", unsure: true, want: "a b c", says: "1 of 3 upstreams of blue vanished from the catalog: held until a leader"},
		{after: time.Hour, hosts: "", unsure: true, want: "a b c", says: "leader"},
		{after: time.Hour, hosts: "", want: "a b c", says: "3 of 3"},
		{after: time.Second, hosts: "a b", want: "a b"},
	},
	"a sudden filter holds even one": {
		{hosts: "a b c", want: "a b c"},
		{hosts: "a b", filtered: true, dead: "c", want: "a b c", says: "ACLs"},
		{after: time.Hour, hosts: "a b", filtered: true, dead: "c", want: "a b c", says: "ACLs"},
		{hosts: "a b", want: "a b"},
	},
	"a filter that was always there lets a few go, and more if our probes agree": {
		{hosts: "a b c d", filtered: true, want: "a b c d"}, {hosts: "a b c", filtered: true, want: "a b c"},
		{hosts: "", filtered: true, dead: "a", want: "b c", says: "held until our probes agree, because the token"},
		{after: time.Hour, hosts: "", filtered: true, alive: "b c", want: "b c", says: "token"},
		{hosts: "", filtered: true, dead: "b c", want: ""},
	},
	"a catalog that went back in time is not believed for three minutes": {
		{hosts: "a b", want: "a b"}, {hosts: "", resets: 1, dead: "a", want: "a b", says: "back in time"},
		{after: 179 * time.Second, hosts: "a", resets: 1, want: "a b", says: "back in time"},
		{after: time.Second, hosts: "a", resets: 1, want: "a"},
	},
	"what is new is taken whatever is held": {
		{hosts: "a b", want: "a b"}, {hosts: "c", want: "a b c", says: "2 of 2"},
		{after: 5 * time.Second, hosts: "c d", unsure: true, want: "a b c d", says: "leader"},
		{after: 5 * time.Second, hosts: "c d", want: "a b c d", says: "2 of 2"},
		{after: 5 * time.Second, hosts: "c d", want: "c d"},
	},
}

func TestTheGuardHoldsWhatIsNoEvidence(t *testing.T) {
	for name, steps := range guardCases {
		t.Run(name, func(t *testing.T) {
			g := newGuard(limits{reads: 3, spacing: 2500 * time.Millisecond, hold: 30 * time.Second, wiped: 3 * time.Minute}, nil)
			now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			for i, s := range steps {
				now = now.Add(s.after)
				seen := sight{at: now, vouched: !s.unsure, filtered: s.filtered, resets: s.resets}
				pool, v := g.judge(seen, upstreams(s.hosts), probes(s.alive, s.dead))
				if got := hostsOf(pool); got != s.want {
					t.Errorf("step %d: pool %q, want %q", i, got, s.want)
				}
				if (v.held > 0) != (s.says != "") || !strings.Contains(v.sentence(switcher.Blue), s.says) {
					t.Errorf("step %d: %d held, %q; want %q", i, v.held, v.sentence(switcher.Blue), s.says)
				}
			}
		})
	}
}

func TestTheGuardBeginsWithThePoolsOfTheLastProcess(t *testing.T) {
	g := newGuard(limits{reads: 3, hold: 30 * time.Second}, upstreams("a b c"))
	if pool, v := g.judge(sight{vouched: true}, nil, nil); hostsOf(pool) != "a b c" || v.held != 3 {
		t.Errorf("pool %v, %d held", pool, v.held)
	}
	if pool, v := g.judge(sight{vouched: true}, upstreams("a b c"), nil); hostsOf(pool) != "a b c" || v.held != 0 {
		t.Errorf("pool %v, %d held", pool, v.held)
	}
}

func TestATokenThatNeverReadAllOfItIsTheUsualCaseAfterARestart(t *testing.T) {
	for found, want := range map[string]string{"a b": "a b", "": "a b c", "x": "a b c x"} {
		g := newGuard(limits{reads: 3, hold: 30 * time.Second}, upstreams("a b c"))
		if pool, _ := g.judge(sight{vouched: true, filtered: true}, upstreams(found), nil); hostsOf(pool) != want {
			t.Errorf("found %q: pool %v, want %q", found, pool, want)
		}
	}
}

func TestASnapshotIsNeverEdited(t *testing.T) {
	g := newGuard(limits{reads: 3, hold: time.Minute}, nil)
	found := make([]switcher.Upstream, 0, 10)
	found = append(found, upstreams("a b")...)
	first, _ := g.judge(sight{vouched: true}, found, nil)
	second, _ := g.judge(sight{vouched: true}, found[:0], nil)
	second[0].Address, second[1].Address = "x", "y"
	if hostsOf(first) != "a b" || hostsOf(found) != "a b" {
		t.Errorf("first is %v, found %v", first, found)
	}
}

func upstreams(hosts string) (list []switcher.Upstream) {
	for _, h := range strings.Fields(hosts) {
		list = append(list, switcher.Upstream{Address: h, Weight: 1})
	}
	return list
}

func hostsOf(pool []switcher.Upstream) string {
	var hosts []string
	sorted := append([]switcher.Upstream{}, pool...)
	sortPool(sorted)
	for _, u := range sorted {
		hosts = append(hosts, u.Address)
	}
	return strings.Join(hosts, " ")
}

func probes(alive, dead string) Probed {
	return func(address string) (healthy, known bool) {
		healthy = strings.Contains(alive, address)
		return healthy, healthy || strings.Contains(dead, address)
	}
}

func TestAfterAnOutageOfTwoQueriesBothAreHeardBeforeOneIsTold(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC) }
	good := func(second int) answer { s := sight{at: at(second)}; return answer{last: s, good: s} }
	bad := func(second int) answer { return answer{last: sight{at: at(second), err: errNoRoom}} }
	var o outage
	for i, c := range []struct {
		blue, green answer
		want        bool
	}{
		{good(1), bad(1), false}, {bad(2), bad(1), false}, {good(3), bad(1), true}, {good(9), bad(1), true},
		{good(9), bad(4), false}, {good(9), bad(4), false}, {bad(10), bad(4), false}, {bad(10), good(11), true}, {good(12), good(11), false},
		{good(12), bad(11), false},
	} {
		if got := o.halfway(switcher.PerColor[answer]{Blue: c.blue, Green: c.green}); got != c.want {
			t.Errorf("step %d: halfway %v", i, got)
		}
	}
}
