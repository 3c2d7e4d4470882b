package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that may grow no more stands for a disk that is full: the kernel says
// EFBIG instead of ENOSPC, at the same call.
func TestAnUploadGoesOnWhenTheDiskTakesNoMoreOfIt(t *testing.T) {
	body := film(1 << 20)
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		_, _ = io.Copy(h, r.Body)
		if r.URL.Path == "/dies" {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "%x", h.Sum(nil))
	})
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue %s %s
			green %[1]s
			replay {
				memory 16KiB
				disk 8MiB
			}
		}`, newBackend(t, upstream).address, newBackend(t, upstream).address))
	e.start()
	e.healthy()
	limit := unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}
	if err := unix.Prlimit(e.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	goes := make(chan struct{})
	close(goes)
	want := fmt.Sprintf("200 %x", sha256.Sum256(body))
	if answer := halting(t, e, http.MethodPut, "/whole", body, goes); answer != want {
		t.Errorf("%s, want %s", answer, want)
	}
	if answer := halting(t, e, http.MethodPut, "/dies", body, goes); answer != "502 " {
		t.Errorf("an upload that could not be kept: %s", answer)
	}
	e.until("the log says why", func() bool {
		return strings.Contains(e.log.String(), "not sent to another upstream: its body could not be kept on disk")
	})
	metrics := fetch(t, "http://"+e.admin+"/metrics")
	if n := metric(t, metrics, `greenroom_replay_refusals_total{reason="disk",service="app"}`); n != 1 {
		t.Errorf("%v refusals are counted", n)
	}
	for _, store := range []string{"memory", "disk"} {
		if n := metric(t, metrics, `greenroom_replay_spooled_bytes{store="`+store+`"}`); n != 0 {
			t.Errorf("%v bytes are still kept: %s", n, store)
		}
	}
	if t.Failed() {
		e.explain()
	}
}
