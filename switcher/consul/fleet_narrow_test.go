package consul

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// narrowing is Consul's KV with one key, whose reader loses its permission and
// has it back. A query has the permission of the moment at which it begins, also
// if it blocks, as with a real server.
type narrowing struct {
	allowed atomic.Bool
	asked   atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (n *narrowing) RoundTrip(r *http.Request) (*http.Response, error) {
	n.asked.Add(1)
	allowed := n.allowed.Load()
	if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
		timer := time.NewTimer(wait + wait/16)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Consul-Index", "10")
	w.Header().Set("X-Consul-KnownLeader", "true")
	w.Header().Set("X-Consul-LastContact", "0")
	if allowed {
		_, _ = w.WriteString(`[{"Key": "greenroom/app/desired", "Value": "Z3JlZW4=", "ModifyIndex": 7}]`)
	} else {
		w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
		w.WriteHeader(http.StatusNotFound)
	}
	return w.Result(), nil
}

func TestKeysThatMayBeReadAgainAreSeenWithinTwentySeconds(t *testing.T) {
	for _, narrow := range []time.Duration{time.Second, 15 * time.Second, time.Minute, time.Hour} {
		for _, shift := range []time.Duration{0, 3 * time.Second, 7200 * time.Millisecond, 13 * time.Second} {
			t.Run(fmt.Sprintf("for %s, %s after", narrow, shift), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { seesAgain(t, narrow, shift) })
			})
		}
	}
}

// seesAgain takes the permission away in the midst of a query, and gives it back.
func seesAgain(t *testing.T, narrow, shift time.Duration) {
	kv := new(narrowing)
	kv.allowed.Store(true)
	client, err := NewClient(Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	client.api, err = api.NewClient(&api.Config{Address: "consul.test", Token: hidden, HttpClient: &http.Client{Transport: kv}})
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := NewFleet(client, FleetConfig{Edge: "edge-1"})
	if err != nil {
		t.Fatal(err)
	}
	r := &round{Fleet: fleet, heard: make(chan tree, 1)}
	ctx, stop := context.WithCancel(t.Context())
	r.work.Go(func() { client.follow(ctx, r, &r.urgent) })
	defer r.work.Wait()
	defer stop()
	first := <-r.heard
	if !first.sound() || first.services["app"].desired.index != 7 {
		t.Fatalf("heard %+v", first)
	}
	time.Sleep(40*time.Second + shift)
	kv.allowed.Store(false)
	time.Sleep(narrow)
	kv.allowed.Store(true)
	asked, last := kv.asked.Load(), first
	for range 200 {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		select {
		case last = <-r.heard:
		default:
		}
	}
	if !last.sound() || len(last.services) != 1 {
		t.Errorf("20 s after: %d services, filtered %v", len(last.services), last.filtered)
	}
	time.Sleep(40 * time.Second)
	if n := kv.asked.Load() - asked; n > 10 {
		t.Errorf("%d queries in a minute", n)
	}
}

// To a client without a token Consul says 404 where it may read nothing, and not
// that ACLs filter the answer.
func TestWhatAnEdgeWithoutATokenMayNotReadIsNotDeleted(t *testing.T) {
	server := consultest.Start(t, consultest.Options{ACL: true})
	s := newStage(t, server)
	all := `key_prefix "` + s.prefix + `/" { policy = "write" }`
	server.Policy(t, "anyone", all)
	_, _, err := server.API.ACL().TokenUpdate(&api.ACLToken{
		AccessorID: "00000000-0000-0000-0000-000000000002", Policies: []*api.ACLLink{{Name: "anyone"}},
	}, nil)
	s.must(err)
	t.Setenv("FLEET_TOKEN", server.Token)
	other := s.edge(server.Address, "edge-2", func(e *edge) { e.tokenEnv = "FLEET_TOKEN" })
	s.agrees(blue, 1, other)
	e := s.edge(server.Address, "edge-1")
	e.until("it to ask for a token", func() bool { return strings.Contains(e.fleet.Stats().Error, "without a token") })
	s.agrees(blue, 1, e, other)
	index := s.trigger("green")
	s.agrees(green, 2, e, other)
	server.Policy(t, "anyone", `key_prefix "other" { policy = "write" }`)
	e.until("the keys to be gone from its sight", func() bool {
		pairs, meta, err := e.client.api.KV().List(s.prefix+"/", nil)
		return err == nil && len(pairs) == 0 && !meta.ResultsFilteredByACLs
	})
	e.rollback()
	e.local(Unpublished)
	e.serves(blue)
	server.Policy(t, "anyone", all)
	s.agrees(blue, 3, e, other)
	if n := e.notices.count(Deleted); n != 0 || e.status().AppliedIndex != index {
		t.Errorf("%d deletions were noticed; %+v", n, e.status())
	}
}
