package media

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/mediaedge"
)

func TestOfAQueryOnlyWhatIsNamedGoesOnInOneSpelling(t *testing.T) {
	names := []string{"v", "w", "_HLS_msn"}
	for raw, want := range map[string]string{
		"": "", "v=1": "v=1", "v": "v=", "v=1&v=2": "v=1", "w=2&v=1": "v=1&w=2", "v=1&w=2": "v=1&w=2", "x=1": "", "V=1": "", "%76=1": "v=1", "v=%31": "v=1", "v=a+b": "v=a+b", "v=a%20b": "v=a+b",
		"v=1;w=2": "", "v=1;w=2&w=3": "w=3", "v=%": "", "v=%zz&w=1": "w=1", "%zz=1&v=1": "v=1", "&&v=1&&": "v=1", "v=1#w=2": "v=1%23w%3D2", "v=1%26w=2": "v=1%26w%3D2", "v[]=1": "", "v==1": "v=%3D1",
		"v=\x00": "v=%00", "v=\r\nX: y": "v=%0D%0AX%3A+y", "CMCD=bl%3D1&v=1": "v=1", "CM%43D=x&v=1": "v=1", "v=1&CMCD": "v=1", "cmcd=1": "", "_HLS_msn=5": "_HLS_msn=5",
	} {
		if got := pick(raw, names, nil); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestOnlyPlaylistsHaveTheParametersOfLowLatencyAndOnlyIfTheyMeanSomething(t *testing.T) {
	h := new(Handler)
	for raw, want := range map[string]string{
		"_HLS_msn=7&_HLS_part=0&_HLS_skip=YES": "_HLS_msn=7&_HLS_part=0&_HLS_skip=YES", "_HLS_skip=v2": "_HLS_skip=v2", "_HLS_skip=yes": "", "_HLS_msn=-1": "", "_HLS_msn=": "", "_HLS_msn": "",
		"_HLS_msn=1.5": "", "_HLS_msn=12345678901234567": "", "_HLS_msn=x&_HLS_part=1": "_HLS_part=1", "_HLS_push=1": "", "v=1": "", "_HLS_msn=%37": "_HLS_msn=7", "_HLS_msn=٣": "",
	} {
		r := &http.Request{URL: &url.URL{RawQuery: raw}}
		if got := h.query(r, mediaedge.Playlist); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
		for _, kind := range kinds {
			if got := h.query(r, kind); kind != mediaedge.Playlist && got != "" {
				t.Errorf("%q of a %v: %q", raw, kind, got)
			}
		}
	}
}

func TestAPrefixIsStrippedByWholeSegments(t *testing.T) {
	for _, c := range [][3]string{
		{"/media", "/media/a.mp4", "/a.mp4"}, {"/media", "/media", "/"}, {"/media", "/media/", "/"}, {"/media", "/mediafoo/a.mp4", "/mediafoo/a.mp4"}, {"/media", "/x/media/a.mp4", "/x/media/a.mp4"},
		{"/media", "/media/media/a.mp4", "/media/a.mp4"}, {"/media", "/MEDIA/a.mp4", "/MEDIA/a.mp4"}, {"", "/media/a.mp4", "/media/a.mp4"}, {"", "/", "/"}, {"/a/b", "/a/b/c", "/c"}, {"/a/b", "/a/bc", "/a/bc"},
	} {
		if got := (&Handler{StripPrefix: c[0]}).strip(c[1]); got != c[2] {
			t.Errorf("%s without %s: %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

func TestAPurgeMeansAPathAsTheOriginOrAsAViewerHasIt(t *testing.T) {
	for _, c := range []struct {
		strip, path string
		prefix      bool
		want        []string
	}{
		{"/media", "/media/a.mp4", false, []string{"/media/a.mp4", "/a.mp4"}}, {"/media", "/a.mp4", false, []string{"/a.mp4"}}, {"", "/a.mp4", false, []string{"/a.mp4"}},
		{"/media", "/media/talk/", true, []string{"/media/talk/", "/talk/"}}, {"/media", "/media/", true, []string{"/media/", "/"}}, {"/x/media", "/x/", true, []string{"/x/", "/"}},
		{"/x/media", "/x", false, []string{"/x"}}, {"/x/media", "/y/", true, []string{"/y/"}}, {"/media", "/", true, []string{"/", "/"}},
	} {
		if got := (&Handler{StripPrefix: c.strip}).spellings(c.path, c.prefix); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// echo is an origin whose objects say what they were asked for by.
func echo(t *testing.T, name string, asked *atomic.Int64) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("ETag", fmt.Sprintf("%q", r.RequestURI))
		if strings.HasSuffix(r.URL.Path, "gone.mp4") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "%s %s %v", name, r.RequestURI, r.Header["Cookie"])
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRequestsShareAnObjectOnlyIfTheyAskTheOriginTheSame(t *testing.T) {
	var asked atomic.Int64
	one, two := echo(t, "one", &asked), echo(t, "two", &asked)
	app := application(t)
	plain := &Handler{Name: "plain", Match: Rule{Paths: []string{"/m/"}, All: true}, Origin: &Origin{Endpoints: []string{one}}, Query: []string{"v"}}
	other := &Handler{Name: "other", Match: plain.Match, Origin: &Origin{Endpoints: []string{two}}}
	twin := &Handler{Name: "twin", Match: plain.Match, Origin: &Origin{Endpoints: []string{one}}}
	same := &Handler{Name: "plain", Match: Rule{Paths: []string{"/s/m/"}, All: true}, StripPrefix: "/s", Origin: &Origin{Endpoints: []string{one}}, Query: []string{"v"}}
	for _, h := range []*Handler{plain, other, twin, same} {
		if err := app.with(h); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		h      *Handler
		target string
		want   string // of the body
		new    bool   // the origin is asked
	}{
		{plain, "/m/a.mp4", "one /m/a.mp4 []", true}, {plain, "/m/a.mp4", "one /m/a.mp4 []", false}, {plain, "/m/%61.mp4", "one /m/a.mp4 []", false}, {plain, "/m/a.mp4?", "one /m/a.mp4 []", false},
		{plain, "/m/a.mp4?x=1&CMCD=bl%3D1", "one /m/a.mp4 []", false}, {plain, "/m/a.mp4?_HLS_msn=1", "one /m/a.mp4 []", false}, {plain, "/m/a.mp4?v=1", "one /m/a.mp4?v=1 []", true}, {plain, "/m/a.mp4?x=2&%76=%31&v=3", "one /m/a.mp4?v=1 []", false},
		{plain, "/m/a.mp4?v=2", "one /m/a.mp4?v=2 []", true}, {plain, "/m/A.mp4", "one /m/A.mp4 []", true}, {plain, "/m/a.mp4/", "one /m/a.mp4/ []", true}, {plain, "/m/a%20b.mp4", "one /m/a%20b.mp4 []", true}, {plain, "/m/a+b.mp4", "one /m/a+b.mp4 []", true},
		{same, "/s/m/a.mp4", "one /m/a.mp4 []", false}, {same, "/s/m/a.mp4?v=1", "one /m/a.mp4?v=1 []", false},
		{other, "/m/a.mp4", "two /m/a.mp4 []", true}, {twin, "/m/a.mp4", "one /m/a.mp4 []", true}, {twin, "/m/a.mp4?v=1", "one /m/a.mp4 []", false},
		{other, "/m/live.m3u8?_HLS_msn=1", "two /m/live.m3u8?_HLS_msn=1 []", true}, {other, "/m/live.m3u8?_HLS_msn=evil", "two /m/live.m3u8 []", true}, {other, "/m/live.m3u8", "two /m/live.m3u8 []", false},
	} {
		before := asked.Load()
		r := httptest.NewRequest(http.MethodGet, c.target, nil)
		r.Header["Cookie"] = []string{"session=secret"}
		res := serve(t, c.h, r)
		if got := body(t, res); res.StatusCode != http.StatusOK || got != c.want || (asked.Load() > before) != c.new {
			t.Errorf("%s of %s: %d %q, asked %d times more; want %q", c.target, c.h.Name, res.StatusCode, got, asked.Load()-before, c.want)
		}
	}
}

func TestARequestIsCountedOnceWhateverComesOfIt(t *testing.T) {
	var asked atomic.Int64
	gone := httptest.NewServer(nil)
	gone.Close()
	h := handler(t, &Handler{Name: t.Name(), Match: Rule{Paths: []string{"/m/"}, All: true}, Origin: &Origin{Endpoints: []string{echo(t, "one", &asked)}}})
	ill := handler(t, &Handler{Name: t.Name() + "-ill", Match: h.Match, Origin: &Origin{Endpoints: []string{gone.URL}}})
	for i, c := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/m/a.mp4", 200}, {"GET", "/m/gone.mp4", 404}, {"PUT", "/m/a.mp4", 405}, {"GET", "/m/..%2fa.mp4", 400}, {"GET", "/m/" + strings.Repeat("x", maxPath), 414}, {"GET", "/m/a.mp4?" + strings.Repeat("x", maxQuery+1), 414},
	} {
		if res := serve(t, h, httptest.NewRequest(c.method, c.target, nil)); res.StatusCode != c.status || h.counts.sum() != uint64(i+1) {
			t.Errorf("%s %.50s: %d, counted %d", c.method, c.target, res.StatusCode, h.counts.sum())
		}
	}
	if res := serve(t, h, httptest.NewRequest("GET", "/page", nil)); res.StatusCode != http.StatusTeapot || h.counts.sum() != 6 {
		t.Errorf("what is no media: %d, counted %d", res.StatusCode, h.counts.sum())
	}
	if res := serve(t, ill, httptest.NewRequest("GET", "/m/a.mp4", nil)); res.StatusCode != http.StatusBadGateway || res.Header.Get("Cache-Control") != "no-store" || ill.counts.sum() != 1 {
		t.Errorf("from an origin that is down: %d, counted %d", res.StatusCode, ill.counts.sum())
	}
}

func TestEventsAreTakenAtTheHostsOfTheRuleOnly(t *testing.T) {
	var asked atomic.Int64
	h := handler(t, &Handler{Match: Rule{Hosts: []string{"media.example.com"}}, Origin: &Origin{Endpoints: []string{echo(t, "one", &asked)}}, CMCDEvents: "/cmcd"})
	for target, want := range map[string]int{
		"http://media.example.com/cmcd": 204, "http://MEDIA.example.com.:80/cmcd": 204, "http://app.example.com/cmcd": 418, "http://media.example.com/cm%63d": 418, "http://media.example.com/cmcd/": 418,
	} {
		if res := serve(t, h, httptest.NewRequest(http.MethodPost, target, strings.NewReader("sta=p"))); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, res.StatusCode, want)
		}
	}
}

func TestTwoOfOneNameAreOneOriginOrRefused(t *testing.T) {
	base := func() *Handler {
		return &Handler{Name: "vod", Match: Rule{Paths: []string{"/m/"}}, Origin: &Origin{Endpoints: []string{"http://a.example"}}}
	}
	for name, c := range map[string]struct {
		change func(*Handler)
		fine   bool
	}{
		"the same":          {func(*Handler) {}, true},
		"another rule":      {func(h *Handler) { h.Match.Paths = []string{"/n/"} }, true},
		"another prefix":    {func(h *Handler) { h.StripPrefix = "/m" }, true},
		"another endpoint":  {func(h *Handler) { h.Origin.Endpoints = []string{"http://b.example"} }, false},
		"another order":     {func(h *Handler) { h.Origin.Endpoints = []string{"http://a.example", "http://b.example"} }, false},
		"a bucket":          {func(h *Handler) { h.Origin.S3 = &S3{Bucket: "bucket"} }, false},
		"another field":     {func(h *Handler) { h.Origin.Header = map[string]string{"X-A": "1"} }, false},
		"a redirect":        {func(h *Handler) { h.Origin, h.Redirect = nil, &Redirect{To: "https://a.example"} }, false},
		"other connections": {func(h *Handler) { h.Origin.MaxConns = 7 }, false},
	} {
		app := application(t)
		second := base()
		c.change(second)
		if err := app.with(base()); err != nil {
			t.Fatal(err)
		}
		if err := app.with(second); (err == nil) != c.fine || err != nil && !strings.Contains(err.Error(), `"vod"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
