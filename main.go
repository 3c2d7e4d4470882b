// Greenroom is an edge proxy that holds a blue and a green pool of upstreams
// for each service, and moves traffic between them without anyone watching
// noticing. It is Caddy with the modules of the package proxy and the commands
// of internal/cli.
//
// Its listeners do without Multipath TCP, which Go uses by default: Linux cannot
// hand those over to another process (see internal/handover).
//
//go:debug multipathtcp=0
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/greenroom-proxy/greenroom/internal/cli"
	"github.com/greenroom-proxy/greenroom/proxy"
)

func main() {
	caddy.CustomBinaryName = "greenroom"
	caddy.CustomVersion = "greenroom " + proxy.Version() + ", Caddy" // which says its own behind it
	cli.Register()
	caddycmd.Main()
}
