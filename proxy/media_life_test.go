package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"
)

// segments is an origin of media: /<n>.m4s is n times 100,000 bytes, of which all
// but the first wait for more, if there is any to wait for.
func segments(t *testing.T, more <-chan struct{}, saw func(*http.Request)) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if saw != nil {
			saw(r)
		}
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d.m4s", &n); err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(n*100_000))
		part := []byte(strings.Repeat("m", 100_000))
		for i := range n {
			if i == 1 && more != nil {
				<-more
			}
			if _, err := w.Write(part); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// mediaHouse serves media below /media/ from an origin, and the rest from an
// application.
type mediaHouse struct {
	*house
	app string
}

func newMediaHouse(t *testing.T) mediaHouse {
	h := mediaHouse{newHouse(t), saying(t, "app")}
	h.globals = "media_edge {\n\t\tcache {\n\t\t\tmemory 16MiB\n\t\t}\n\t}"
	return h
}

func (h mediaHouse) serveMedia(options string) error {
	return h.try(h.caddyfile(h.services(pair("app", h.app, h.app)), "media_edge {\n\tpath /media/\n\tstrip_prefix /media\n"+options+"\n}\nblue_green app"))
}

func TestAReplacedSecretOfAnOriginIsSentAfterAReload(t *testing.T) {
	var got atomic.Value
	origin := segments(t, nil, func(r *http.Request) { got.Store(r.Header.Get("X-Secret")) })
	secret := filepath.Join(t.TempDir(), "secret")
	h := newMediaHouse(t)
	for _, s := range []string{"the-first", "the-second"} {
		must(t, os.WriteFile(secret, []byte(s+"\n"), 0o600))
		must(t, h.serveMedia("cache off\norigin "+origin+" {\n\theader X-Secret {file."+secret+"}\n}"))
		equal(t, "status", h.get("/media/1.m4s").status, http.StatusOK)
		equal(t, "secret", got.Load(), any(s))
	}
	for _, s := range []string{"the-first", "the-second"} {
		if strings.Contains(h.log(), s) {
			t.Errorf("the log has %q", s)
		}
	}
}

func TestAReloadWithAnotherCacheOrOriginCutsNoBody(t *testing.T) {
	more := make(chan struct{})
	origin := segments(t, more, nil)
	h := newMediaHouse(t)
	must(t, h.serveMedia("origin "+origin))
	res, err := http.Get("http://" + h.http + "/media/3.m4s")
	must(t, err)
	defer res.Body.Close()
	_, err = io.CopyN(io.Discard, res.Body, 50_000)
	must(t, err)
	h.globals = strings.ReplaceAll(h.globals, "16MiB", "32MiB")
	must(t, h.serveMedia("name another\norigin "+origin+" {\n\tmax_conns 7\n}")) // after its grace period the old one is taken down
	close(more)
	rest, err := io.Copy(io.Discard, res.Body)
	must(t, err)
	equal(t, "bytes", 50_000+rest, 300_000)
	equal(t, "status", h.get("/media/1.m4s").status, http.StatusOK)
}

func TestAPlayerMayPostItsEventsAcrossAReload(t *testing.T) {
	h := newMediaHouse(t)
	must(t, h.serveMedia("origin "+segments(t, nil, nil)+"\ncmcd_events /cmcd"))
	conn, err := net.Dial("tcp", h.http)
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /cmcd HTTP/1.1\r\nHost: "+h.http+"\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
	must(t, err)
	head := make([]byte, len("HTTP/1.1 100"))
	_, err = io.ReadFull(conn, head)
	must(t, err)
	equal(t, "the body is awaited", string(head), "HTTP/1.1 100")
	must(t, h.serveMedia("name another\norigin "+segments(t, nil, nil)))
	_, err = io.WriteString(conn, "e=ps,sta=")
	must(t, err)
	rest, err := io.ReadAll(conn)
	must(t, err)
	if !strings.Contains(string(rest), "HTTP/1.1 204") || strings.Contains(h.log(), "panic") {
		t.Errorf("%s\n%s", rest, h.log())
	}
}

func TestAConfigThatFailsToStartLeavesTheMediaOfTheOldOneAsItWas(t *testing.T) {
	var asked atomic.Int64
	origin := segments(t, nil, func(*http.Request) { asked.Add(1) })
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	h := newMediaHouse(t)
	must(t, h.serveMedia("origin "+origin))
	h.get("/media/1.m4s")
	for i := range 10 {
		good := h.http
		h.http = taken.Addr().String() // Caddy shares addresses with itself only
		if err := h.serveMedia(fmt.Sprintf("name other%d\norigin %s {\n\tcheck / {\n\t\tinterval 1s\n\t}\n}", i, origin)); err == nil {
			t.Fatal("it was started")
		}
		h.http = good
	}
	a := h.get("/media/1.m4s")
	if !strings.Contains(a.header.Get("Cache-Status"), "; hit") || len(a.body) != 100_000 {
		t.Errorf("%d %q", a.status, a.header)
	}
	v, err := h.client().Media(t.Context())
	must(t, err)
	equal(t, "origins", len(v.Origins), 1)
}

func TestAfterAStopNothingOfTheMediaEdgeIsLeft(t *testing.T) {
	h := newMediaHouse(t)
	origin := segments(t, nil, nil)
	must(t, h.serveMedia("origin "+origin))
	must(t, caddy.Stop()) // what Caddy keeps for good runs from here on
	before := goleak.IgnoreCurrent()

	keys := filepath.Join(t.TempDir(), "keys")
	must(t, os.WriteFile(keys, []byte("one "+mediaKey+"\n"), 0o600))
	for i := range 5 {
		must(t, h.serveMedia(fmt.Sprintf("name n%d\norigin %s {\n\tcheck / {\n\t\tinterval 1s\n\t}\n}", i, origin)))
		// A connection that was dialed and never used stays with the config before.
		http.DefaultClient.CloseIdleConnections()
		equal(t, "status", h.get("/media/1.m4s").status, http.StatusOK)
		must(t, h.serveMedia("redirect https://cdn.example.com {\n\tsign akamai "+keys+"\n}"))
	}
	must(t, caddy.Stop())
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before,
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2.replaceLocalAdminServer.func2"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve")) // those of the origin here
}

func TestMediaWithoutContentHasNoLengthOverHTTP3(t *testing.T) {
	origin := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"a"`)
		if r.Header.Get("If-None-Match") == `"a"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "video/iso.segment")
		_ = http.NewResponseController(w).Flush() // or its server says a length
		_, _ = io.WriteString(w, "media")
	})
	h := newMediaHouse(t)
	h.secure = true
	for _, cached := range []string{"", "cache off\n"} {
		must(t, h.serveMedia(cached+"origin http://"+origin))
		h.certified()
		for name, transport := range anyHTTP(t) {
			answer := func(method, etag string) int {
				res := roundTrip(t, transport, method, h.url("https", "/media/1.m4s"), nil, with("If-None-Match", etag))
				res.Body.Close()
				if length := res.Header["Content-Length"]; len(length) > 0 && length[0] != "5" {
					t.Errorf("%s %s %q: Content-Length %q", cached, name, method, length)
				}
				return res.StatusCode
			}
			equal(t, name+": HEAD", answer(http.MethodHead, `"b"`), http.StatusOK)
			until(t, name+": what has come whole is compared", func() bool { return answer(http.MethodGet, `"a"`) == http.StatusNotModified })
		}
	}
}

func TestMediaMayEndAfterALongSilence(t *testing.T) {
	end := make(chan struct{})
	origin := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "video/iso.segment")
		if strings.HasPrefix(r.URL.Path, "/private/") {
			w.Header().Set("Cache-Control", "no-store")
		}
		firstThen(w, r, end)
	})
	h := newMediaHouse(t)
	h.app, h.secure = swallowing(t), true
	h.globals += "\n" + briefTimeouts
	n := 0
	for _, c := range []struct{ options, dir string }{{"", "kept"}, {"", "private"}, {"cache off\n", "past"}} {
		must(t, h.serveMedia(c.options+"origin http://"+origin))
		h.certified()
		h.healthy("app")
		for name, transport := range anyHTTP(t) {
			n++
			res := begin(t, transport, h.url("https", fmt.Sprintf("/media/%s/%d.m4s", c.dir, n)))
			stall(t, h.house, transport) // takes the idle timeout
			stall(t, h.house, transport)
			end <- struct{}{}
			equal(t, c.dir+", "+name+": the end", rest(res), `"" <nil>`)
		}
	}
}

func TestMediaInChunksIsKept(t *testing.T) {
	var asked atomic.Int64
	origin := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
		for range 3 {
			_, _ = io.WriteString(w, "#EXTM3U\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	h := newMediaHouse(t)
	must(t, h.serveMedia("origin http://"+origin))
	for n, path := range []string{"/media/list.m3u8", "/media/1.m4s"} {
		first := h.get(path)
		equal(t, path, first.body, strings.Repeat("#EXTM3U\n", 3))
		until(t, path+" is answered by what is kept", func() bool {
			again := h.get(path)
			return again.body == first.body && strings.Contains(again.header.Get("Cache-Status"), "; hit")
		})
		equal(t, "questions to the origin", asked.Load(), int64(n+1))
	}
}

func TestMediaForNobodyElseIsNotShared(t *testing.T) {
	var asked atomic.Int64
	origin := upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Vary", "Origin")
		w.Header().Add("Vary", "Accept, *")
		fmt.Fprint(w, asked.Add(1))
	})
	h := newMediaHouse(t)
	must(t, h.serveMedia("origin http://"+origin))
	for n := range 3 {
		equal(t, "answer", h.get("/media/1.m4s").body, fmt.Sprint(n+1))
	}
}
