package file_test

import (
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
	if pools, err := file.Recall(path); err != nil || !switchertest.SamePools(pools, told) {
		t.Errorf("recalled %v, %v", pools, err)
	}
	if err := os.WriteFile(path, []byte(`{"version": 1, "blue": [{"addr`), 0o600); err != nil {
		t.Fatal(err)
	}
	if pools, err := file.Recall(path); err == nil || len(pools.Green) > 0 {
		t.Errorf("a torn file gives %v, %v", pools, err)
	}
}
