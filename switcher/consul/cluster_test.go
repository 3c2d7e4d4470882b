package consul

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

func TestAClusterThatLosesItsLeaderAndThenAllServersLosesNothing(t *testing.T) {
	servers := consultest.Cluster(t, 3)
	leader, followers := consultest.Leader(t, servers)
	leader.Apply(t, instances("app", switcher.Blue, 4), nil)
	source := NewSource(testClient(t, Config{Address: followers[0].Address}),
		SourceConfig{Query: Query{Service: "app"}, Hold: switcher.Duration(time.Second), Reads: 1})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 4, 0)

	killed := time.Now()
	leader.Kill(t)
	for _, s := range followers {
		s.Ready(t)
	}
	t.Logf("the cluster had another leader after %s", time.Since(killed).Round(time.Millisecond))
	ready := time.Now()
	followers[1].Apply(t, instances("app", switcher.Green, 1), nil)
	waitRecovery(t, sink, 4, 1)
	t.Logf("and a change was here %s later", time.Since(ready).Round(time.Millisecond))

	for _, s := range followers {
		s.Kill(t)
	}
	waitWords(t, sink, "connection refused")
	for _, s := range servers {
		s.Launch(t)
	}
	consultest.AllReady(t, servers)
	ready = time.Now()
	waitRecovery(t, sink, 4, 1)
	t.Logf("after all were killed: recovered %s after the cluster", time.Since(ready).Round(time.Millisecond))
	wantNothingLost(t, sink.Reports(), 4, 0)
}

// TestAFollowerWithoutALeaderIsNotBelieved kills two of three, so that none is
// elected, while the third still answers.
func TestAFollowerWithoutALeaderIsNotBelieved(t *testing.T) {
	servers := consultest.Cluster(t, 3)
	_, followers := consultest.Leader(t, servers)
	followers[0].Apply(t, instances("app", switcher.Blue, 4), nil)
	client := testClient(t, Config{Address: followers[0].Address, Wait: switcher.Duration(time.Second)})
	source := NewSource(client, SourceConfig{Query: Query{Service: "app"}})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 4, 0)
	for _, s := range servers {
		if s != followers[0] {
			s.Kill(t)
		}
	}
	t.Logf("told: %v", sink.WaitFail(t))
	for _, s := range servers {
		if s != followers[0] {
			s.Launch(t)
		}
	}
	waitRecovery(t, sink, 4, 0)
	wantNothingLost(t, sink.Reports(), 4, 0)
}
