package consul

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestConsulIsASourceOfPoolsByTag(t *testing.T) { conforms(t, Naming{}) }

func TestConsulIsASourceOfPoolsByMeta(t *testing.T) { conforms(t, Naming{By: ByMeta}) }

func TestConsulIsASourceOfPoolsByService(t *testing.T) {
	conforms(t, Naming{By: ByService, Blue: "blue", Green: "green"})
}

// conforms runs the conformance test against a real server, behind a proxy that
// breaks.
func conforms(t *testing.T, n Naming) {
	server := consultest.Shared(t)
	switchertest.TestSource(t, func(t *testing.T, first switcher.Pools) switchertest.SourceHarness {
		proxy := consultest.NewProxy(t, server.Address)
		w := &world{server: server, naming: n, service: uniqueName(), registered: map[string]consultest.Instance{}}
		config := SourceConfig{Colors: n}
		if n.By == ByService {
			config.Colors.Blue, config.Colors.Green = w.service+"-blue", w.service+"-green"
		} else {
			config.Query.Service = w.service
		}
		w.set(t, first)
		client := testClient(t, Config{Address: proxy.Address})
		return switchertest.SourceHarness{
			Source: plainSource{NewSource(client, config)},
			Set: func(p switcher.Pools) {
				w.set(t, p)
				proxy.Resume()
			},
			Break:  proxy.Cut,
			Remove: proxy.Cut,
		}
	})
}

// world is what the catalog knows of one service.
type world struct {
	server     *consultest.Server
	naming     Naming
	service    string
	registered map[string]consultest.Instance
}

// set makes the catalog say p, in one transaction.
func (w *world) set(t *testing.T, p switcher.Pools) {
	wanted := map[string]consultest.Instance{}
	for _, c := range switcher.Colors {
		for _, u := range p.Of(c) {
			i := w.instance(c, u)
			wanted[i.Service+i.ID] = i
		}
	}
	var gone []consultest.Instance
	for id, i := range w.registered {
		if _, stays := wanted[id]; !stays {
			gone = append(gone, i)
		}
	}
	w.server.Apply(t, slices.Collect(maps.Values(wanted)), gone)
	w.registered = wanted
}

func (w *world) instance(c switcher.Color, u switcher.Upstream) consultest.Instance {
	var host string
	var port int
	if _, err := fmt.Sscanf(strings.ReplaceAll(u.Address, ":", " "), "%s %d", &host, &port); err != nil {
		panic(err)
	}
	i := consultest.Instance{
		Service: w.service, ID: c.String() + strings.ReplaceAll(u.Address, ":", "-"), Address: host, Port: port,
		Weight: u.Weight, Meta: maps.Clone(u.Meta),
	}
	switch w.naming.By {
	case ByService:
		i.Service += "-" + c.String()
	case ByMeta:
		if i.Meta == nil {
			i.Meta = map[string]string{}
		}
		i.Meta["color"] = c.String()
	default:
		i.Tags = []string{c.String(), "other"}
	}
	return i
}

// plainSource takes from the pools what a catalog adds to the metadata.
type plainSource struct{ *Source }

func (p plainSource) Run(ctx context.Context, sink switcher.Sink) error {
	return p.Source.Run(ctx, plainSink{sink})
}

type plainSink struct{ switcher.Sink }

func (p plainSink) Update(pools switcher.Pools) {
	for _, c := range switcher.Colors {
		for i, u := range pools.Of(c) {
			meta := maps.Clone(u.Meta)
			maps.DeleteFunc(meta, func(key, _ string) bool { return strings.HasPrefix(key, "consul.") || key == "color" })
			if len(meta) == 0 {
				meta = nil
			}
			pools.Of(c)[i].Meta = meta
		}
	}
	p.Sink.Update(pools)
}
