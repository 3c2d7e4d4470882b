package consul

import (
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestAProcessThatStartsWhileConsulIsSilentBeginsWithItsLastPools(t *testing.T) {
	server := consultest.Shared(t)
	for name, colors := range map[string]func(service string) (Query, Naming){
		"by tag": func(service string) (Query, Naming) { return Query{Service: service}, Naming{} },
		"by service": func(service string) (Query, Naming) {
			return Query{}, Naming{By: ByService, Blue: service, Green: "other"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := uniqueName()
			server.Apply(t, instances(service, switcher.Blue, 3), nil)
			proxy := consultest.NewProxy(t, server.Address)
			proxy.Stall()
			last := switcher.Pools{Blue: []switcher.Upstream{{Address: "10.0.0.1:9001", Weight: 1}, {Address: "10.0.0.2:9001", Weight: 1}}}
			query, naming := colors(service)
			source := NewSource(testClient(t, Config{Address: proxy.Address}), SourceConfig{Query: query, Colors: naming, Last: last})
			sink, _ := runSource(t, source)
			waitWords(t, sink, "no answer yet")
			if reports := sink.Reports(); !switchertest.SamePools(reports[0].Pools, last) || !source.Status().Answered.IsZero() {
				t.Errorf("told %v first; status %+v", reports[0], source.Status())
			}
			proxy.Resume()
			waitRecovery(t, sink, 3, 0)
			wantNothingLost(t, sink.Reports(), 2, 0)
		})
	}
}
