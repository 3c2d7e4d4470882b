package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// instance is an upstream that is in Consul's catalog.
type instance struct {
	*backend
	id, color string
	asked     atomic.Int64
	sick      atomic.Bool // answers 503 to /ready
}

func newInstance(t testing.TB, id, color string) *instance {
	i := &instance{id: id, color: color}
	i.backend = newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			if i.sick.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		i.asked.Add(1)
		_, _ = io.WriteString(w, color)
	}))
	return i
}

// entry is how the catalog knows it.
func (i *instance) entry(t testing.TB) consultest.Instance {
	t.Helper()
	host, port, err := net.SplitHostPort(i.address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return consultest.Instance{Service: "app", ID: i.id, Address: host, Port: n, Tags: []string{i.color}}
}

func TestInstancesComeAndGoInConsulUnderLoadAndNothingFails(t *testing.T) {
	server := consultest.Start(t, consultest.Options{})
	blues := []*instance{newInstance(t, "b1", "blue"), newInstance(t, "b2", "blue"), newInstance(t, "b3", "blue")}
	green := newInstance(t, "g1", "green")
	for _, i := range append(blues[:2:2], green) {
		server.Register(t, i.entry(t))
	}
	e := newEdge(t, "")
	e.write(fmt.Sprintf(`
		consul {
			address %s
		}
		service app {
			pools consul app
			health http /healthz {
				interval 100ms
			}
		}`, server.Address), siteBlueGreen)
	e.start()
	e.until("the pools are there and healthy", func() bool {
		v := e.view()
		return v.Blue.Healthy == 2 && v.Green.Healthy == 1
	})

	stop := make(chan struct{})
	failures := make(chan string, 100)
	var asked atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			resp, err := http.Get("http://" + e.http + "/")
			if err != nil {
				failures <- err.Error()
				continue
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				failures <- fmt.Sprintf("%d %s %v", resp.StatusCode, body, err)
			}
			asked.Add(1)
		}
	}()
	total := func(n int) func() bool { return func() bool { return e.view().Blue.Total == n } }
	for range 5 {
		server.Register(t, blues[2].entry(t))
		e.until("the new instance is there", total(3))
		e.until("it is healthy, and takes traffic", func() bool { return e.view().Blue.Healthy == 3 })
		server.Deregister(t, blues[2].entry(t))
		e.until("it has gone", total(2))
	}
	if out := e.cli("cutover", "app", "--to", "green"); out.code != 0 {
		t.Error(out)
	}
	before := green.asked.Load()
	e.until("green is asked", func() bool { return green.asked.Load() > before })
	server.Kill(t)
	seen := asked.Load()
	e.until("traffic goes on without Consul", func() bool { return asked.Load() > seen+200 })
	e.until("status says that Consul is gone", func() bool { return e.view().Source.Error != "" })
	if out := e.cli("rollback", "app"); out.code != 0 {
		t.Errorf("rollback without Consul: %s", out)
	}
	// An edge that starts while Consul is gone knows the pools of before.
	close(stop)
	<-done
	e.stop()
	e.start()
	e.until("the pools of before are healthy", func() bool { v := e.view(); return v.Blue.Healthy == 2 && v.Green.Healthy == 1 })
	e.until("status says again that Consul is gone", func() bool { return e.view().Source.Error != "" })
	if v := e.view(); v.Active != switcher.Blue || !v.Source.Remembered {
		t.Errorf("%s is active; the source says %+v", v.Active, v.Source)
	}
	close(failures)
	for f := range failures {
		t.Errorf("a request failed: %s", f)
	}
	t.Logf("%d requests", asked.Load())
	if t.Failed() {
		e.explain()
	}
}
