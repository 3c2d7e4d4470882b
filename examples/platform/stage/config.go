package stage

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// Config says where the programs are, and where to put what they keep.
type Config struct {
	// Dir is for logs, sockets, keys and data. It is made if it is not there; what
	// an earlier stage left in it is removed.
	Dir string
	// Example is the directory with the Caddyfile. Default: the working directory.
	Example string
	// Edge is the address that viewers open. Default: localhost:8080.
	Edge string
	// Platform is this example's program. Default: the one that runs.
	Platform string
	// Greenroom, Consul and S3 are the programs of these names; S3 is versitygw.
	// Default: greenroom of this repository; consul on PATH; and what the
	// repository pins, which Go builds, in minutes the first time.
	Greenroom, Consul, S3 string
	// Players is the directory with hls.min.js. Default: where npm ci puts it.
	Players string
}

func (c *Config) complete() error {
	var err error
	if c.Example == "" {
		c.Example = "."
	}
	if c.Example, err = filepath.Abs(c.Example); err != nil {
		return err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	if c.Edge == "" {
		c.Edge = "localhost:8080"
	}
	if _, _, err := net.SplitHostPort(c.Edge); err != nil {
		return fmt.Errorf("the edge's address: %w: want host:port, as localhost:8080", err)
	}
	if c.Platform == "" {
		if c.Platform, err = os.Executable(); err != nil {
			return err
		}
	}
	if c.Players == "" {
		c.Players = filepath.Join(c.Example, "app", "web", "node_modules", "hls.js", "dist")
	}
	if c.Greenroom == "" {
		c.Greenroom = filepath.Join(c.Example, "..", "..", "greenroom")
	}
	for what, path := range map[string]string{
		"greenroom": c.Greenroom, "the Caddyfile": filepath.Join(c.Example, "Caddyfile"),
		"hls.js (npm ci in app/web)": filepath.Join(c.Players, "hls.min.js"),
	} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is missing: %w: make platform gets it", what, err)
		}
	}
	return c.tools()
}

// tools finds the servers that are not Debian's.
func (c *Config) tools() error {
	if c.Consul == "" {
		c.Consul, _ = exec.LookPath("consul")
	}
	for _, t := range []struct {
		path         *string
		module, name string
	}{{&c.Consul, "consul", "consul"}, {&c.S3, "s3", "versitygw"}} {
		if *t.path != "" {
			continue
		}
		var err error
		if *t.path, err = realserver.Tool(t.module, t.name); err != nil {
			return err
		}
	}
	return nil
}
