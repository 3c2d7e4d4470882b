package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// recovery is how soon after Consul's an edge must serve what is new. The race
// detector is slow.
func recovery() time.Duration {
	if raceFlag == "-race" {
		return time.Minute
	}
	return 20 * time.Second
}

// bed is an edge that serves from Consul under a steady load, with two blue and
// two green instances that must never be missed.
type bed struct {
	*edge
	load    *steady
	core    []*instance
	recruit int // number of the latest one

	lost    map[string]bool // addresses that were missed; of the watch, until it has stopped
	stopped func()          // ends the watch, once
}

// newBed registers the instances at server and asks it at an address. Options
// are of the consul block.
func newBed(t *testing.T, server *consultest.Server, address, options string) *bed {
	t.Helper()
	b := &bed{edge: newEdge(t, ""), lost: make(map[string]bool)}
	for _, id := range []string{"b1", "b2", "g1", "g2"} {
		b.core = append(b.core, newInstance(t, id, map[byte]string{'b': "blue", 'g': "green"}[id[0]]))
	}
	b.register(server)
	b.write(fmt.Sprintf(`
		consul {
			address %s
			%s
		}
		service app {
			pools consul app {
				hold 1s
				reads 1
			}
			health http /ready {
				interval 100ms
				timeout 10s
			}
		}`, address, options), siteBlueGreen)
	b.start()
	b.until("the pools are there and healthy", func() bool {
		v := b.view()
		return v.Blue.Healthy == 2 && v.Green.Healthy == 2
	})
	t.Cleanup(func() {
		if t.Failed() {
			b.explain()
		}
	})
	b.load = startSteady(b.edge)
	b.watch()
	return b
}

// register makes the catalog know the instances that must never be missed.
func (b *bed) register(server *consultest.Server) {
	b.t.Helper()
	for _, i := range b.core {
		server.Register(b.t, i.entry(b.t))
	}
}

// age makes the catalog change often, so that one that is wiped is behind it.
func (b *bed) age(server *consultest.Server) {
	b.t.Helper()
	entry := b.core[0].entry(b.t)
	for n := range 60 {
		entry.Meta = map[string]string{"n": fmt.Sprint(n)}
		server.Register(b.t, entry)
	}
}

// watch looks at the pools all the time.
func (b *bed) watch() {
	stop, done := make(chan struct{}), make(chan struct{})
	b.stopped = sync.OnceFunc(func() { close(stop); <-done })
	b.t.Cleanup(b.stopped)
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			// An edge that has just started may have been told of no pools yet.
			v, err := b.client().View(b.t.Context(), "app")
			if err == nil && !v.Source.Updated.IsZero() {
				b.miss(v)
			}
		}
	}()
}

// miss notes who is not in the pools.
func (b *bed) miss(v switcher.ServiceView) {
	for _, i := range b.core {
		pool := v.Blue.Upstreams
		if i.color == "green" {
			pool = v.Green.Upstreams
		}
		if !slices.ContainsFunc(pool, func(u switcher.UpstreamView) bool { return u.Address == i.address }) && !b.lost[i.id] {
			b.lost[i.id] = true
			b.t.Errorf("%s was lost at %s: %d blue, %d green: %+v", i.id, time.Now().Format(time.StampMilli), v.Blue.Total, v.Green.Total, v.Source)
		}
	}
}

// end stops the load, and reports.
func (b *bed) end() {
	b.t.Helper()
	b.load.stopped()
	b.stopped()
	b.until("the metrics say what status says of the age of the pools", func() bool {
		const name = `greenroom_pools_answered_timestamp_seconds{service="app"} `
		_, rest, _ := strings.Cut(answerOf(b.t, http.DefaultClient, "http://"+b.admin+"/metrics"), name)
		text, _, _ := strings.Cut(rest, "\n")
		seconds, err := strconv.ParseFloat(text, 64)
		answered := b.view().Source.Answered
		return err == nil && !answered.IsZero() && math.Abs(seconds-float64(answered.UnixMilli())/1000) < 0.01
	})
	b.t.Logf("at the end: %s; %d pool losses", b.load, len(b.lost))
}

// moves goes to green and back, as an operator does.
func (b *bed) moves(when string) {
	b.t.Helper()
	for _, command := range [][]string{{"cutover", "app", "--to", "green"}, {"rollback", "app"}} {
		if out := b.cli(command...); out.code != 0 {
			b.t.Errorf("%s: %v: %s", when, command, out)
		}
	}
	var doc struct{ Services []switcher.ServiceView }
	out := b.cli("status", "app", "--json")
	if err := json.Unmarshal([]byte(out.stdout), &doc); err != nil || out.code != 0 || len(doc.Services) != 1 {
		b.t.Fatalf("%s: status: %v: %s", when, err, out)
	}
	if v := doc.Services[0]; v.Active != switcher.Blue || v.Blue.Healthy < 2 || v.Green.Healthy < 2 {
		b.t.Errorf("%s: %s is active, %d of blue and %d of green are healthy", when, v.Active, v.Blue.Healthy, v.Green.Healthy)
	}
}

// probes wants this edge's own checks to go on.
func (b *bed) probes() {
	b.t.Helper()
	b.core[1].sick.Store(true)
	b.until("what is sick takes no requests", func() bool { return b.view().Blue.Healthy == 1 })
	b.core[1].sick.Store(false)
	b.until("what has recovered takes requests", func() bool { return b.view().Blue.Healthy == 2 })
}

// says waits until status does.
func (b *bed) says(words string) {
	b.t.Helper()
	b.until("status says "+words, func() bool { return strings.Contains(b.view().Source.Error, words) })
}

// converge registers a new instance with a Consul that has just recovered, and
// returns how long it took until it serves.
func (b *bed) converge(server *consultest.Server) (*instance, time.Duration) {
	b.t.Helper()
	recovered := time.Now()
	b.recruit++
	i := newInstance(b.t, fmt.Sprint("recruit", b.recruit), "blue")
	server.Register(b.t, i.entry(b.t))
	b.until("the new instance serves", func() bool { return i.asked.Load() > 0 })
	return i, time.Since(recovered)
}

// trouble is something that befalls Consul, and its end.
type trouble struct {
	name       string
	harm, heal func()
	says       string // what status says meanwhile; empty: perhaps nothing
	wiped      bool   // nothing leaves a pool for some minutes afterwards
}

// survive goes through a trouble, and measures what comes after it at server.
func (b *bed) survive(c trouble, server *consultest.Server) {
	b.t.Helper()
	asked, began := b.load.asked.Load(), time.Now()
	c.harm()
	if c.says != "" {
		b.says(c.says)
	}
	b.moves(c.name)
	c.heal()
	trouble := time.Since(began)
	i, took := b.converge(server)
	if most := recovery(); took > most {
		b.t.Errorf("%s: %s until what is new serves, want at most %s", c.name, took, most)
	}
	b.t.Logf("%s: lasted %s, converged %s after; %d requests; in all %s", c.name,
		trouble.Round(100*time.Millisecond), took.Round(time.Millisecond), b.load.asked.Load()-asked, b.load)
	b.until("nothing fails", func() bool { return b.view().Source.Error == "" })
	if !c.wiped {
		server.Deregister(b.t, i.entry(b.t))
		// A server that was killed may answer with an older catalog at first. The
		// edge then lets nothing go for three minutes, on purpose.
		waitAtMost(b.t, 4*patience, "all is as before", func() bool { return b.view().Blue.Total == 2 }, b.log.String)
	}
}
