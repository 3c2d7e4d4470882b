package cache

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// forOne answers with content that nobody else may have.
func forOne(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next(w, r)
	}
}

func TestWhatPassesThroughIsWholeForTheFirstWhoAsksToo(t *testing.T) {
	content := random(3 * MiB) // more than what is on its way at a time
	for what, handler := range map[string]http.HandlerFunc{
		"no-store":           forOne(file(content, `"v1"`)),
		"no-store, no ETag":  forOne(file(content, "")),
		"of unknown length":  forOne(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }),
		"large without ETag": file(content, ""),
	} {
		o := newOrigin(t, handler)
		e := newEdge(t, newCache(t, Options{Block: 4 * KiB, Memory: 1 * MiB}), o, Terms{TTL: time.Hour})
		for range 3 {
			e.get("/a").want(t, what, 200, content)
		}
	}
}

func TestAClientThatLeavesWhatPassesThroughEndsItAtTheOrigin(t *testing.T) {
	begun, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	o := newOrigin(t, forOne(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	c := newCache(t, Options{})
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	for range 2 { // the one who asked first, and one who passes by himself
		ctx, leave := context.WithCancel(t.Context())
		res := e.begin(ctx, "/a")
		first := make([]byte, len("first"))
		if _, err := io.ReadFull(res.Body, first); err != nil || !bytes.Equal(first, []byte("first")) {
			t.Fatalf("%q, %v", first, err)
		}
		<-begun
		leave()
		res.Body.Close()
		<-ended
	}
}
