// Package rig builds, runs and watches the programs that the benchmarks measure.
package rig

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Program is a server that can be measured.
type Program struct {
	Name, Version string
	// Command runs it with a config that it writes into dir: what comes to
	// address is for upstream. A Caddy has its admin API at the place that
	// admin names in a Caddyfile; all others have none.
	Command func(dir, address, admin, upstream string) (*exec.Cmd, error)
	Caddy   bool
}

// AdminSocket is where a Caddy that runs in dir has its admin API.
func AdminSocket(dir string) string { return filepath.Join(dir, "admin") }

// Find looks a program of one of Debian's packages up on PATH.
func Find(name, pkg string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed; Debian's package is %s: apt-get install %s (%w)", name, pkg, pkg, err)
	}
	return path, nil
}

// FindHAProxy looks HAProxy up, and asks for its version.
func FindHAProxy(ctx context.Context) (path, version string, err error) {
	if path, err = Find("haproxy", "haproxy"); err != nil {
		return "", "", err
	}
	said, err := exec.CommandContext(ctx, path, "-v").Output()
	if err != nil {
		return "", "", fmt.Errorf("%s -v: %w", path, err)
	}
	return path, haproxyVersion(string(said)), nil
}

// haproxyVersion is the number in the first line of haproxy -v.
func haproxyVersion(said string) string {
	fields := strings.Fields(said)
	if len(fields) < 3 {
		return "unknown"
	}
	return fields[2]
}

// FindNginx looks nginx up, and asks for its version and with what it is built.
func FindNginx(ctx context.Context) (path, version, built string, err error) {
	if path, err = Find("nginx", "nginx-light"); err != nil {
		return "", "", "", err
	}
	said, err := exec.CommandContext(ctx, path, "-V").CombinedOutput()
	if err != nil {
		return "", "", "", fmt.Errorf("%s -V: %w", path, err)
	}
	return path, nginxVersion(string(said)), string(said), nil
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

// NginxCommand runs nginx in dir with a config that it writes there.
func NginxCommand(binary, dir, config string) (*exec.Cmd, error) {
	if os.Geteuid() == 0 {
		config = "user root;\n" + config // whose the directory is
	}
	return exec.Command(binary, "-p", dir, "-c", "nginx.conf", "-e", "stderr"), os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600)
}

// Caddies are the paths of Greenroom's binary and of stock Caddy's, and the
// version of Caddy that is in both.
type Caddies struct{ Greenroom, Stock, Version string }

// BuildCaddies builds Greenroom, whose source is in root, and stock Caddy into
// dir.
func BuildCaddies(ctx context.Context, root, dir string) (c Caddies, err error) {
	c.Greenroom, c.Stock = filepath.Join(dir, "greenroom"), filepath.Join(dir, "caddy")
	ours, err := compile(ctx, root, ".", c.Greenroom)
	if err != nil {
		return c, err
	}
	c.Version, err = compile(ctx, filepath.Join(root, "internal", "bench"), "./stock", c.Stock)
	if err == nil && ours != c.Version {
		err = fmt.Errorf("greenroom is built with Caddy %s, and internal/bench/go.mod asks for %s: they must be the same", ours, c.Version)
	}
	return c, err
}

// compile builds a package, and says which Caddy is in it.
func compile(ctx context.Context, module, pkg, to string) (caddy string, err error) {
	to, err = filepath.Abs(to)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, pkg)
	cmd.Dir, cmd.Stderr = module, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building %s in %s: %w", pkg, module, err)
	}
	info, err := buildinfo.ReadFile(to)
	if err != nil {
		return "", err
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/caddyserver/caddy/v2" {
			return m.Version, nil
		}
	}
	return "", fmt.Errorf("%s in %s has no Caddy in it", pkg, module)
}

// Reverse is stock Caddy in front of an upstream, with no more than it needs, so
// that its defaults are measured.
func (c Caddies) Reverse() Program {
	return Program{Name: "caddy", Version: c.Version, Caddy: true, Command: func(dir, address, admin, upstream string) (*exec.Cmd, error) {
		return CaddyCommand(c.Stock, dir, fmt.Sprintf(reverseConfig, admin, dir, address, upstream))
	}}
}

const reverseConfig = `{
	admin %[1]s
	storage file_system %[2]s/storage
	auto_https off
}
http://%[3]s {
	reverse_proxy %[4]s
}
`

// CaddyCommand runs a Caddy with a Caddyfile, and with dir as its home.
func CaddyCommand(binary, dir, config string) (*exec.Cmd, error) {
	file := filepath.Join(dir, "Caddyfile")
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	return cmd, os.WriteFile(file, []byte(config), 0o600)
}
