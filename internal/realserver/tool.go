package realserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool returns the path of a Go tool of the module internal/tools/<module>, and
// has Go build it if its cache does not hold it, which may take minutes.
func Tool(module, name string) (string, error) {
	dir, err := moduleDir(module)
	if err != nil {
		return "", err
	}
	tool := exec.Command("go", "tool", "-n", name)
	tool.Dir = dir
	var said bytes.Buffer
	tool.Stderr = &said
	out, err := tool.Output()
	if err != nil {
		return "", fmt.Errorf("go tool -n %s in internal/tools/%s: %w: %s", name, module, err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// moduleDir looks upwards from the directory of the test for the one that has
// the tool's module.
func moduleDir(module string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		at := filepath.Join(dir, "internal", "tools", module)
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no internal/tools/%s above the test's directory", module)
		}
		dir = up
	}
}
