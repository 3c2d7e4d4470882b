package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// agent is the part of Consul that services register with, and that checks them.
type agent struct {
	t *testing.T
	*consultest.Server
}

// register adds or changes an instance, with a check of Consul's own.
func (a agent) register(i *instance) {
	a.t.Helper()
	entry := i.entry(a.t)
	doc, err := json.Marshal(map[string]any{
		"ID": i.id, "Name": entry.Service, "Address": entry.Address, "Port": entry.Port, "Tags": entry.Tags,
		"Check": map[string]any{"HTTP": "http://" + i.address + "/healthz", "Interval": "1s", "Timeout": "1s", "Status": "passing"},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.put("register", doc)
}

func (a agent) deregister(i *instance) { a.t.Helper(); a.put("deregister/"+i.id, nil) }

func (a agent) put(what string, doc []byte) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPut, "http://"+a.Address+"/v1/agent/service/"+what, bytes.NewReader(doc))
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	bodyOf(a.t, resp)
}

// die ends the app at once: what was open is reset.
func (i *instance) die() { _ = i.server.Close() }

// upstream returns what status shows of an address in the blue pool.
func (b *bed) upstream(address string) (u switcher.UpstreamView, there bool) {
	b.t.Helper()
	list := b.view().Blue.Upstreams
	n := slices.IndexFunc(list, func(u switcher.UpstreamView) bool { return u.Address == address })
	if n < 0 {
		return u, false
	}
	return list[n], true
}

// serves waits until an instance takes requests, and returns how long that was.
func (b *bed) serves(i *instance) time.Duration {
	b.t.Helper()
	began := time.Now()
	b.until(i.id+" serves", func() bool { return i.asked.Load() > 0 })
	return time.Since(began)
}

func (b *bed) leaves(i *instance) {
	b.t.Helper()
	b.until(i.id+" has left the pool", func() bool { _, there := b.upstream(i.address); return !there })
}

func TestInstancesThatComeGoFailAndMoveUnderSteadyLoadCostNoRequest(t *testing.T) {
	t.Parallel()
	a := agent{t, consultest.Start(t, consultest.Options{})}
	b := newBed(t, a.Server, a.Address, "")
	var took []time.Duration
	for n := range 12 {
		checked := newInstance(t, fmt.Sprint("checked", n), "blue")
		a.register(checked)
		took = append(took, b.serves(checked))
		checked.die() // Consul notices by itself
		b.leaves(checked)

		again := newInstance(t, checked.id, "blue") // at another port
		a.register(again)
		took = append(took, b.serves(again))

		silent := newInstance(t, fmt.Sprint("silent", n), "blue")
		a.Register(t, silent.entry(t))
		took = append(took, b.serves(silent))
		silent.die() // Consul does not know
		b.until("the edge notices", func() bool { u, _ := b.upstream(silent.address); return !u.Healthy })
		moved := newInstance(t, silent.id, "blue")
		a.Register(t, moved.entry(t))
		took = append(took, b.serves(moved))
		b.leaves(silent)

		a.deregister(again)
		a.Deregister(t, moved.entry(t))
		b.leaves(again)
		b.leaves(moved)
	}
	b.moves("after all rounds")
	slices.Sort(took)
	t.Logf("%d registrations served after %s at the median, %s at most", len(took),
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	b.end()
}
