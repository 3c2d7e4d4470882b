package stage_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
)

func TestAStageThatCannotBeSaysWhyAndTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "edge", "of another stage")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	players := t.TempDir()
	if err := os.WriteFile(filepath.Join(players, "hls.min.js"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	program, err := os.Executable() // any that is there
	if err != nil {
		t.Fatal(err)
	}
	whole := stage.Config{
		Dir: dir, Example: "..", Edge: l.Addr().String(), Greenroom: program, Consul: program, S3: program, Players: players,
	}
	for says, change := range map[string]func(*stage.Config){
		"address already in use": func(*stage.Config) {},
		"want host:port":         func(c *stage.Config) { c.Edge = "localhost" },
		"greenroom is missing":   func(c *stage.Config) { c.Greenroom = filepath.Join(dir, "nowhere") },
		"hls.js":                 func(c *stage.Config) { c.Players = dir },
		"the Caddyfile":          func(c *stage.Config) { c.Example = dir },
	} {
		c := whole
		change(&c)
		s, err := stage.Start(t.Context(), c)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
