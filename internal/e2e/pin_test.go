package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// packager makes a live playlist whose segments are of its own numbering, so
// that a viewer who is moved midway would break.
func packager(color string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".m3u8") {
			fmt.Fprintf(w, "%s segment", color)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s-1.ts\n", color)
	})
}

// viewer plays a live stream: a playlist, and the segment that it names.
type viewer struct {
	name    string
	dir     string                // of the stream
	query   string                // that each request has
	dresses func(r *http.Request) // nil: nothing
}

// plays reports the color that served both the playlist and the segment.
func (v viewer) plays(t *testing.T, e *edge) string {
	t.Helper()
	playlist := v.get(t, e, "live.m3u8")
	lines := strings.Fields(playlist)
	segment := lines[len(lines)-1]
	color, _, _ := strings.Cut(segment, "-")
	if got := v.get(t, e, segment); got != color+" segment" {
		t.Errorf("%s: the playlist names %q, and got %q", v.name, segment, got)
	}
	return color
}

func (v viewer) get(t *testing.T, e *edge, file string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.http+v.dir+file+"?"+v.query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.dresses != nil {
		v.dresses(r)
	}
	return do(t, r)
}

func (v viewer) on(t *testing.T, e *edge, want string) {
	t.Helper()
	if got := v.plays(t, e); got != want {
		t.Errorf("%s is on %s, want %s", v.name, got, want)
	}
}

// audience is a viewer for each way to be known.
func audience(id string) []viewer {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	return []viewer{
		{name: id + " by query", dir: "/hls/", query: "session=q" + id},
		{name: id + " by cookie", dir: "/hls/", dresses: header("Cookie", "theme=dark; sid=c"+id)},
		{name: id + " by CMCD in the query", dir: "/hls/", query: "CMCD=bs%2Csid%3D%22m" + id + "%22"},
		{name: id + " by CMCD in the header", dir: "/hls/", dresses: header("CMCD-Session", `sf=h,sid="h`+id+`"`)},
		{name: id + " by path", dir: "/live/p" + id + "/"},
	}
}

func stage(t *testing.T, options string) (*edge, func(options string) string) {
	t.Helper()
	blue, green := newBackend(t, packager("blue")), newBackend(t, packager("green"))
	services := func(options string) string {
		return fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n pin {\n path /live/\n query session\n cookie sid\n cmcd\n %s\n }\n}",
			blue.address, green.address, options)
	}
	e := newEdge(t, services(options))
	e.start()
	e.healthy()
	return e, services
}

func TestViewersStayOnTheirColorAcrossACutoverWhileNewOnesGoToTheOther(t *testing.T) {
	e, services := stage(t, "idle 1h")
	old, young, anonymous := audience("old"), audience("young"), viewer{name: "nobody", dir: "/hls/"}
	for _, v := range old {
		v.on(t, e, "blue")
	}
	if out := e.cli("cutover", "app", "--to", "green", "--no-wait"); out.code != 0 {
		t.Fatal(out)
	}
	for range 5 {
		for i, v := range old {
			v.on(t, e, "blue")
			young[i].on(t, e, "green")
			anonymous.on(t, e, "green")
		}
	}
	if out := e.cli("status", "app"); !strings.Contains(out.stdout, "5 sessions pinned to blue, oldest") || !strings.Contains(out.stdout, "not safe to stop") {
		t.Errorf("status says: %s", out)
	}
	out := e.cli("status", "app", "--json")
	v := e.view()
	if d := v.Cutover.Draining; d.Held == nil || d.Held.Sessions != 5 || v.Green.Pinned != 5 || v.Blue.SafeToStop || v.Phase != switcher.Draining {
		t.Errorf("the drain is %+v, with %d pinned to green", d, v.Green.Pinned)
	}
	for _, secret := range []string{"qold", "cold", "mold", "hold\"", "qyoung"} {
		if strings.Contains(out.stdout, secret) || strings.Contains(e.log.String(), `"`+secret) {
			t.Errorf("the session %q is shown", secret)
		}
	}

	// A reload keeps them; with a short time to be idle they end.
	e.write(services("idle 1h\n max 50"), siteBlueGreen)
	e.reload()
	e.healthy()
	for _, v := range old {
		v.on(t, e, "blue")
	}
	e.write(services("idle 1s"), siteBlueGreen)
	e.reload()
	e.until("the last session has ended", func() bool { return e.view().Phase == switcher.Steady })
	if v := e.view(); !v.Blue.SafeToStop || v.Last.Result != switcher.ResultDone || v.Last.Evicted != 0 {
		t.Errorf("the cutover ended so: %+v", v.Last)
	}
	for _, v := range old {
		v.on(t, e, "green")
	}
}

func TestAnOperatorAndARollbackMoveViewersAtOnce(t *testing.T) {
	e, _ := stage(t, "idle 1h")
	viewers := audience("a")
	all := func(when, want string) {
		t.Helper()
		for _, v := range viewers {
			v.name += " " + when
			v.on(t, e, want)
		}
	}
	steps := []struct{ command, want string }{
		{"cutover app --to green --no-wait", "blue"},
		{"drain app --pins drop", "green"},
		{"cutover app --to blue --no-wait", "green"},
		{"rollback app", "green"},
		{"cutover app --to blue --pins drop", "blue"},
		{"cutover app --to green --no-wait", "blue"},
		{"rollback app", "blue"},
		{"cutover app --to green --pin-deadline 1ms", "green"},
		{"rollback app", "blue"},
	}
	all("at first", "blue")
	for _, s := range steps {
		if out := e.cli(strings.Fields(s.command)...); out.code != 0 {
			t.Fatalf("%s: %s", s.command, out)
		}
		all("after "+s.command, s.want)
	}
	if out := e.cli("cutover", "app", "--to", "green", "--pins", "keep"); out.code != 17 {
		t.Errorf("pins of a policy that there is not: %s", out)
	}
}
