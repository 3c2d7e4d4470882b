package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/player"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// liveApp serves a live stream; while it hangs, the playlists as they were. All
// else is answered with its color.
type liveApp struct {
	color string
	files http.Handler
	hangs atomic.Bool
	kept  sync.Map // playlists by path
}

func (p *liveApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !strings.HasPrefix(r.URL.Path, "/live/"):
		_, _ = io.WriteString(w, p.color)
		return
	case !strings.HasSuffix(r.URL.Path, ".m3u8"):
		p.files.ServeHTTP(w, r)
		return
	}
	list, kept := p.kept.Load(r.URL.Path)
	if !kept || !p.hangs.Load() {
		now := httptest.NewRecorder()
		p.files.ServeHTTP(now, r)
		list = now.Body.Bytes()
		p.kept.Store(r.URL.Path, list)
	}
	w.Header().Set("Content-Type", player.ContentType(r.URL.Path))
	_, _ = w.Write(list.([]byte))
}

func TestAColorWhoseLiveStreamStandsStillGetsNoViewers(t *testing.T) {
	t.Parallel()
	stream := player.Stream{Format: player.HLSTS}
	files := http.StripPrefix("/live/", player.Files(player.Start(t, stream)[0]))
	blue, green := &liveApp{color: "blue", files: files}, &liveApp{color: "green", files: files}
	e := newEdge(t, checkedApp(newBackend(t, blue).address, newBackend(t, green).address, "gate live /live/"+stream.Index()))
	e.start()
	e.healthy()

	green.hangs.Store(true)
	e.cli("plan", "app", "--to", "green").wants(t, 0, "live", "1 upstreams, 2 playlists, looks well; a cutover watches for 6s")
	out := e.cli("cutover", "app", "--to", "green", "--gate-timeout", "12s")
	out.wants(t, exitRefused, "waited 12s", `app, gate "live": /live/`+stream.Index()+" at ", ".m3u8: has had no new segment for ", "with a target duration of 2s")
	t.Log(out.stderr)
	if body := fetch(t, "http://"+e.http+"/"); body != "blue" {
		t.Errorf("%q answers", body)
	}
	green.hangs.Store(false)
	e.cli("cutover", "app", "--to", "green", "--gate-timeout", "50s").wants(t, 0, "app: green serves 100%")
	if body := fetch(t, "http://"+e.http+"/"); body != "green" {
		t.Errorf("%q answers", body)
	}
}

func TestAKeyInConsulSaysWhichSchemaIsInForce(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t, consultest.Options{})
	const key = "app/schema/version"
	e := newEdge(t, fmt.Sprintf(`
		consul {
			address %s
		}
		service app {
			blue %s
			green %s
			health http /healthz {
				interval 100ms
			}
			gate schema {
				consul %s
				blue 12..13
				green 13..14
			}
			gate_timeout 2s
		}`, server.Address, newBackend(t, saying("blue")).address, newBackend(t, saying("green")).address, key))
	e.start()
	e.healthy()
	refused := func(words ...string) {
		t.Helper()
		e.cli("cutover", "app", "--to", "green").wants(t, exitRefused, append(words, `app, gate "schema": `)...)
		if v := e.view(); v.Split != switcher.All(switcher.Blue) {
			t.Errorf("%s", v.Split)
		}
	}
	refused("waited 2s", "the schema's version cannot be read (consul key "+key+")", "Consul has none such")
	server.Put(t, key, "twelve")
	refused("waited 2s", `"twelve" is no version`)
	server.Put(t, key, "12")
	refused("the schema is at version 12, and green needs 13 at least")
	server.Put(t, key, "14")
	refused("the schema is at version 14, and blue works with 13 at most")
	server.Put(t, key, "13")
	e.cli("plan", "app", "--to", "green").wants(t, 0, "version 13 suits both colors")
	e.cli("cutover", "app", "--to", "green").wants(t, 0, "app: green serves 100%")
	server.Kill(t)
	e.cli("plan", "app", "--to", "blue").wants(t, exitRefused, "the schema's version cannot be read (consul key "+key+")", "connection refused")
	e.cli("rollback", "app").wants(t, 0, "app: blue serves 100%") // which asks no gate
}
