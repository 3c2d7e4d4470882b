package e2e

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
)

// TestAnEdgeThatFoundGreenWorseIsNotDrivenThereByItsFleet has two edges before a
// green that fails now and then. Only the first one has traffic to see it by.
func TestAnEdgeThatFoundGreenWorseIsNotDrivenThereByItsFleet(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	bad, good := failing("green", 5), saying("green")
	f := fleetOf(t, saying("blue"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mended.Load() {
			good.ServeHTTP(w, r)
			return
		}
		bad.ServeHTTP(w, r)
	}), "sticky none\nramp 10:1h"+briefly, "")
	one, two := f.edges[0], f.edges[1]
	f.start(one, two)
	f.agrees(switcher.Blue, one, two)
	c := startVisitors(t, one)

	f.put("green")
	two.until("the edge without traffic is on green", func() bool { return two.view().Active == switcher.Green })
	const why = "green is worse than blue: errors: green "
	two.until("it shows the other one's verdict", func() bool {
		r, code := f.report(two)
		e := r.Services[0].Edges[0]
		return code == 19 && e.Edge == "edge-1" && e.Result == consul.Diverged && e.Active == switcher.Blue && strings.Contains(e.Reason, why)
	})
	two.cli("status", "--fleet").wants(t, 19, "diverged", "edge-1: this edge is on blue, the fleet on green since epoch 2 by edge-2", why, "cut over here, roll back there, or trigger anew")
	one.cli("status", "app").wants(t, 0, "fleet: diverged: ", why)
	one.audits(`"decision":"refused"`, "greenroom/app/state", why)
	asked := c.asked.Load()
	one.until("visitors have asked for longer than a retry takes", func() bool { return c.asked.Load() > asked+4*visitorsPerSecond })
	if v := one.view(); v.Active != switcher.Blue || v.Cutover != nil || v.Last == nil || v.Last.Undone != switcher.UndoneByComparison || v.Generation != 3 {
		t.Errorf("it has moved again: %+v %+v", v, v.Last)
	}

	mended.Store(true)
	f.put(`{"to":"green","ramp":"50:1s","reason":"1.5.1"}`) // ends it
	f.agrees(switcher.Green, one, two)
	if r, _ := f.report(one); r.Services[0].State.Epoch != 2 {
		t.Errorf("the state is %s", r.Services[0].State)
	}
	if out := two.cli("rollback", "app"); out.code != 0 {
		t.Error(out)
	}
	f.agrees(switcher.Blue, one, two)
}
