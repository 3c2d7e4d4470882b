package registry_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/examples/platform/registry"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

func TestAnInstanceIsInTheCatalogWithItsColorUntilItGoes(t *testing.T) {
	consul := consultest.Start(t, consultest.Options{})
	agent := registry.Agent(consul.Address)
	one := registry.Instance{ID: "v2@127.0.0.1:9001", Address: netip.MustParseAddrPort("127.0.0.1:9001"), Color: "green", Version: "v2"}
	for range 2 { // the second time says the same
		if err := agent.Register(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	found, err := consul.API.Agent().Services()
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	got := found[one.ID]
	if got.Service != "app" || got.Address != "127.0.0.1" || got.Port != 9001 || len(got.Tags) != 1 || got.Tags[0] != "green" || got.Meta["version"] != "v2" {
		t.Errorf("%+v", got)
	}
	checks, err := consul.API.Agent().Checks()
	if err != nil || len(checks) != 1 {
		t.Errorf("%v, %v", checks, err)
	}
	if err := agent.Deregister(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	if found, err := consul.API.Agent().Services(); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	if err := agent.Deregister(t.Context(), one.ID); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("one that is not there: %v", err)
	}
	consul.Kill(t)
	if err := agent.Register(t.Context(), one); err == nil || !strings.Contains(err.Error(), "the agent of Consul") {
		t.Errorf("without an agent: %v", err)
	}
}
