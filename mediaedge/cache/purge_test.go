package cache

import (
	"bytes"
	"io"
	"testing"
	"time"
)

func TestPurgeForgetsAPathAPrefixOrAScope(t *testing.T) {
	content := random(10_000)
	for _, tt := range []struct {
		scope, path string
		prefix      bool
		want        int
	}{
		{"o", "/a/1", false, 1}, {"o", "/a", false, 0}, {"o", "/a/", true, 2}, {"o", "/", true, 3}, {"", "/", true, 3}, {"other", "/", true, 0},
		{"o", "", true, 3}, {"o", "", false, 0},
	} {
		o := newOrigin(t, file(content, `"v1"`))
		e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour})
		for _, path := range []string{"/a/1", "/a/2", "/b"} {
			e.get(path)
		}
		e.idle()
		blocks := e.c.Stats().Blocks
		if n := e.c.Purge(tt.scope, tt.path, tt.prefix); n != tt.want {
			t.Errorf("%+v: %d objects", tt, n)
		}
		if s := e.c.Stats(); s.Objects != 3-tt.want || s.Blocks != blocks-3*tt.want {
			t.Errorf("%+v: %+v", tt, s)
		}
	}
}

func TestAPurgeWhileFillingKeepsNothingAndItsReadersFinish(t *testing.T) {
	content := random(3 * MiB)
	for _, etag := range []string{`"v1"`, ``} {
		step := make(chan int)
		o := newOrigin(t, stepper(content, etag, true, step))
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
		go func() { step <- MiB + 10 }()
		res := e.begin(t.Context(), "/a")
		if _, err := io.ReadFull(res.Body, make([]byte, MiB+10)); err != nil {
			t.Fatal(err)
		}
		if n := e.c.Purge("o", "/a", false); n != 1 {
			t.Errorf("%d purged", n)
		}
		close(step)
		rest, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(rest, content[MiB+10:]) {
			t.Errorf("ETag %q: %d bytes, %v", etag, len(rest), err)
		}
		e.idle()
		if s := e.c.Stats(); s.Objects != 0 || s.Blocks != 0 {
			t.Errorf("ETag %q: %+v", etag, s)
		}
		o.now(file([]byte("new"), `"v2"`))
		e.get("/a").want(t, "then", 200, []byte("new"))
	}
}

func TestAPurgeBeforeTheHeadKeepsNothing(t *testing.T) {
	for _, terms := range []Terms{{TTL: time.Hour}, {TTL: time.Hour, Small: true}} {
		hold := make(chan struct{})
		o := newOrigin(t, nil)
		o.now(stepHead(hold, file([]byte("old"), `"v1"`)))
		e := newEdge(t, newCache(t, Options{}), o, terms)
		first := make(chan answer)
		go func() { first <- e.get("/a") }()
		until(t, "the origin is asked", func() bool { return len(o.requests()) == 1 })
		e.c.Purge("o", "/a", false)
		o.now(file([]byte("new"), `"v2"`))
		e.get("/a").want(t, "asked after the purge", 200, []byte("new"))
		close(hold)
		(<-first).want(t, "asked before", 200, []byte("old"))
		e.idle()
		e.get("/a").want(t, "what is kept", 200, []byte("new"))
		if asked := o.requests(); len(asked) != 2 {
			t.Error(lines(asked))
		}
	}
}

func TestAReaderFinishesAPurgedObjectOfWhichTheOriginHasTheVersion(t *testing.T) {
	content := random(32 * MiB)
	o := newOrigin(t, file(content, `"v1"`))
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	res := e.begin(t.Context(), "/a", "Range: bytes=0-")
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	e.c.Purge("o", "/a", false)
	rest, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !bytes.Equal(rest, content[10:]) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	e.idle()
	if s := e.c.Stats(); s.Blocks != 0 {
		t.Errorf("%+v", s)
	}
}
