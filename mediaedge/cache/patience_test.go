package cache

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// dribble is a body of which a byte comes each second, until it is closed.
type dribble struct{ closed chan struct{} }

func (d dribble) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = '#'
		return 1, nil
	case <-d.closed:
		return 0, errors.New("closed")
	}
}

func (d dribble) Close() error {
	close(d.closed)
	return nil
}

func TestAShortBodyThatEverybodyWaitsForHasToComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		began := time.Now()
		_, more, err := c.slurp(&http.Response{Body: dribble{make(chan struct{})}, ContentLength: -1}, maxSmall)
		if err == nil || more != nil || time.Since(began) != slurpPatience {
			t.Errorf("after %s: %v, %v", time.Since(began), more, err)
		}
		body, _, err := c.slurp(&http.Response{Body: io.NopCloser(strings.NewReader("short")), ContentLength: -1}, maxSmall)
		if err != nil || string(body) != "short" {
			t.Errorf("%q, %v", body, err)
		}
	})
}

func TestAFillInTheBackgroundEndsWhenItsObjectIsTooLarge(t *testing.T) {
	c := newCache(t, Options{})
	f := &fill{o: &object{growing: &whole{}}, background: true}
	if !f.goesOn(c) {
		t.Error("it does not go on though nobody reads")
	}
	f.o.dead = true
	if f.goesOn(c) {
		t.Error("it goes on for nobody")
	}
}

func TestAnAnswerThatHasBegunIsNotCutBecauseThereAreTooManyFetches(t *testing.T) {
	content := random(600 * KiB)
	hold := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
			<-hold
		}
		file(content, `"v1"`)(w, r)
	})
	e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour})
	done := make(chan *http.Response, 1)
	go func() { done <- e.begin(t.Context(), "/a", "Range: bytes=0-99,500000-500099") }()
	until(t, "the first range is asked for", func() bool { return len(o.requests()) == 1 })
	e.c.running.Add(e.c.fills) // as many as may be, from here on
	close(hold)
	until(t, "the reader waits, and no fetch of its own runs", func() bool {
		stacks := make([]byte, 1<<20)
		return e.c.running.Load() == e.c.fills && strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*reader).sleep")
	})
	e.c.running.Add(-e.c.fills)
	res := <-done
	_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(res.Body, params["boundary"])
	for _, from := range []int{0, 500000} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p)
		if err != nil || string(got) != string(content[from:from+100]) {
			t.Errorf("%d bytes from %d: %v", len(got), from, err)
		}
	}
	res.Body.Close()
}
