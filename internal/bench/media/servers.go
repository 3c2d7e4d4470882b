package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	nginx, err := rig.Find("nginx", "nginx-light")
	if err != nil {
		return nil, err
	}
	said, err := exec.CommandContext(ctx, nginx, "-V").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s -V: %w", nginx, err)
	}
	caddies, err := rig.BuildCaddies(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	servers := []server{
		{rig.Program{Name: "greenroom", Version: "this tree, Caddy " + caddies.Version, Caddy: true, Command: func(dir, address, admin, upstream string) (*exec.Cmd, error) {
			return rig.CaddyCommand(caddies.Greenroom, dir, fmt.Sprintf(greenroomConfig, admin, dir, address, upstream))
		}}, true},
		{rig.Program{Name: "nginx", Version: nginxVersion(string(said)), Command: nginxCommand(nginx, "")}, true},
		{rig.Program{Name: "caddy", Version: caddies.Version, Caddy: true, Command: func(dir, address, admin, upstream string) (*exec.Cmd, error) {
			return rig.CaddyCommand(caddies.Stock, dir, fmt.Sprintf(caddyConfig, admin, dir, address, upstream))
		}}, false},
	}
	if !strings.Contains(string(said), "--with-http_slice_module") {
		fmt.Fprintln(os.Stderr, "this nginx is built without its slice module: it is measured without")
	} else {
		sliced := server{rig.Program{Name: "nginx-slice", Version: servers[1].Version, Command: nginxCommand(nginx, nginxSlice)}, true}
		servers = slices.Insert(servers, 2, sliced)
	}
	return servers, nil
}

// nginxVersion is the number in what nginx -V says.
func nginxVersion(said string) string {
	_, rest, _ := strings.Cut(said, "nginx/")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "unknown"
	}
	return fields[0]
}

func nginxCommand(binary, more string) func(dir, address, _, upstream string) (*exec.Cmd, error) {
	return func(dir, address, _, upstream string) (*exec.Cmd, error) {
		user := ""
		if os.Geteuid() == 0 {
			user = "user root;" // whose the directory is
		}
		config := fmt.Sprintf(nginxConfig, user, kept, upstream, address, more)
		return exec.Command(binary, "-p", dir, "-c", "nginx.conf", "-e", "stderr"), os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600)
	}
}

// What each is told. The Caddies get no more than they need, so that their
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
	caddyConfig = `{
	admin %[1]s
	storage file_system %[2]s/storage
	auto_https off
}
http://%[3]s {
	reverse_proxy %[4]s
}
`
	nginxConfig = `%[1]s
daemon off;
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
	proxy_cache_path %[2]s levels=1:2 keys_zone=media:16m inactive=1h max_size=8g use_temp_path=off;
	upstream origin {
		server %[3]s;
		keepalive 64;
	}
	server {
		listen %[4]s;
		location / {
			proxy_pass http://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_cache media;
			proxy_cache_lock on;
			proxy_cache_lock_timeout 1m;
			proxy_cache_lock_age 1m;
			proxy_cache_valid 200 206 1h;
			%[5]s
		}
	}
}
`
	nginxSlice = `slice 1m;
			proxy_cache_key $uri$is_args$args$slice_range;
			proxy_set_header Range $slice_range;`
)
