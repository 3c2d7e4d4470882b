package consul

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// registerAgent registers an instance with the agent, with a check that the test
// passes and fails.
func registerAgent(t *testing.T, s *consultest.Server, service, id, color string, port int) (set func(status string), deregister func()) {
	t.Helper()
	err := s.API.Agent().ServiceRegister(&api.AgentServiceRegistration{
		ID: service + id, Name: service, Address: "127.0.0.1", Port: port, Tags: []string{color},
		Check: &api.AgentServiceCheck{CheckID: service + id, TTL: "10m", Status: api.HealthPassing},
	})
	if err != nil {
		t.Fatal(err)
	}
	set = func(status string) {
		if err := s.API.Agent().UpdateTTL(service+id, "", status); err != nil {
			t.Fatal(err)
		}
	}
	deregister = func() {
		if err := s.API.Agent().ServiceDeregister(service + id); err != nil {
			t.Fatal(err)
		}
	}
	return set, deregister
}

func TestInstancesComeAndGoWithTheirRegistrationAndTheirChecks(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	var sets []func(string)
	var gone []func()
	for i := range 4 {
		set, deregister := registerAgent(t, server, service, fmt.Sprint(i), "blue", 9001+i)
		sets, gone = append(sets, set), append(gone, deregister)
	}
	client := testClient(t, Config{Address: server.Address})
	client.pace.slack = time.Minute // no answer of a slow machine is a failure
	source := NewSource(client, SourceConfig{Query: Query{Service: service}})
	sink, stop := runSource(t, source)
	waitRecovery(t, sink, 4, 0)
	sets[0](api.HealthCritical)
	waitRecovery(t, sink, 3, 0)
	sets[0](api.HealthPassing)
	waitRecovery(t, sink, 4, 0)
	gone[1]()
	waitRecovery(t, sink, 3, 0)
	registerAgent(t, server, service, "1", "green", 9002)
	waitRecovery(t, sink, 3, 1)
	for _, r := range sink.Reports() {
		if r.Err != nil {
			t.Errorf("told a failure: %v", r.Err)
		}
	}
	if st := source.Status(); st.Answered.IsZero() || !st.Vouched || st.Index == 0 || st.Error != "" {
		t.Errorf("status is %+v", st)
	}
	stop()
}

func TestAWarningInstanceIsIncludedOnlyIfAskedForAndAtItsWeight(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	list := instances(service, switcher.Blue, 4)
	list[0].Status, list[0].Weight, list[0].Warning = "passing", 2000, 3
	list[1].Status, list[1].Weight, list[1].Warning = "warning", 10, 3
	list[2].Status, list[2].Weight, list[2].Warning = "warning", 10, 0
	list[3].Status = "critical"
	server.Apply(t, list, nil)
	client := testClient(t, Config{Address: server.Address})
	for _, c := range []struct {
		warning bool
		want    map[string]int
	}{
		{false, map[string]int{"10.0.0.1:9001": switcher.MaxWeight}},
		{true, map[string]int{"10.0.0.1:9001": switcher.MaxWeight, "10.0.0.2:9001": 3}},
	} {
		sink, stop := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: service, Warning: c.warning}}))
		pools := waitSizes(t, sink, len(c.want), 0)
		for _, u := range pools.Blue {
			if c.want[u.Address] != u.Weight {
				t.Errorf("warning %v: %s has weight %d, want %d", c.warning, u.Address, u.Weight, c.want[u.Address])
			}
		}
		stop()
	}
}

func TestAnUpstreamCarriesItsMetadataAndWhereItIs(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	server.Register(t, consultest.Instance{
		Service: service, ID: "six", Address: "2001:db8::1", Port: 443, Tags: []string{"blue", "green"},
		Meta: map[string]string{"version": "1.4.2"},
	})
	server.Register(t, consultest.Instance{Service: service, ID: "node", Port: 80, Tags: []string{"green"}, NodeAddress: "10.9.9.9"})
	server.Register(t, consultest.Instance{Service: service, ID: "none", Port: 81})
	source := NewSource(testClient(t, Config{Address: server.Address}), SourceConfig{Query: Query{Service: service}})
	sink, _ := runSource(t, source)
	want := switcher.Upstream{Address: "[2001:db8::1]:443", Weight: 1, Meta: map[string]string{
		"version": "1.4.2", metaID: service + "-six", metaNode: "edge-test", metaDatacenter: "dc1",
	}}
	other := switcher.Upstream{Address: "10.9.9.9:80", Weight: 1, Meta: map[string]string{
		metaID: service + "-node", metaNode: "edge-test", metaDatacenter: "dc1",
	}}
	sink.WaitUpdate(t, switcher.Pools{Blue: []switcher.Upstream{want}, Green: []switcher.Upstream{want, other}})
	if st := source.Status(); st.Colorless != 1 {
		t.Errorf("%d are of no color, want 1", st.Colorless)
	}
}

func TestOneBadInstanceIsLeftOutAndAPoolOfThemStays(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	list := instances(service, switcher.Blue, 3)
	list[1].Address = "bad host/../x"
	server.Apply(t, append(list, instances(service, switcher.Green, 1)...), nil)
	source := NewSource(testClient(t, Config{Address: server.Address}), SourceConfig{Query: Query{Service: service}})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 2, 1)
	if st := source.Status(); st.LeftOut.Blue != 1 || len(st.Reasons) != 1 {
		t.Errorf("status is %+v", st)
	}
	bad := instances(service, switcher.Green, 1)
	bad[0].Port = 0
	server.Apply(t, bad, nil)
	err := sink.WaitFail(t)
	wantWords(t, err.Error(), "none of 1 instances of green", "port 0")
	if p, _ := lastPools(sink.Reports()); len(p.Green) != 1 {
		t.Errorf("green has %d upstreams, want the last good one", len(p.Green))
	}
}

func TestQueriesNarrowByTagAndFilter(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	list := instances(service, switcher.Blue, 3)
	list[0].Tags = append(list[0].Tags, "edge")
	list[1].Meta = map[string]string{"version": "2"}
	server.Apply(t, list, nil)
	client := testClient(t, Config{Address: server.Address, Datacenter: "dc1"})
	for name, c := range map[string]struct {
		query Query
		want  int
	}{
		"tag":        {Query{Tag: "edge"}, 1},
		"filter":     {Query{Filter: `Service.Meta.version == "2"`}, 1},
		"near":       {Query{Near: "_agent"}, 3},
		"datacenter": {Query{Datacenter: "dc1"}, 3},
	} {
		c.query.Service = service
		sink, stop := runSource(t, NewSource(client, SourceConfig{Query: c.query}))
		t.Log(name)
		waitRecovery(t, sink, c.want, 0)
		stop()
	}
}

func TestAWrongQueryFailsWithConsulsReason(t *testing.T) {
	server := consultest.Shared(t)
	client := testClient(t, Config{Address: server.Address})
	for _, c := range []struct {
		query Query
		words []string
	}{
		{Query{Service: "app", Filter: "no such thing"}, []string{"service app", "boolean expression"}},
		{Query{Service: "../kv/x"}, []string{"'/' is not allowed"}},
	} {
		sink, stop := runSource(t, NewSource(client, SourceConfig{Query: c.query}))
		wantWords(t, sink.WaitFail(t).Error(), c.words...)
		stop()
	}
}

func TestConsulIsReachedByUnixSocketAndByTLS(t *testing.T) {
	server := consultest.Start(t, consultest.Options{TLS: true})
	server.Apply(t, instances("app", switcher.Blue, 2), nil)
	tls := TLS{CAFile: server.CAFile, CertFile: server.CertFile, KeyFile: server.KeyFile}
	named := tls
	named.ServerName = "consul.test"
	for name, c := range map[string]Config{
		"socket":                   {Address: "unix://" + server.Socket},
		"tls":                      {Address: server.HTTPS, TLS: tls},
		"tls, and the server name": {Address: server.HTTPS, TLS: named},
	} {
		sink, stop := runSource(t, NewSource(testClient(t, c), SourceConfig{Query: Query{Service: "app"}}))
		t.Log(name)
		waitRecovery(t, sink, 2, 0)
		stop()
	}
	stranger := tls
	stranger.ServerName = "other.test"
	for name, c := range map[string]TLS{"no authority": {}, "no certificate": {CAFile: server.CAFile}, "another name": stranger} {
		sink, stop := runSource(t, NewSource(testClient(t, Config{Address: server.HTTPS, TLS: c}), SourceConfig{Query: Query{Service: "app"}}))
		t.Logf("%s: %v", name, sink.WaitFail(t))
		stop()
	}
}
