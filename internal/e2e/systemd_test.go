package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// unit reads the unit of the example: what each key is set to, one line after the other.
func unit(t *testing.T) (settings map[string][]string, installs string) {
	t.Helper()
	text, err := os.ReadFile("../../examples/systemd/greenroom.service")
	if err != nil {
		t.Fatal(err)
	}
	settings = make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			installs += line
		} else if key, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			settings[key] = append(settings[key], value)
		}
	}
	return settings, installs
}

func TestTheSystemdUnitAndItsConfigAreSound(t *testing.T) {
	text, err := os.ReadFile("../../examples/systemd/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	// The group of the unit is made by its installation.
	local := strings.ReplaceAll(string(text), "group greenroom", "group 0")
	config := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, []byte(local), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "validate", "--config", config).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	settings, installs := unit(t)
	one := func(key string) string {
		t.Helper()
		if len(settings[key]) != 1 {
			t.Fatalf("%s is set to %q: want one value", key, settings[key])
		}
		return settings[key][0]
	}
	// What it runs is what its comment installs, by commands that there are.
	for _, key := range []string{"ExecStart", "ExecReload"} {
		words := strings.Fields(one(key))
		for _, file := range []string{words[0], words[slices.Index(words, "--config")+1]} {
			if !strings.Contains(installs, " "+file+"\n") {
				t.Errorf("%s: %s is not among what is installed", key, file)
			}
		}
		if out, err := exec.Command(binary, append(words[1:], "--help")...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", key, err, out)
		}
	}
	// It may write where its config does, and no file that the config names is missing.
	for _, want := range []string{
		"socket /run/" + one("RuntimeDirectory") + "/", "state_dir /var/lib/" + one("StateDirectory") + "/", "group " + one("Group") + "\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the Caddyfile has no %q", want)
		}
	}
	words := strings.Fields(string(text))
	for _, word := range words {
		if strings.HasPrefix(word, "/etc/greenroom/") && !strings.Contains(installs, strings.TrimRight(word, ",")+"\n") {
			t.Errorf("%s is not among what is installed", word)
		}
	}
	grace, err := time.ParseDuration(words[slices.Index(words, "grace_period")+1])
	if err != nil {
		t.Error(err)
	}
	if patient, err := time.ParseDuration(one("TimeoutStopSec")); err != nil || patient <= grace {
		t.Errorf("systemd kills after %s (%v): want more than the grace_period of %s", patient, err, grace)
	}
}
