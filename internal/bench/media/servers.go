package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// server is a program that can be measured.
type server struct {
	rig.Program
	caches bool
}

// kept is the directory, in a server's own, where nginx keeps what it caches.
const kept = "cache"

// build makes the two Caddies, and finds nginx.
func build(ctx context.Context, root, dir string) ([]server, error) {
	nginx, version, built, err := rig.FindNginx(ctx)
	if err != nil {
		return nil, err
	}
	caddies, err := rig.BuildCaddies(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	servers := []server{
		{rig.Program{Name: "greenroom", Version: "this tree, Caddy " + caddies.Version, Caddy: true, Command: func(dir, address, admin, upstream string) (*exec.Cmd, error) {
			return rig.CaddyCommand(caddies.Greenroom, dir, fmt.Sprintf(greenroomConfig, admin, dir, address, upstream))
		}}, true},
		{rig.Program{Name: "nginx", Version: version, Command: nginxCommand(nginx, "")}, true},
		{caddies.Reverse(), false},
	}
	if !strings.Contains(built, "--with-http_slice_module") {
		fmt.Fprintln(os.Stderr, "this nginx is built without its slice module: it is measured without")
	} else {
		sliced := server{rig.Program{Name: "nginx-slice", Version: servers[1].Version, Command: nginxCommand(nginx, nginxSlice)}, true}
		servers = slices.Insert(servers, 2, sliced)
	}
	return servers, nil
}

func nginxCommand(binary, more string) func(dir, address, _, upstream string) (*exec.Cmd, error) {
	return func(dir, address, _, upstream string) (*exec.Cmd, error) {
		return rig.NginxCommand(binary, dir, fmt.Sprintf(nginxConfig, kept, upstream, address, more))
	}
}

// What each is told. Greenroom gets no more than it needs, so that its
// defaults are measured, but room for what is asked of a cache. nginx gets what
// those who use it for media give it: connections to the origin that are kept,
// files that stay open, a lock that holds for as long as a fetch may take, and
// no limit to the requests of a connection, which it would close after 1,000.
const (
	greenroomConfig = `{
	admin %[1]s
	storage file_system %[2]s/storage
	auto_https off
	media_edge {
		cache {
			memory 1GiB
		}
	}
}
http://%[3]s {
	media_edge {
		name bench
		origin http://%[4]s
	}
}
`
	nginxConfig = `daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr;
events {
	worker_connections 1024;
}
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	open_file_cache max=4096 inactive=1h;
	client_body_temp_path t;
	proxy_temp_path t;
	fastcgi_temp_path t;
	uwsgi_temp_path t;
	scgi_temp_path t;
	proxy_cache_path %[1]s levels=1:2 keys_zone=media:16m inactive=1h max_size=8g use_temp_path=off;
	upstream origin {
		server %[2]s;
		keepalive 64;
	}
	server {
		listen %[3]s;
		location / {
			proxy_pass http://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_cache media;
			proxy_cache_lock on;
			proxy_cache_lock_timeout 1m;
			proxy_cache_lock_age 1m;
			proxy_cache_valid 200 206 1h;
			%[4]s
		}
	}
}
`
	nginxSlice = `slice 1m;
			proxy_cache_key $uri$is_args$args$slice_range;
			proxy_set_header Range $slice_range;`
)
