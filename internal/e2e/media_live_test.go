package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestALivePlaylistIsFetchedOncePerTTLForAThousandClients(t *testing.T) {
	const clients, ttl, changes = 1000, 500 * time.Millisecond, 6
	epoch := time.Now()
	var asked, under, most, latest atomic.Int64 // latest: when it was asked last
	origin := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		latest.Store(int64(time.Since(epoch)))
		if u := under.Add(1); u > most.Load() {
			most.Store(u)
		}
		defer under.Add(-1)
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:2,\n%d.m4s\n", n, n)
	}))
	e := mediaEdge(t, "path /media/\norigin http://"+origin.address+"\ncache {\nttl playlist 500ms\n}")
	began := time.Now()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var reads, wrong atomic.Int64
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for seen := 0; seen < changes; reads.Add(1) {
				res, err := client.Get("http://" + e.http + "/media/live.m3u8")
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				_, rest, _ := strings.Cut(string(body), "SEQUENCE:")
				number, _, _ := strings.Cut(rest, "\n")
				n, err2 := strconv.Atoi(number)
				if err != nil || err2 != nil || n < seen || !strings.HasSuffix(string(body), "\n"+number+".m4s\n") {
					wrong.Add(1)
					t.Errorf("after %d: %q, %v", seen, body, err)
					return
				}
				seen = n
			}
		})
	}
	group.Wait()
	// What is fetched is fresh from when it was asked for, so that the time of the
	// last question bounds how many there can have been.
	bound := 1 + (latest.Load()-int64(began.Sub(epoch)))/int64(ttl)
	t.Logf("%d reads by %d clients in %v, %d fetches, at most %d", reads.Load(), clients, time.Since(began).Round(time.Millisecond), asked.Load(), bound)
	if n := asked.Load(); n > bound || n < changes || most.Load() != 1 || wrong.Load() != 0 {
		t.Errorf("%d fetches, want %d to %d; %d at a time", n, changes, bound, most.Load())
	}
}

// editions is an origin whose objects have versions, and which can fail.
type editions struct {
	version atomic.Int64
	fail    atomic.Pointer[string] // how: "503", "dead"
	asked   atomic.Int64
	size    int
	lacks   atomic.Bool // all objects
}

// edition is what an object is in a version.
func edition(path string, version int64, size int) []byte {
	head := fmt.Sprintf("%s in version %d.", path, version)
	return append([]byte(head), bytes.Repeat([]byte{byte(version)}, size)...)
}

func (o *editions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.asked.Add(1)
	if how := o.fail.Load(); how != nil && *how == "503" {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	} else if how != nil {
		panic(http.ErrAbortHandler)
	}
	if o.lacks.Load() {
		http.NotFound(w, r)
		return
	}
	v := o.version.Load()
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, v))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(edition(r.URL.Path, v, o.size)))
}

func TestWhatIsKeptOutlivesItsOriginForAsLongAsItMay(t *testing.T) {
	o := &editions{size: 1_200_000}
	o.version.Store(1)
	origin := newBackend(t, o)
	e := mediaEdge(t, "path /media/\norigin http://"+origin.address+` {
		resume off
	}
	cache {
		ttl segment 1ms
		stale_while_revalidate segment 0s
		stale_if_error segment 1h
		ttl image 1ms
		stale_while_revalidate image 0s
		stale_if_error image 0s
	}`)
	want := edition("/media/a.m4s", 1, o.size)
	get := func(path string, fields ...string) (*http.Response, []byte) {
		t.Helper()
		res := e.ask(http.MethodGet, path, fields...)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		return res, body
	}
	for _, path := range []string{"/media/a.m4s", "/media/a.jpg"} {
		if res, _ := get(path); res.StatusCode != http.StatusOK {
			t.Fatal(res)
		}
	}
	for _, how := range []string{"503", "dead"} {
		o.fail.Store(&how)
		for range 20 {
			res, body := get("/media/a.m4s")
			if status := res.Header.Get("Cache-Status"); res.StatusCode != http.StatusOK || !bytes.Equal(body, want) || !strings.Contains(status, "; hit") || !strings.Contains(status, "stale-if-error") {
				t.Fatalf("%s: %d, %d bytes, %s", how, res.StatusCode, len(body), status)
			}
		}
		if res, body := get("/media/a.m4s", "Range", "bytes=-5"); res.StatusCode != http.StatusPartialContent || !bytes.Equal(body, want[len(want)-5:]) {
			t.Errorf("%s: a range: %d %q", how, res.StatusCode, body)
		}
		if res, _ := get("/media/a.m4s", "If-None-Match", `"1"`); res.StatusCode != http.StatusNotModified {
			t.Errorf("%s: a condition: %d", how, res.StatusCode)
		}
		for _, path := range []string{"/media/a.jpg", "/media/never.m4s"} { // what may not be, and what was not kept
			if res, _ := get(path); res.StatusCode < 500 {
				t.Errorf("%s: %s: %d", how, path, res.StatusCode)
			}
		}
	}
	o.version.Store(2)
	o.fail.Store(nil)
	e.until("the origin's new version is sent", func() bool {
		_, body := get("/media/a.m4s")
		if !bytes.Equal(body, want) && !bytes.Equal(body, edition("/media/a.m4s", 2, o.size)) {
			t.Fatalf("neither version: %q", body)
		}
		return !bytes.Equal(body, want)
	})
}

func TestWhatIsNotThereIsAskedForOnceAndFoundWhenItIs(t *testing.T) {
	o := &editions{size: 100}
	o.lacks.Store(true)
	origin := newBackend(t, o)
	e := mediaSite(t, fmt.Sprintf("media_edge {\npath /media/long/\nname long\norigin http://%[1]s\ncache {\nnegative 1m\n}\n}\nmedia_edge {\npath /media/\nname short\norigin http://%[1]s\n}", origin.address))
	status := func(path string) int {
		res := e.ask(http.MethodGet, path)
		res.Body.Close()
		return res.StatusCode
	}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range 20 {
				if s := status("/media/long/1.m4s"); s != http.StatusNotFound {
					t.Errorf("%d for what is not there", s)
				}
			}
		})
	}
	group.Wait()
	if n := o.asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times for what it does not have", n)
	}
	if s := status("/media/1.m4s"); s != http.StatusNotFound {
		t.Errorf("%d for what is not there", s)
	}
	o.lacks.Store(false)
	if s := status("/media/long/1.m4s"); s != http.StatusNotFound {
		t.Errorf("%d within the minute that a 404 is kept", s)
	}
	if out := e.cli("purge", "/media/long/1.m4s"); out.code != 0 {
		t.Error(out)
	}
	if s := status("/media/long/1.m4s"); s != http.StatusOK {
		t.Errorf("%d after a purge", s)
	}
	e.until("the default second is over", func() bool { return status("/media/1.m4s") == http.StatusOK })
}

func TestAPurgeWhileClientsReadIsAtOnceAndCutsNobody(t *testing.T) {
	o := &editions{size: 700_000}
	o.version.Store(1)
	origin := newBackend(t, o)
	e := mediaEdge(t, "path /media/\norigin http://"+origin.address)
	rounds := 8
	if raceFlag == "-race" {
		rounds = 2
	}
	var floor [2]atomic.Int64 // the version that is the least, below /a/ and /b/
	var reads atomic.Int64
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				of := rand.IntN(2)
				path := fmt.Sprintf("/media/%c/%d.m4s", "ab"[of], rand.IntN(3))
				least := floor[of].Load()
				res, body, err := download(t.Context(), http.DefaultClient, "http://"+e.http+path, "")
				if err != nil {
					t.Errorf("%s: %d bytes, %v", path, len(body), err)
					return
				}
				v, err := strconv.ParseInt(strings.Trim(res.Header.Get("ETag"), `"`), 10, 64)
				if err != nil || v < least || !bytes.Equal(body, edition(path, v, o.size)) {
					t.Errorf("%s: version %d, want %d at least; %d bytes, %v", path, v, least, len(body), res.Header)
				}
				reads.Add(1)
			}
		})
	}
	purge := func(args ...string) {
		t.Helper()
		if out := e.cli(append([]string{"purge"}, args...)...); out.code != 0 {
			t.Error(out)
		}
	}
	for range rounds {
		v := o.version.Add(1)
		purge("--prefix", "/media/a/")
		floor[0].Store(v)
		purge("/media/b/0.m4s", "/media/b/1.m4s", "/media/b/2.m4s")
		floor[1].Store(v)
	}
	n := reads.Load()
	e.until("all is read once more", func() bool { return reads.Load() > n+100 || t.Failed() })
	close(done)
	group.Wait()
	t.Logf("%d reads over %d purges, %d fetches", reads.Load(), 2*rounds, o.asked.Load())
}
