package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// slowDownloads is clients that have begun to read, and wait.
type slowDownloads struct {
	on    chan struct{} // closed: they read on
	group sync.WaitGroup
	whole atomic.Int64
}

// slowly starts downloads of objects that nobody has asked for yet, and returns
// when all have their first bytes.
func (e *edge) slowly(t *testing.T, what string, count int, content []byte) *slowDownloads {
	t.Helper()
	d := &slowDownloads{on: make(chan struct{})}
	var begun sync.WaitGroup
	for i := range count {
		path := fmt.Sprintf("/media/%s-%d.mp4", what, i%10)
		rule := "cached"
		if i%5 == 4 {
			path, rule = strings.Replace(path, "media", "raw", 1), "past the cache"
		}
		begun.Add(1)
		d.group.Go(func() {
			transport := &http.Transport{} // connections of its own
			defer transport.CloseIdleConnections()
			res, err := (&http.Client{Transport: transport}).Get("http://" + e.http + path)
			if err != nil {
				begun.Done()
				t.Error(err)
				return
			}
			defer res.Body.Close()
			first := make([]byte, 64<<10)
			_, err = io.ReadFull(res.Body, first)
			begun.Done()
			<-d.on
			rest, err2 := io.ReadAll(res.Body)
			if err != nil || err2 != nil || !bytes.Equal(append(first, rest...), content) {
				t.Errorf("%s, %s: %d of %d bytes: %v, %v", path, rule, len(first)+len(rest), len(content), err, err2)
				return
			}
			d.whole.Add(1)
		})
	}
	begun.Wait()
	return d
}

func (d *slowDownloads) finish() int64 {
	close(d.on)
	d.group.Wait()
	return d.whole.Load()
}

func TestSlowDownloadsOutliveReloadsAndAnUpgrade(t *testing.T) {
	size, count := 12<<20, 50 // more than what sockets hold
	if raceFlag == "-race" {
		count = 10
	}
	content, warm := film(size), film(300_000)
	var asked atomic.Int64 // for what is kept
	origin := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := content
		if r.URL.Path == "/warm.m4s" {
			asked.Add(1)
			body = warm
		}
		l := archive{objects: map[string][]byte{r.URL.Path: body}}
		l.ServeHTTP(w, r)
	}))
	const block = "media_edge {\npath /%[1]s/\nname %[1]s\nstrip_prefix /%[1]s\norigin http://%[2]s {\nmax_conns 64\n}\n%[3]s\n}\n"
	e := mediaSite(t, fmt.Sprintf(block, "media", origin.address, "")+fmt.Sprintf(block, "raw", origin.address, "cache off"))
	plain := e.config
	cases := []struct {
		name   string
		change func() // of the edge
		cold   bool   // what was kept is lost by it
	}{
		{"a reload", e.reload, false},
		{"another origin", func() {
			e.rewrite(strings.ReplaceAll(plain, "max_conns 64", "max_conns 65"))
			e.reload()
		}, false},
		{"another cache", func() {
			e.rewrite(strings.Replace(plain, "grace_period 10s", "grace_period 10s\nmedia_edge {\ncache {\nmemory 128MiB\n}\n}", 1))
			e.reload()
		}, true},
		{"no media any more", func() {
			before, rest, _ := strings.Cut(plain, "media_edge {")
			_, after, _ := strings.Cut(rest, siteBlueGreen)
			before2, rest, _ := strings.Cut(after, "media_edge {")
			_, after2, _ := strings.Cut(rest, siteBlueGreen)
			e.rewrite(before + siteBlueGreen + before2 + siteBlueGreen + after2)
			e.reload()
			e.rewrite(plain)
			e.reload()
		}, true},
		{"an upgrade", func() {
			stopped := func() int { return strings.Count(e.log.String(), "servers shutting down") }
			before := stopped()
			e.upgrade()
			e.until("the process before takes its config down", func() bool { return stopped() > before })
		}, true},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				readAll(t, e.ask(http.MethodGet, "/media/warm.m4s"))
			}
			d := e.slowly(t, fmt.Sprint(i), count, content)
			before := asked.Load()
			c.change()
			http.DefaultTransport.(*http.Transport).CloseIdleConnections() // they may lead to the process before
			res := e.ask(http.MethodGet, "/media/warm.m4s")
			if body := readAll(t, res); body != string(warm) {
				t.Errorf("what was kept is %d bytes", len(body))
			}
			if again := asked.Load() != before; again != c.cold || !c.cold && !strings.Contains(res.Header.Get("Cache-Status"), "; hit") {
				t.Errorf("the origin was asked again: %v; %q", again, res.Header["Cache-Status"])
			}
			if n := d.finish(); n != int64(count) {
				t.Errorf("%d of %d downloads are whole", n, count)
				e.explain()
			}
		})
	}
	e.stop()
}
