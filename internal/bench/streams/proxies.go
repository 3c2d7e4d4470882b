package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// proxy is a program that can be measured.
type proxy struct {
	name, version string
	// command runs it with a config in dir that passes everything from
	// address to upstream. admin: its admin API listens there; none needs it
	// but a Caddy.
	command func(dir, address, admin, upstream string) (*exec.Cmd, error)
	caddy   bool
}

const haproxyPackage = "haproxy is not installed; Debian's package is haproxy: apt-get install haproxy"

// build makes the two Caddies, and finds HAProxy. Each is to hold n streams.
func build(ctx context.Context, root, dir string, n int) ([]proxy, error) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		return nil, fmt.Errorf("%s (%w)", haproxyPackage, err)
	}
	version, err := exec.CommandContext(ctx, haproxy, "-v").Output()
	if err != nil {
		return nil, fmt.Errorf("%s -v: %w", haproxy, err)
	}
	greenroom, ours, err := compile(ctx, root, ".", filepath.Join(dir, "greenroom"))
	if err != nil {
		return nil, err
	}
	caddy, stock, err := compile(ctx, ".", "./stock", filepath.Join(dir, "caddy"))
	if err != nil {
		return nil, err
	}
	if ours != stock {
		return nil, fmt.Errorf("greenroom is built with Caddy %s, and internal/bench/go.mod asks for %s: they must be the same", ours, stock)
	}
	return []proxy{
		{"greenroom", "this tree, Caddy " + ours, func(dir, address, admin, upstream string) (*exec.Cmd, error) {
			return caddyCommand(greenroom, dir, fmt.Sprintf(greenroomConfig, admin, dir, upstream, address))
		}, true},
		{"caddy", stock, func(dir, address, admin, upstream string) (*exec.Cmd, error) {
			return caddyCommand(caddy, dir, fmt.Sprintf(caddyConfig, admin, dir, address, upstream))
		}, true},
		{"haproxy", haproxyVersion(string(version)), func(dir, address, _, upstream string) (*exec.Cmd, error) {
			config := filepath.Join(dir, "haproxy.cfg")
			return exec.Command(haproxy, "-db", "-q", "-f", config), os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, n+100, address, upstream), 0o600)
		}, false},
	}, nil
}

// compile builds a package, and says which Caddy is in it.
func compile(ctx context.Context, module, pkg, to string) (binary, caddy string, err error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, pkg)
	cmd.Dir, cmd.Stderr = module, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", "", fmt.Errorf("building %s in %s: %w", pkg, module, err)
	}
	info, err := buildinfo.ReadFile(to)
	if err != nil {
		return "", "", err
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/caddyserver/caddy/v2" {
			return to, m.Version, nil
		}
	}
	return "", "", fmt.Errorf("%s in %s has no Caddy in it", pkg, module)
}

// haproxyVersion is the number in the first line of haproxy -v.
func haproxyVersion(text string) string {
	fields := strings.Fields(text)
	if len(fields) < 3 {
		return "unknown"
	}
	return fields[2]
}

func caddyCommand(binary, dir, config string) (*exec.Cmd, error) {
	file := filepath.Join(dir, "Caddyfile")
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	return cmd, os.WriteFile(file, []byte(config), 0o600)
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
	caddyConfig = `{
	admin %[1]s
	storage file_system %[2]s/storage
	auto_https off
}
http://%[3]s {
	reverse_proxy %[4]s
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
