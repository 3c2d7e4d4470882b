package consul

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestTwoHundredSourcesOfOneQueryAreOnePoll(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	server.Apply(t, instances(service, switcher.Blue, 3), nil)
	proxy := consultest.NewProxy(t, server.Address)
	client := testClient(t, Config{Address: proxy.Address})
	before := runtime.NumGoroutine()
	var sinks []*switchertest.Sink
	var stops []func()
	for range 200 {
		sink, stop := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: service}}))
		sinks, stops = append(sinks, sink), append(stops, stop)
	}
	for _, sink := range sinks {
		waitRecovery(t, sink, 3, 0)
	}
	server.Apply(t, instances(service, switcher.Green, 2), nil)
	for _, sink := range sinks {
		waitRecovery(t, sink, 3, 2)
	}
	t.Logf("%d connections were made, %d are open, %d goroutines more", proxy.Made(), proxy.Open(), runtime.NumGoroutine()-before)
	if proxy.Open() > 1 || proxy.Made() > 2 {
		t.Errorf("%d connections were made and %d are open, want one", proxy.Made(), proxy.Open())
	}
	for _, stop := range stops[1:] {
		stop()
	}
	server.Apply(t, instances(service, switcher.Green, 3), nil)
	waitRecovery(t, sinks[0], 3, 3) // the watch outlives those who left
	stops[0]()
	client.mu.Lock()
	defer client.mu.Unlock()
	if len(client.watches) != 0 || client.following != 0 {
		t.Errorf("%d watches and %d inquiries are left", len(client.watches), client.following)
	}
}

func TestMoreQueriesThanMayBlockTakeTurns(t *testing.T) {
	const services, polls = 40, 4
	server := consultest.Shared(t)
	proxy := consultest.NewProxy(t, server.Address)
	client := testClient(t, Config{Address: proxy.Address, Polls: polls})
	var names []string
	var sinks []*switchertest.Sink
	for range services {
		service := uniqueName()
		server.Apply(t, instances(service, switcher.Blue, 1), nil)
		sink, _ := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: service}}))
		names, sinks = append(names, service), append(sinks, sink)
	}
	for _, sink := range sinks {
		waitRecovery(t, sink, 1, 0)
	}
	began := time.Now()
	for _, service := range names {
		server.Apply(t, instances(service, switcher.Green, 1), nil)
	}
	for _, sink := range sinks {
		waitRecovery(t, sink, 1, 1)
	}
	t.Logf("%d queries, %d of them blocking at once: all saw a change within %s", services, polls, time.Since(began).Round(time.Millisecond))
	if open := proxy.Open(); open > polls+reads {
		t.Errorf("%d connections are open, want at most %d", open, polls+reads)
	}
}

// TestASilentConsulIsToldToAll runs in real time, with a quick pace: under the race
// detector Go 1.26.8 crashes when many contexts time out in one synctest bubble.
func TestASilentConsulIsToldToAllSourcesAndNeverAskedMuchAtOnce(t *testing.T) {
	const polls = 10
	f := newFake()
	f.hosts("10.0.0.1")
	client := fakeClient(t, f, Config{Polls: polls, Wait: switcher.Duration(200 * time.Millisecond)})
	quick(client)
	client.pace.slack = 100 * time.Millisecond
	var sources []*Source
	for n := range 100 {
		s := NewSource(client, SourceConfig{Query: Query{Service: fmt.Sprint("app-", n)}})
		runSource(t, s)
		sources = append(sources, s)
	}
	began := time.Now()
	for _, s := range sources {
		waitStatus(t, s, "a second answer, though few may block", func(st Status) bool { return st.Answered.After(began) })
	}
	f.fails(0, "")
	for _, s := range sources {
		waitStatus(t, s, "the silence", func(st Status) bool { return strings.Contains(st.Error, "no answer") })
	}
	f.works()
	for _, s := range sources {
		waitStatus(t, s, "recovery", func(st Status) bool { return st.Error == "" })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.most > reads+polls {
		t.Errorf("%d requests were open at once", f.most)
	}
}

func TestSourcesThatComeAndGoAtOnceLeaveNothing(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	server.Apply(t, instances(service, switcher.Blue, 1), nil)
	client := testClient(t, Config{Address: server.Address})
	var running sync.WaitGroup
	for range 20 {
		running.Go(func() {
			for range 5 {
				sink, stop := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: service}}))
				waitRecovery(t, sink, 1, 0)
				stop()
			}
		})
	}
	running.Wait()
	client.mu.Lock()
	defer client.mu.Unlock()
	if len(client.watches) != 0 {
		t.Errorf("%d watches are left", len(client.watches))
	}
}

func TestAClosedClientFailsItsSourcesAndStartsNoMore(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	server.Apply(t, instances(service, switcher.Blue, 1), nil)
	client := testClient(t, Config{Address: server.Address})
	sink, _ := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: service}}))
	waitRecovery(t, sink, 1, 0)
	client.Close()
	waitWords(t, sink, "the client is closed")
	late, _ := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: service}}))
	waitWords(t, late, "the client is closed")
}
