package file_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/file"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestWhatASourceHasSaidIsRememberedForTheNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pools", "app.json")
	if pools, err := file.Recall(path); err != nil || !switchertest.SamePools(pools, switcher.Pools{}) {
		t.Errorf("before anything was said: %v, %v", pools, err)
	}
	told := switcher.Pools{Green: []switcher.Upstream{{Address: "10.0.0.1:80", Weight: 3, Meta: map[string]string{"v": "1\n"}}}}
	remember(t, path, told)
	if pools, err := file.Recall(path); err != nil || !switchertest.SamePools(pools, told) {
		t.Errorf("recalled %v, %v", pools, err)
	}
}

// remember has a source tell pools once.
func remember(t *testing.T, path string, told switcher.Pools) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sink := new(switchertest.Sink)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = file.Remember(switcher.Static(told), path, nil).Run(ctx, sink)
	}()
	sink.WaitUpdate(t, told)
	cancel()
	<-done
}

func TestWhatIsRememberedAndDamagedGivesWayToTheSnapshotBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	first := switcher.Pools{Blue: []switcher.Upstream{{Address: "10.0.0.1:80", Weight: 1}}}
	second := switcher.Pools{Blue: []switcher.Upstream{{Address: "10.0.0.2:80", Weight: 1}}}
	remember(t, path, first)
	if err := os.Truncate(path, 9); err != nil {
		t.Fatal(err)
	}
	if pools, err := file.Recall(path); !switchertest.SamePools(pools, first) || err == nil {
		t.Errorf("of one snapshot only: %v, %v", pools, err)
	}
	remember(t, path, first)
	remember(t, path, second)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole[:len(whole)-1] { // the last byte is a line feed
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1
		for _, damaged := range [][]byte{whole[:n], flipped} {
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			pools, err := file.Recall(path)
			if !switchertest.SamePools(pools, first) || err == nil {
				t.Fatalf("%q gives %v, %v", damaged, pools, err)
			}
		}
	}
	remember(t, path, second) // over what is damaged
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if pools, err := file.Recall(path); !switchertest.SamePools(pools, first) || err == nil {
		t.Errorf("what was damaged has displaced what was not: %v, %v", pools, err)
	}
	for _, name := range []string{path, path + ".prev"} {
		if err := os.WriteFile(name, []byte(`{"format": 1, "sha`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pools, err := file.Recall(path); err == nil || !switchertest.SamePools(pools, switcher.Pools{}) {
		t.Errorf("two torn files give %v, %v", pools, err)
	}
}
