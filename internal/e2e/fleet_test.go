package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// fleet is edges on one Consul, and the key that moves them.
type fleet struct {
	t      testing.TB
	server *consultest.Server
	edges  []*edge
}

func newFleet(t testing.TB, size int) *fleet {
	return fleetOf(t, saying("blue"), saying("green"), make([]string, size)...)
}

// fleetOf has an edge with each of these options of the service, all before the
// same two apps.
func fleetOf(t testing.TB, blues, greens http.Handler, options ...string) *fleet {
	f := &fleet{t: t, server: consultest.Start(t, consultest.Options{})}
	blue, green := newBackend(t, blues), newBackend(t, greens)
	for i, option := range options {
		e := newEdge(t, "")
		e.write(fmt.Sprintf(`
		consul {
			address %s
			fleet {
				edge edge-%d
				retry 1s
			}
		}
		service app {
			blue %s
			green %s
			health http /healthz {
				interval 100ms
			}
			%s
		}`, f.server.Address, i+1, blue.address, green.address, option), siteBlueGreen)
		f.edges = append(f.edges, e)
	}
	return f
}

func (f *fleet) start(edges ...*edge) {
	f.t.Helper()
	for _, e := range edges {
		e.start()
	}
	for _, e := range edges {
		e.healthy()
	}
}

// put writes the key that moves the service, and returns its index.
func (f *fleet) put(value string) uint64 {
	f.t.Helper()
	return f.server.Put(f.t, "greenroom/app/desired", value)
}

// report is what an edge shows of the fleet, and the exit code.
func (f *fleet) report(e *edge) (consul.FleetReport, int) {
	f.t.Helper()
	out := e.cli("status", "--fleet", "--json")
	var r consul.FleetReport
	if err := json.Unmarshal([]byte(out.stdout), &r); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	return r, out.code
}

// agrees waits until these edges serve a color, and all that are asked say that
// the whole fleet agrees.
func (f *fleet) agrees(c switcher.Color, edges ...*edge) {
	f.t.Helper()
	for _, e := range edges {
		e.until("it serves "+c.String(), func() bool { v := e.view(); return v.Active == c && v.Split == switcher.All(c) })
	}
	edges[0].until("the fleet agrees on "+c.String(), func() bool {
		r, code := f.report(edges[0])
		return code == 0 && len(r.Services) == 1 && len(r.Services[0].Edges) == len(f.edges) && r.Services[0].State.Active == c
	})
}

func TestAKeyInConsulMovesThreeEdgesAndOneThatWasKilledCatchesUp(t *testing.T) {
	f := newFleet(t, 3)
	f.start(f.edges...)
	f.agrees(switcher.Blue, f.edges...)

	index := f.put("green")
	f.agrees(switcher.Green, f.edges...)
	r, _ := f.report(f.edges[1])
	for _, e := range r.Services[0].Edges {
		if e.AppliedIndex != index || e.Trigger.Result != consul.Applied {
			t.Errorf("%+v, want index %d applied", e, index)
		}
	}

	f.edges[2].kill()
	if out := f.edges[0].cli("rollback", "app", "--reason", "green stutters"); out.code != 0 {
		t.Fatal(out)
	}
	f.edges[1].until("the second edge follows", func() bool { return f.edges[1].view().Active == switcher.Blue })
	if _, code := f.report(f.edges[0]); code != 19 {
		t.Errorf("an edge is gone, and status --fleet ends with %d", code)
	}
	f.start(f.edges[2]) // and does not take the old trigger for a new one
	f.agrees(switcher.Blue, f.edges...)
	if last := f.edges[2].view().Last; last == nil || !strings.Contains(last.By, "consul state") || last.Reason != "green stutters" {
		t.Errorf("the third edge's last move: %+v", last)
	}

	f.put(`{"to":"green","reason":"release 42","if_generation":99}`)
	f.edges[0].until("the trigger is refused everywhere", func() bool {
		r, _ := f.report(f.edges[0])
		for _, e := range r.Services[0].Edges {
			if e.Trigger.Result != consul.Conflict {
				return false
			}
		}
		return true
	})
	f.put("grün")
	f.edges[0].audits(`"decision":"refused","code":"invalid"`, "greenroom/app/desired", `begins with \"grün\"`)
	if _, err := f.server.API.KV().Delete("greenroom/app/desired", nil); err != nil {
		t.Fatal(err)
	}
	for _, e := range f.edges {
		e.audits("greenroom/app/desired", "the key is gone")
	}
	f.put(`{"to":"green","reason":"release 42"}`)
	f.agrees(switcher.Green, f.edges...)
	for i, e := range f.edges {
		out := e.cli("audit", "verify", e.dir+"/state/audit.jsonl")
		log, err := os.ReadFile(e.dir + "/state/audit.jsonl")
		if log := string(log); err != nil || out.code != 0 || !strings.Contains(log, "consul kv (index ") || !strings.Contains(log, "release 42") {
			t.Errorf("edge %d: %s\n%s", i+1, out, log)
		}
	}
	metrics := fetch(t, "http://"+f.edges[0].admin+"/metrics")
	for _, want := range []string{
		`greenroom_fleet_values_total{key="desired",result="applied",service="app"} `,
		`greenroom_fleet_values_total{key="desired",result="conflict",service="app"} 1`,
		`greenroom_fleet_values_total{key="desired",result="deleted",service="app"} 1`,
		`greenroom_fleet_epoch{service="app"} `, "greenroom_fleet_answered_timestamp_seconds ", "greenroom_fleet_failing 0", "greenroom_fleet_write_failing 0",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	t.Logf("%s", f.edges[0].cli("status", "--fleet").stdout)
}

// audits waits until one line of the audit log has all these words.
func (e *edge) audits(words ...string) {
	e.t.Helper()
	e.until(fmt.Sprintf("the audit log says %q", words), func() bool {
		log, err := os.ReadFile(e.dir + "/state/audit.jsonl")
		return err == nil && slices.ContainsFunc(strings.Split(string(log), "\n"), func(line string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
		})
	})
}

func TestANewEdgeBeginsWhereItsFleetIs(t *testing.T) {
	f := newFleet(t, 2)
	f.start(f.edges[0])
	f.put("green")
	f.edges[0].until("it serves green", func() bool { return f.edges[0].view().Active == switcher.Green })
	f.start(f.edges[1])
	f.agrees(switcher.Green, f.edges...)
	if v := f.edges[1].view(); v.Last != nil {
		t.Errorf("the new edge has moved: %+v", v.Last)
	}
}

func TestWithoutConsulAnEdgeRollsBackAndTellsTheFleetLater(t *testing.T) {
	f := newFleet(t, 2)
	f.start(f.edges...)
	f.put("green")
	f.agrees(switcher.Green, f.edges...)
	f.server.Kill(t)
	one := f.edges[0]
	if out := one.cli("rollback", "app"); out.code != 0 {
		t.Fatal(out)
	}
	one.until("status warns that the fleet does not know", func() bool {
		return strings.Contains(one.cli("status", "app").stdout, "fleet: unpublished")
	})
	if out := one.cli("status", "--fleet"); out.code != 19 || !strings.Contains(out.stderr, "Consul cannot be asked") {
		t.Error(out)
	}
	one.audits(`"code":"invalid"`, "greenroom/: ", "connection refused")
	if metrics := fetch(t, "http://"+one.admin+"/metrics"); !strings.Contains(metrics, "greenroom_fleet_failing 1") {
		t.Error("the metrics do not say that the keys cannot be read")
	}
	f.server.Launch(t)
	f.server.Ready(t)
	f.agrees(switcher.Blue, f.edges...)
}

func TestAReloadChangesThePlaceInTheFleet(t *testing.T) {
	f := newFleet(t, 1)
	e := f.edges[0]
	f.start(e)
	f.put("green")
	f.agrees(switcher.Green, e)
	with := e.config
	e.rewrite(strings.Replace(with, "edge edge-1", "prefix elsewhere", 1))
	e.reload()
	f.put("blue")
	e.until("it has joined the other fleet", func() bool {
		r, _ := f.report(e)
		return r.Prefix == "elsewhere" && len(r.Services) == 1 && r.Services[0].State != nil
	})
	if v := e.view(); v.Active != switcher.Green {
		t.Errorf("a key of the fleet that it left moved it to %s", v.Active)
	}
	e.rewrite(with)
	e.reload()
	e.until("the key that was written meanwhile is seen", func() bool { return e.view().Active == switcher.Blue })
}
