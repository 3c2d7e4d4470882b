package proxy

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// A Caddy that somebody builds with xcaddy has this package and none of main.go.
func TestImportingThisPackageIsAllThatACaddyNeeds(t *testing.T) {
	for _, id := range []string{
		"greenroom", "greenroom.pools.static", "greenroom.pools.file", "greenroom.pools.consul", "greenroom_media",
		"http.handlers.blue_green", "http.handlers.greenroom_ready", "http.handlers.media_edge", "admin.api.greenroom",
	} {
		if _, err := caddy.GetModule(id); err != nil {
			t.Error(err)
		}
	}
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config := "{\n greenroom {\n  service app {\n   blue 127.0.0.1:1\n  }\n }\n media_edge {\n  cache {\n   memory 16MiB\n  }\n }\n}\n" +
		":8080 {\n greenroom_ready /ready\n media_edge {\n  path /m/\n  origin http://127.0.0.1:1\n }\n blue_green app\n reverse_proxy 127.0.0.1:1\n}\n"
	if _, _, err := adapter.Adapt([]byte(config), nil); err != nil {
		t.Error(err)
	}
}
