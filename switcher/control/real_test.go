package control

import (
	"context"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestTheRoutesSpeakForTheRealSwitcher(t *testing.T) {
	testRoutes(t, func(t *testing.T) Switcher {
		sw := switcher.New(&switchertest.MemoryStore{}, switcher.Hooks{}, nil)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); sw.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		if err := sw.Restore(ctx); err != nil {
			t.Fatal(err)
		}
		if err := sw.Configure(ctx, map[string]switcher.Config{"app": {}, "web": {}}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"app", "web"} {
			list := []switcher.Upstream{{Address: "127.0.0.1:1"}}
			endpoints, err := sw.SetPools(ctx, name, switcher.Pools{Blue: list, Green: list})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range endpoints {
				sw.SetHealth(e, switcher.Health{Healthy: true, Known: true})
			}
		}
		return sw
	})
}
