package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// variant is a proxy with a config.
type variant struct {
	rig.Program
	what string
	// flip makes what flips a process that runs in dir.
	flip func(ctx context.Context, at backends, dir string) (flipper, error)
	// only names the workloads for which it is here; none: all.
	only []string
	// extra ones are measured only if they are asked for by name.
	extra bool
}

func (v variant) takes(workload string) bool {
	return len(v.only) == 0 || slices.Contains(v.only, workload)
}

// The name of the proxy that is 1 in all ratios.
const base = "caddy"

// caddyVariant is a config of one of the two Caddies.
type caddyVariant struct {
	name, what       string
	stock, extra     bool
	global, server   string // more lines of the global block, and of the server's options in it
	service, handler string // more lines of the service, and what stands before the proxy
}

// caddyVariants are the configs of the two Caddies that are measured. To add one
// is to add a line.
var caddyVariants = []caddyVariant{
	{name: "greenroom", what: "as it comes"},
	{name: "greenroom-lean", what: "no idle timeouts of bodies, not sticky", server: noIdleTimeouts, service: "sticky none"},
	{name: "greenroom-logged", what: "with an access log and Caddy's metrics", extra: true, global: "metrics", handler: accessLog},
	{name: base, what: "as it comes", stock: true},
	{name: "caddy-lean", what: "no idle timeouts of bodies", stock: true, extra: true, server: noIdleTimeouts},
	{name: "caddy-logged", what: "with an access log and Caddy's metrics", stock: true, extra: true, global: "metrics", handler: accessLog},
}

const (
	noIdleTimeouts = "timeouts {\nread_body_idle -1s\nwrite_idle -1s\n}"
	accessLog      = "log {\noutput file access.log\n}"
)

// build makes the Caddies and finds the others. Each is to hold n connections.
func build(ctx context.Context, root, dir string, at backends, n int) (all []variant, err error) {
	haproxy, haproxyVersion, err := rig.FindHAProxy(ctx)
	if err != nil {
		return nil, err
	}
	nginx, nginxVersion, _, err := rig.FindNginx(ctx)
	if err != nil {
		return nil, err
	}
	caddies, err := rig.BuildCaddies(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	for _, c := range caddyVariants {
		all = append(all, c.variant(caddies, at))
	}
	haproxyProgram := func(name, options string) rig.Program {
		return rig.Program{Name: name, Version: haproxyVersion, Command: func(dir, address, _, upstream string) (*exec.Cmd, error) {
			return haproxyCommand(haproxy, dir, fmt.Sprintf(haproxyConfig, n+100, dir, options, address, upstream, at.Green))
		}}
	}
	return append(all,
		variant{Program: haproxyProgram("haproxy", ""), what: "a map chooses the backend", flip: newHAProxyFlipper},
		variant{Program: haproxyProgram("haproxy-splice", "option splice-response"), what: "option splice-response", flip: newHAProxyFlipper, only: []string{"bulk"}},
		variant{Program: rig.Program{Name: "nginx", Version: nginxVersion, Command: func(dir, address, _, upstream string) (*exec.Cmd, error) {
			if err := writeNginxUpstream(dir, upstream); err != nil {
				return nil, err
			}
			return rig.NginxCommand(nginx, dir, fmt.Sprintf(nginxConfig, 2*n+1024, address))
		}}, what: "connections to the upstream are kept", flip: newNginxFlipper(nginx)},
	), nil
}

func (c caddyVariant) variant(caddies rig.Caddies, at backends) variant {
	v := variant{what: c.what, extra: c.extra, flip: newGreenroomFlipper}
	v.Program = rig.Program{Name: c.name, Version: "this tree, Caddy " + caddies.Version, Caddy: true}
	if c.stock {
		v.Version, v.flip = caddies.Version, newCaddyFlipper
	}
	v.Command = func(dir, address, admin, upstream string) (*exec.Cmd, error) {
		binary, app, handler := caddies.Greenroom, fmt.Sprintf(greenroomApp, dir, upstream, at.Green, c.service), "blue_green app"
		if c.stock {
			binary, app, handler = caddies.Stock, "", "reverse_proxy "+upstream
		}
		options := ""
		if c.server != "" {
			options = "servers {\n" + c.server + "\n}"
		}
		cmd, err := rig.CaddyCommand(binary, dir, fmt.Sprintf(caddyConfig, admin, dir, c.global, options, app, address, c.handler, handler))
		cmd.Dir = dir // where its access log is
		return cmd, err
	}
	return v
}

// choose picks what is measured: those that are named, or all but the extra ones.
func choose(all []variant, names string) ([]variant, error) {
	if names != "" {
		return rig.Only(all, names, func(v variant) string { return v.Name })
	}
	var usual []variant
	for _, v := range all {
		if !v.extra {
			usual = append(usual, v)
		}
	}
	return usual, nil
}

func haproxyCommand(binary, dir, config string) (*exec.Cmd, error) {
	if err := os.WriteFile(filepath.Join(dir, haproxyMap), []byte("app blue\n"), 0o600); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "haproxy.cfg")
	return exec.Command(binary, "-db", "-q", "-f", file), os.WriteFile(file, []byte(config), 0o600)
}

// writeNginxUpstream puts the part of nginx's config in place that a deploy
// would change.
func writeNginxUpstream(dir, upstream string) error {
	file := filepath.Join(dir, "active.conf")
	if err := os.WriteFile(file+".new", fmt.Appendf(nil, nginxUpstream, upstream), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// What a proxy is told besides.
const (
	haproxySocket = "haproxy.sock"
	haproxyMap    = "active.map"
	controlSocket = "control.sock"
)

// What each is told: no more than it needs, so that its defaults are measured.
// nginx gets what those who know it give it: connections to the upstream that are
// kept and no limit to the requests of one, and no files for bodies.
const (
	caddyConfig = `{
	admin %[1]s
	storage file_system %[2]s/storage
	auto_https off
	%[3]s
	%[4]s
	%[5]s
}
http://%[6]s {
	%[7]s
	%[8]s
}
`
	greenroomApp = `greenroom {
		state_dir %[1]s/state
		control {
			socket %[1]s/control.sock
		}
		service app {
			blue %[2]s
			green %[3]s
			health http /healthz
			%[4]s
		}
	}`
	haproxyConfig = `global
	maxconn %[1]d
	stats socket %[2]s/haproxy.sock mode 600 level admin
defaults
	mode http
	%[3]s
	timeout connect 5s
	timeout client 1h
	timeout server 1h
frontend in
	bind %[4]s
	use_backend %%[str(app),map(%[2]s/active.map,blue)]
backend blue
	server one %[5]s
backend green
	server one %[6]s
`
	nginxConfig = `daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr crit;
events {
	worker_connections %[1]d;
}
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path t;
	proxy_temp_path t;
	fastcgi_temp_path t;
	uwsgi_temp_path t;
	scgi_temp_path t;
	include active.conf;
	server {
		listen %[2]s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_max_temp_file_size 0;
		}
	}
}
`
	nginxUpstream = `upstream app {
	server %s;
	keepalive 128;
	keepalive_requests 1000000000;
}
`
)
