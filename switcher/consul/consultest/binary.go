package consultest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// binary returns the path of Consul's server, and has Go build it if its cache
// does not hold it.
var binary = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	tool := exec.Command("go", "tool", "-n", "consul")
	tool.Dir = filepath.Join(root, "internal", "tools", "consul")
	var said bytes.Buffer
	tool.Stderr = &said
	out, err := tool.Output()
	if err != nil {
		return "", fmt.Errorf("consultest: go tool -n consul: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
})

// moduleRoot looks upwards from the directory of the test for the one that has
// Consul's module.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "internal", "tools", "consul", "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("consultest: no internal/tools/consul above the test's directory")
		}
		dir = up
	}
}
