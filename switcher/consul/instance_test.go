package consul

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func sightless() *api.QueryOptions { return &api.QueryOptions{} }

func TestAddressesAreMappedOrRefused(t *testing.T) {
	for _, c := range []struct {
		address, node string
		port          int
		want          string // address, or words of the refusal
	}{
		{"10.0.0.1", "10.9.9.9", 80, "10.0.0.1:80"},
		{"", "10.9.9.9", 80, "10.9.9.9:80"},
		{"2001:db8::1", "", 65535, "[2001:db8::1]:65535"},
		{"[2001:db8::1]", "", 1, "[2001:db8::1]:1"},
		{"::ffff:10.0.0.1", "", 80, "[::ffff:10.0.0.1]:80"},
		{"app.service.consul", "", 80, "app.service.consul:80"},
		{"app_1.internal.", "", 80, "app_1.internal.:80"},
		{"127.0.0.1", "", 80, "127.0.0.1:80"},
		{"", "", 80, "is empty, and so is the node's"},
		{"10.0.0.1", "", 0, "port 0"},
		{"10.0.0.1", "", -1, "port -1"},
		{"10.0.0.1", "", 65536, "port 65536"},
		{"0.0.0.0", "", 80, "no one machine"},
		{"::", "", 80, "no one machine"},
		{"::ffff:0.0.0.0", "", 80, "no one machine"},
		{"224.0.0.1", "", 80, "no one machine"},
		{"fe80::1%eth0", "", 80, "zone"},
		{"[10.0.0.1]", "", 80, "only IPv6"},
		{"[]", "", 80, "only IPv6"},
		{"a:b", "", 80, "neither an IP address"},
		{"http://app", "", 80, "neither an IP address"},
		{"unix//run/docker.sock", "", 80, "neither an IP address"},
		{"app\x00", "", 80, "neither an IP address"},
		{"app\r\nHost: x", "", 80, "neither an IP address"},
		{"app..x", "", 80, "neither an IP address"},
		{"-app", "", 80, "neither an IP address"},
		{"ünïcode", "", 80, "neither an IP address"},
		{strings.Repeat("a.", 130), "", 80, "longer than 253"},
		{strings.Repeat("a", 64), "", 80, "neither an IP address"},
	} {
		e := entryAt(c.address)
		e.Node.Address, e.Service.Port = c.node, c.port
		i, ok := instanceOf(e, false)
		if !ok || i.upstream.Address != c.want && (i.refused == "" || !strings.Contains(i.refused, c.want)) {
			t.Errorf("%q: got %q, %q; want %q", c.address, i.upstream.Address, i.refused, c.want)
		}
		if strings.ContainsFunc(i.refused, func(r rune) bool { return r < ' ' }) || len(i.refused) > 400 {
			t.Errorf("%q: refused with %q", c.address, i.refused)
		}
	}
}

func TestASocketPathInTheCatalogIsRefused(t *testing.T) {
	e := entryAt("")
	e.Service.Port, e.Service.SocketPath = 0, "/var/run/docker.sock"
	if i, _ := instanceOf(e, false); !strings.Contains(i.refused, "does not choose files") {
		t.Errorf("got %+v", i)
	}
}

func TestWeightsAreTakenFromTheStateAndBounded(t *testing.T) {
	for _, c := range []struct {
		weights api.AgentWeights
		status  string
		want    int // 0: left out
	}{
		{api.AgentWeights{}, "passing", 1},
		{api.AgentWeights{Passing: 7, Warning: 3}, "passing", 7},
		{api.AgentWeights{Passing: 7, Warning: 3}, "warning", 3},
		{api.AgentWeights{Passing: 7}, "warning", 0},
		{api.AgentWeights{Warning: 3}, "passing", 0},
		{api.AgentWeights{Passing: 65535}, "passing", switcher.MaxWeight},
		{api.AgentWeights{Passing: 7, Warning: 3}, "critical", 0},
		{api.AgentWeights{Passing: 7, Warning: 3}, "maintenance", 0},
		{api.AgentWeights{Passing: 7, Warning: 3}, "nonsense", 0},
	} {
		e := entryAt("10.0.0.1")
		e.Service.Weights = c.weights
		check := &api.HealthCheck{CheckID: "x", Status: c.status}
		if c.status == "maintenance" {
			check = &api.HealthCheck{CheckID: api.NodeMaint, Status: "critical"}
		}
		e.Checks = api.HealthChecks{check}
		i, ok := instanceOf(e, true)
		if ok != (c.want != 0) || ok && i.upstream.Weight != c.want {
			t.Errorf("%+v %s: got %v, %d; want %d", c.weights, c.status, ok, i.upstream.Weight, c.want)
		}
	}
	e := entryAt("10.0.0.1")
	e.Service.Weights.Passing = -1
	if i, _ := instanceOf(e, false); !strings.Contains(i.refused, "weight -1") {
		t.Errorf("got %+v", i)
	}
}

func TestMetadataIsBounded(t *testing.T) {
	e := entryAt("10.0.0.1")
	e.Service.Meta = map[string]string{
		"good": "1", "": "no key", "long": strings.Repeat("x", maxMetaBytes+1), "control": "a\nb", "utf8": "\xff", metaNode: "hidden",
	}
	i, _ := instanceOf(e, false)
	want := map[string]string{"good": "1", metaID: "app-10.0.0.1", metaNode: "n", metaDatacenter: "dc1"}
	if !maps.Equal(i.upstream.Meta, want) {
		t.Errorf("got %v", i.upstream.Meta)
	}
	for n := range 200 {
		e.Service.Meta[fmt.Sprintf("key-%03d", n)] = "x"
	}
	if i, _ = instanceOf(e, false); len(i.upstream.Meta) != maxMetaEntries || i.upstream.Meta[metaNode] != "n" {
		t.Errorf("got %d entries", len(i.upstream.Meta))
	}
}

func TestOfTwoWithOneAddressOneIsKept(t *testing.T) {
	a, b := entryAt("10.0.0.1"), entryAt("10.0.0.1")
	a.Service.ID, b.Service.ID = "z", "a"
	for range 2 {
		a, b = b, a
		s := choose(instancesOf([]*api.ServiceEntry{a, b}, Query{}), Naming{}.withDefaults(), switcher.Blue)
		if len(s.pool) != 1 || s.pool[0].Meta[metaID] != "a" || s.left != 0 {
			t.Errorf("got %+v", s)
		}
	}
}

func TestMoreThanAPoolHoldsIsLeftOut(t *testing.T) {
	var entries []*api.ServiceEntry
	for n := range switcher.MaxUpstreams + 7 {
		entries = append(entries, entryAt(fmt.Sprintf("10.%d.%d.1", n/250, n%250)))
	}
	s := choose(instancesOf(entries, Query{}), Naming{}.withDefaults(), switcher.Blue)
	if len(s.pool) != switcher.MaxUpstreams || s.left != 7 || len(s.refused) != maxReasons {
		t.Errorf("%d in the pool, %d left out, %d reasons", len(s.pool), s.left, len(s.refused))
	}
}

func FuzzTheMappingMakesValidPoolsOfAnything(f *testing.F) {
	f.Add([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"1","Port":80,"Tags":["blue"],"Weights":{"Passing":1}},"Checks":[]}]`), false)
	f.Add([]byte(`[{"Node":{"Address":"::1"},"Service":{"Port":70000,"Meta":{"color":"blue","consul.id":"x"},"Tags":["blue","green"]}},null,{}]`), true)
	f.Add([]byte(`[{"Node":{"Address":"a b"},"Service":{"Address":"[fe80::1%lo]","Port":1,"Tags":["green"],"SocketPath":"/x","Weights":{"Passing":-5}},"Checks":[null]}]`), true)
	f.Add([]byte(`[{"Node":{},"Service":{"Ports":[{"Port":-1,"Default":true}],"Tags":["blue"]},"Checks":[{"Status":"warning"}]}]`), true)
	f.Fuzz(func(t *testing.T, data []byte, warning bool) {
		var entries []*api.ServiceEntry
		if json.Unmarshal(data, &entries) != nil {
			return
		}
		list := instancesOf(entries, Query{Warning: warning})
		for _, n := range []Naming{{}, {By: ByMeta}, {By: ByService, Blue: "x", Green: "y"}} {
			n = n.withDefaults()
			var pools switcher.Pools
			for _, c := range switcher.Colors {
				s := choose(list, n, c)
				*pools.At(c) = s.pool
				if len(s.pool)+s.left > len(entries) {
					t.Errorf("%d of %d entries", len(s.pool)+s.left, len(entries))
				}
			}
			if err := switcher.ValidatePools(pools); err != nil {
				t.Error(err)
			}
		}
	})
}
