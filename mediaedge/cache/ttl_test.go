package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is an origin in a synctest bubble: a handler without sockets. Each
// answer takes a moment.
type script struct {
	mu    sync.Mutex
	h     http.HandlerFunc // guarded by mu; nil: unreachable
	asked []string         // guarded by mu
	takes time.Duration
}

func (s *script) Fetch(ctx context.Context, method string, h http.Header) (*http.Response, error) {
	line := method
	for _, key := range []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since"} {
		if v := h.Get(key); v != "" {
			line += " " + key + "=" + v
		}
	}
	s.mu.Lock()
	s.asked = append(s.asked, line)
	handler := s.h
	s.mu.Unlock()
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if handler == nil {
		return nil, errors.New("connection refused")
	}
	r := httptest.NewRequest(method, "/a", nil)
	r.Header = h
	w := httptest.NewRecorder()
	handler(w, r)
	res := w.Result()
	return res, nil
}

func (s *script) set(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.h = h
}

// take returns what was asked since it was called last.
func (s *script) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// text answers with a text and these fields.
func text(body, etag string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, f := range fields {
			key, value, _ := strings.Cut(f, ": ")
			w.Header().Set(key, value)
		}
		if etag != "" {
			w.Header().Set("Etag", etag)
		}
		w.Header().Set("Content-Type", "text/plain")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
		if w, ok := w.(*httptest.ResponseRecorder); ok && w.Code == 200 { // a server would
			w.Header().Set("Content-Length", fmt.Sprint(w.Body.Len()))
		}
	}
}

func (s *script) fails(code int) {
	s.set(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) })
}

// want asks once, and says what is to come of it.
func want(t *testing.T, c *Cache, s *script, terms Terms, what, body string, result Result, asked ...string) *httptest.ResponseRecorder {
	t.Helper()
	w, out, err := serve(c, s, terms)
	synctest.Wait()
	if err != nil || w.Body.String() != body || out.Result != result {
		t.Errorf("%s: %q, %s, %v; want %q, %s", what, w.Body, out.Result, err, body, result)
	}
	if got := s.take(); !slices.Equal(got, asked) {
		t.Errorf("%s: asked %q, want %q", what, got, asked)
	}
	return w
}

func TestAFreshObjectIsServedUntilItsTimeIsOver(t *testing.T) {
	for name, tt := range map[string]struct {
		fields []string
		fresh  time.Duration
	}{
		"the terms":                   {nil, time.Minute},
		"max-age":                     {[]string{"Cache-Control: max-age=10"}, 10 * time.Second},
		"s-maxage first":              {[]string{"Cache-Control: max-age=10, s-maxage=20"}, 20 * time.Second},
		"targeted first":              {[]string{"Cache-Control: max-age=10, s-maxage=20", "CDN-Cache-Control: max-age=30"}, 30 * time.Second},
		"targeted instead of private": {[]string{"Cache-Control: private, no-store", "CDN-Cache-Control: max-age=30"}, 30 * time.Second},
		"targeted, not valid":         {[]string{"Cache-Control: max-age=10", "CDN-Cache-Control: max-age=30, ="}, 10 * time.Second},
		"Expires":                     {[]string{"Date: Sat, 01 Nov 2025 10:00:00 GMT", "Expires: Sat, 01 Nov 2025 10:00:15 GMT"}, 15 * time.Second},
		"max-age before Expires":      {[]string{"Cache-Control: max-age=10", "Date: Sat, 01 Nov 2025 10:00:00 GMT", "Expires: Sat, 01 Nov 2025 10:00:15 GMT"}, 10 * time.Second},
		"less its age":                {[]string{"Cache-Control: max-age=10", "Age: 4"}, 6 * time.Second},
		"quoted":                      {[]string{`Cache-Control: max-age="10"`}, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, s, terms := newCache(t, Options{}), &script{}, Terms{TTL: time.Minute}
			s.set(text("one", `"1"`, tt.fields...))
			want(t, c, s, terms, name, "one", Miss, "GET")
			time.Sleep(tt.fresh - time.Millisecond)
			want(t, c, s, terms, name+", fresh", "one", Hit)
			time.Sleep(time.Millisecond)
			s.set(text("two", `"2"`, tt.fields...))
			want(t, c, s, terms, name+", over", "two", Miss, `GET If-None-Match="1"`)
		})
	}
}

func TestWhatMayNotBeKeptFreshIsAskedForEachTime(t *testing.T) {
	for _, field := range []string{"Cache-Control: no-cache", "Cache-Control: max-age=0", "Cache-Control: max-age=60, no-cache", "Expires: 0",
		"Cache-Control: max-age=x", "CDN-Cache-Control: no-cache", "Age: 99999999999999999999999"} {
		synctest.Test(t, func(t *testing.T) {
			c, s, terms := newCache(t, Options{}), &script{}, Terms{TTL: time.Minute}
			s.set(text("one", `"1"`, field))
			want(t, c, s, terms, field, "one", Miss, "GET")
			want(t, c, s, terms, field+", again", "one", Revalidated, `GET If-None-Match="1"`)
		})
	}
}

func TestA304FreshensAndKeepsTheBytes(t *testing.T) {
	for _, etag := range []string{`"1"`, `W/"1"`} {
		synctest.Test(t, func(t *testing.T) {
			c, s, terms := newCache(t, Options{}), &script{}, Terms{TTL: time.Minute}
			s.set(text("one", etag, "Cache-Control: max-age=5"))
			want(t, c, s, terms, "cold", "one", Miss, "GET")
			time.Sleep(5 * time.Second)
			s.set(text("one", etag, "Cache-Control: max-age=50"))
			w := want(t, c, s, terms, "stale", "one", Revalidated, "GET If-None-Match="+etag)
			if got := w.Header().Get("Cache-Status"); got != "greenroom; fwd=stale; fwd-status=304; stored; ttl=50" {
				t.Error(got)
			}
			if got := w.Header().Get("Cache-Control"); got != "max-age=50" {
				t.Error(got)
			}
			time.Sleep(49 * time.Second)
			if w := want(t, c, s, terms, "fresh", "one", Hit); w.Header().Get("Age") != "49" {
				t.Error(w.Header())
			}
		})
	}
}

func TestA304ThatSpeaksOfAnotherVersionIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, terms := newCache(t, Options{}), &script{}, Terms{TTL: time.Minute}
		s.set(text("one", `"1"`))
		want(t, c, s, terms, "cold", "one", Miss, "GET")
		time.Sleep(time.Minute)
		s.set(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				w.Header().Set("Etag", `"2"`)
				w.WriteHeader(304)
				return
			}
			text("two", `"2"`)(w, r)
		})
		want(t, c, s, terms, "stale", "two", Miss, `GET If-None-Match="1"`, "GET")
	})
}

func TestA200OfTheSameVersionKeepsTheBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, terms := newCache(t, Options{}), &script{}, Terms{TTL: time.Minute}
		s.set(text("one", `"1"`))
		want(t, c, s, terms, "cold", "one", Miss, "GET")
		time.Sleep(time.Minute)
		s.set(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-None-Match")
			text("one", `"1"`)(w, r)
		})
		before := c.Stats().OriginBytes
		want(t, c, s, terms, "stale", "one", Miss, `GET If-None-Match="1"`)
		if got := c.Stats().OriginBytes; got != before {
			t.Errorf("%d bytes were read again", got-before)
		}
		want(t, c, s, terms, "fresh", "one", Hit)
	})
}

func TestAStaleObjectIsServedWhileTheOriginFails(t *testing.T) {
	for name, tt := range map[string]struct {
		fields []string
		terms  Terms
		stale  time.Duration
	}{
		"the terms":                {nil, Terms{TTL: time.Minute, StaleIfError: time.Hour}, time.Hour},
		"the origin":               {[]string{"Cache-Control: max-age=60, stale-if-error=100"}, Terms{StaleIfError: time.Hour}, 100 * time.Second},
		"s-maxage and its own":     {[]string{"Cache-Control: s-maxage=60, stale-if-error=100"}, Terms{}, 100 * time.Second},
		"s-maxage, not the terms'": {[]string{"Cache-Control: s-maxage=60"}, Terms{StaleIfError: time.Hour}, 0},
		"must-revalidate":          {[]string{"Cache-Control: max-age=60, must-revalidate, stale-if-error=100"}, Terms{StaleIfError: time.Hour}, 0},
		"proxy-revalidate":         {[]string{"Cache-Control: max-age=60, proxy-revalidate"}, Terms{StaleIfError: time.Hour}, 0},
		"none":                     {nil, Terms{TTL: time.Minute}, 0},
	} {
		for _, fail := range []func(*script){func(s *script) { s.set(nil) }, func(s *script) { s.fails(500) }, func(s *script) { s.fails(504) },
			func(s *script) { s.fails(302) }} {
			synctest.Test(t, func(t *testing.T) {
				c, s := newCache(t, Options{}), &script{}
				s.set(text("one", `"1"`, tt.fields...))
				want(t, c, s, tt.terms, name, "one", Miss, "GET")
				time.Sleep(time.Minute)
				fail(s)
				if tt.stale > 0 {
					w := want(t, c, s, tt.terms, name+", failing", "one", Stale, `GET If-None-Match="1"`)
					if got := w.Header().Get("Cache-Status"); !strings.HasPrefix(got, "greenroom; hit; ") || !strings.HasSuffix(got, "; ttl=0; detail=stale-if-error") {
						t.Error(got)
					}
					want(t, c, s, tt.terms, name+", within the second", "one", Stale)
					time.Sleep(tt.stale - time.Millisecond)
					want(t, c, s, tt.terms, name+", at the end", "one", Stale, `GET If-None-Match="1"`)
					time.Sleep(time.Second)
				}
				_, out, err := serve(c, s, tt.terms)
				if out.Result == Stale || err == nil && out.Status < 500 {
					t.Errorf("%s, over: %+v, %v", name, out, err)
				}
				s.take()
				s.set(text("two", `"2"`))
				want(t, c, s, tt.terms, name+", well again", "two", Miss, `GET If-None-Match="1"`)
			})
		}
	}
}

func TestAStaleObjectIsServedWhileItIsRevalidated(t *testing.T) {
	for _, etag := range []string{`"%s"`, ""} {
		synctest.Test(t, func(t *testing.T) {
			c, s, terms := newCache(t, Options{}), &script{takes: time.Second}, Terms{TTL: time.Minute, StaleWhileRevalidate: time.Minute}
			tag := func(v string) string { return strings.ReplaceAll(etag, "%s", v) }
			again := "GET"
			if etag != "" {
				again = `GET If-None-Match="1"`
			}
			s.set(text("one", tag("1")))
			want(t, c, s, terms, "cold", "one", Miss, "GET")
			time.Sleep(time.Minute)
			s.set(text("two", tag("2")))
			began := time.Now()
			for range 10 {
				w, out, err := serve(c, s, terms)
				if err != nil || w.Body.String() != "one" || out.Result != Stale {
					t.Errorf("%q, %s, %v", w.Body, out.Result, err)
				}
			}
			if time.Since(began) != 0 {
				t.Error("who got the stale one has waited for the fresh one")
			}
			time.Sleep(2 * time.Second)
			want(t, c, s, terms, "fresh", "two", Hit, again)
			time.Sleep(3 * time.Minute)
			want(t, c, s, terms, "too old to be served", "two", map[bool]Result{true: Revalidated, false: Miss}[etag != ""], strings.ReplaceAll(again, "1", "2"))
		})
	}
}

func TestA404IsKeptForAMoment(t *testing.T) {
	for _, code := range []int{404, 410} {
		synctest.Test(t, func(t *testing.T) {
			c, s, terms := newCache(t, Options{}), &script{}, Terms{TTL: time.Hour, Negative: time.Second, StaleIfError: time.Hour}
			s.set(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=3600")
				w.WriteHeader(code)
				_, _ = io.WriteString(w, "gone")
			})
			want(t, c, s, terms, "cold", "gone", Miss, "GET")
			want(t, c, s, terms, "kept", "gone", Hit)
			time.Sleep(time.Second)
			s.set(text("here", `"1"`))
			want(t, c, s, terms, "then", "here", Miss, "GET")
			time.Sleep(time.Hour)
			s.set(http.NotFound)
			want(t, c, s, Terms{StaleIfError: time.Hour}, "gone for good", "404 page not found\n", Miss, `GET If-None-Match="1"`)
			want(t, c, s, Terms{StaleIfError: time.Hour}, "not negative", "404 page not found\n", Miss, "GET")
		})
	}
}

const liveList = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:4,\nseg%d.ts\n"

func TestALivePlaylistIsAskedForOnceInHalfASegment(t *testing.T) {
	for _, etag := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, s := newCache(t, Options{}), &script{takes: 10 * time.Millisecond}
			n := 0
			s.set(func(w http.ResponseWriter, r *http.Request) {
				n++
				tag := ""
				if etag {
					tag = fmt.Sprintf(`"%d"`, n)
				}
				text(fmt.Sprintf(liveList, n, n), tag)(w, r)
			})
			terms := Terms{TTL: time.Hour, Small: true}
			for range 100 { // 20 s: ten lifetimes
				results(1000, func(int) {
					w, _, err := serve(c, s, terms)
					if err != nil || !strings.HasPrefix(w.Body.String(), "#EXTM3U\n") || w.Body.Len() < 70 {
						t.Errorf("%q, %v", w.Body, err)
					}
				})
				time.Sleep(200 * time.Millisecond)
			}
			if asked := s.take(); len(asked) > 11 || len(asked) < 9 {
				t.Errorf("asked %d times in 20 s", len(asked))
			}
		})
	}
}

func TestTheTermsOfPlaylists(t *testing.T) {
	terms := Terms{TTL: 10 * time.Second, StaleIfError: time.Hour, StaleWhileRevalidate: time.Hour}
	for name, tt := range map[string]struct {
		body string
		want Terms
	}{
		"live":         {"#EXTM3U\n#EXT-X-TARGETDURATION:6\n", Terms{TTL: 3 * time.Second, StaleIfError: 6 * time.Second, StaleWhileRevalidate: 6 * time.Second}},
		"with BOM":     {"\xef\xbb\xbf#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n", Terms{TTL: 3 * time.Second, StaleIfError: 6 * time.Second, StaleWhileRevalidate: 6 * time.Second}},
		"low latency":  {"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=0.5\n", Terms{TTL: 250 * time.Millisecond, StaleIfError: 4 * time.Second, StaleWhileRevalidate: 4 * time.Second}},
		"long":         {"#EXTM3U\n#EXT-X-TARGETDURATION:60\n", Terms{TTL: 10 * time.Second, StaleIfError: time.Minute, StaleWhileRevalidate: time.Minute}},
		"ended":        {"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-ENDLIST\n", terms},
		"multivariant": {"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n", terms},
		"no playlist":  {"<MPD/>\n#EXT-X-TARGETDURATION:6\n", terms},
		"nonsense":     {"#EXTM3U\n#EXT-X-TARGETDURATION:-6\n", terms},
		"infinite":     {"#EXTM3U\n#EXT-X-TARGETDURATION:Inf\n", terms},
		"NaN":          {"#EXTM3U\n#EXT-X-TARGETDURATION:NaN\n", terms},
		"empty":        {"", terms},
	} {
		if got := readPlaylist([]byte(tt.body)).limit(terms); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestALargePlaylistIsTreatedLikeTheRest(t *testing.T) {
	body := "#EXTM3U\n" + strings.Repeat("#EXTINF:4,\nseg.ts\n", 100_000)
	for _, length := range []bool{true, false} {
		for _, etag := range []string{`"1"`, ``} {
			o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				if etag != "" {
					w.Header().Set("Etag", etag)
				}
				if length {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				}
				_, _ = io.WriteString(w, body)
			})
			e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour, Small: true})
			e.get("/a").want(t, "cold", 200, []byte(body))
			e.idle()
			e.get("/a").want(t, "hot", 200, []byte(body))
			if asked := o.requests(); len(asked) != 1 {
				t.Error(lines(asked))
			}
		}
	}
}

func TestAPlaylistThatBreaksOffReachesNobody(t *testing.T) {
	body := fmt.Sprintf(liveList, 1, 1)
	for name, f := range map[string]fetchFunc{
		"short": fake(200, int64(len(body)), []byte(body[:30])),
	} {
		c := newCache(t, Options{})
		w, out, err := serve(c, f, Terms{TTL: time.Hour, Small: true})
		if err == nil || errors.Is(err, ErrAborted) || out.Status != 0 || w.Body.Len() != 0 || len(w.Header()) != 0 {
			t.Errorf("%s: %+v %v %q %q", name, out, err, w.Body, w.Header())
		}
	}
}

// slowly is a client that takes its time for each write, on the bubble's clock.
type slowly struct {
	*httptest.ResponseRecorder
	each time.Duration
}

func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(s.each)
	return s.ResponseRecorder.Write(p)
}

func TestSlowReadersDoNotHoldFetches(t *testing.T) {
	for name, field := range map[string]string{"whole": "", "range": "bytes=0-"} {
		synctest.Test(t, func(t *testing.T) {
			content := string(random(12 * MiB))
			c, s := newCache(t, Options{Fills: 2}), &script{takes: 10 * time.Millisecond}
			s.set(text(content, `"1"`))
			held, looks, stop, stopped := 0, 0, make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for tick := time.Tick(100 * time.Millisecond); ; looks++ {
					select {
					case <-tick:
						held += c.Stats().Fills
					case <-stop:
						return
					}
				}
			}()
			results(12, func(i int) { // each is somewhere else, most of the time
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				r := httptest.NewRequest("GET", "/a", nil)
				if field != "" {
					r.Header.Set("Range", field)
				}
				w := slowly{httptest.NewRecorder(), 2 * time.Second}
				_, err := c.Serve(w, r, Request{Key: "a", Path: "/a", Origin: s, Terms: Terms{TTL: time.Hour}})
				if err != nil || w.Body.String() != content {
					t.Errorf("%s: %d bytes, %v", name, w.Body.Len(), err)
				}
			})
			close(stop)
			<-stopped
			if held > looks/4 {
				t.Errorf("%s: fetches were under way at %d of %d looks", name, held, looks)
			}
			synctest.Wait()
			if asked := s.take(); len(asked) > 8 {
				t.Errorf("%s: asked %d times: %q", name, len(asked), asked)
			}
		})
	}
}

func TestASlowReaderIsServedOnceThoughMemoryHasNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := random(2 * MiB)
		c, s := newCache(t, Options{Block: 32 * KiB, Memory: 16 * 32 * KiB}), &script{}
		hot := Request{Key: "hot", Path: "/hot", Origin: memory(random(15 * 32 * KiB)), Terms: Terms{TTL: time.Hour}}
		for range 50 { // nothing else is worth to be kept beside it
			if _, err := c.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/hot", nil), hot); err != nil {
				t.Fatal(err)
			}
		}
		before := c.Stats().OriginBytes
		s.set(text(string(content), `"1"`))
		r := httptest.NewRequest("GET", "/a", nil)
		r.Header.Set("Range", "bytes=0-")
		w := slowly{httptest.NewRecorder(), 2 * time.Second}
		_, err := c.Serve(w, r, Request{Key: "a", Path: "/a", Origin: s, Terms: Terms{TTL: time.Hour}})
		if err != nil || !bytes.Equal(w.Body.Bytes(), content) {
			t.Errorf("%d bytes, %v", w.Body.Len(), err)
		}
		synctest.Wait()
		if got := c.Stats().OriginBytes - before; got > 2*MiB+512*KiB {
			t.Errorf("%d bytes of the origin for 2 MiB: %q", got, s.take())
		}
	})
}
