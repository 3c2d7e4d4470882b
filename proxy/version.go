package proxy

import (
	"cmp"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

const (
	ownModule      = "github.com/greenroom-proxy/greenroom"
	unknownVersion = "unknown"
)

// Version is that of the module Greenroom in this binary, as Go has stamped it:
// a tag, or of a build between tags a pseudo-version with the commit. "unknown":
// it was built without version control, and "(devel)" where Go says no more.
func Version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return unknownVersion
	}
	if build.Main.Path == ownModule {
		return cmp.Or(build.Main.Version, unknownVersion)
	}
	i := slices.IndexFunc(build.Deps, func(d *debug.Module) bool { return d.Path == ownModule })
	if i < 0 {
		return unknownVersion
	}
	return cmp.Or(build.Deps[i].Version, unknownVersion)
}

// builtFrom are the labels of gaugeBuild. Both versions are parsed from all that
// Go has stamped, which is long.
var builtFrom = sync.OnceValue(func() []string {
	ofCaddy, _ := caddy.Version()
	return []string{Version(), ofCaddy, goruntime.Version()}
})
