package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// build makes the two Caddies, and finds HAProxy. Each is to hold n streams.
func build(ctx context.Context, root, dir string, n int) ([]rig.Program, error) {
	haproxy, version, err := rig.FindHAProxy(ctx)
	if err != nil {
		return nil, err
	}
	caddies, err := rig.BuildCaddies(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	return []rig.Program{
		{Name: "greenroom", Version: "this tree, Caddy " + caddies.Version, Caddy: true, Command: func(dir, address, admin, upstream string) (*exec.Cmd, error) {
			return rig.CaddyCommand(caddies.Greenroom, dir, fmt.Sprintf(greenroomConfig, admin, dir, upstream, address))
		}},
		caddies.Reverse(),
		{Name: "haproxy", Version: version, Command: func(dir, address, _, upstream string) (*exec.Cmd, error) {
			config := filepath.Join(dir, "haproxy.cfg")
			return exec.Command(haproxy, "-db", "-q", "-f", config), os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, n+100, address, upstream), 0o600)
		}},
	}, nil
}

// What each is told: no more than it needs, so that its defaults are measured.
const (
	greenroomConfig = `{
	admin %[1]s
	storage file_system %[2]s/storage
	auto_https off
	greenroom {
		state_dir %[2]s/state
		control {
			socket %[2]s/control.sock
		}
		service app {
			blue %[3]s
			health http /healthz
		}
	}
}
http://%[4]s {
	blue_green app
}
`
	haproxyConfig = `global
	maxconn %[1]d
defaults
	mode http
	timeout connect 5s
	timeout client 1h
	timeout server 1h
	timeout tunnel 1h
frontend in
	bind %[2]s
	default_backend out
backend out
	server one %[3]s
`
)
