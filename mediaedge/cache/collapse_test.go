package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAThousandClientsOnAColdSegmentAreOneRequest(t *testing.T) {
	content := random(3 * MiB)
	for name, etag := range map[string]string{"in blocks": `"v1"`, "in one piece": ``} {
		o := newOrigin(t, file(content, etag))
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
		clients := 1000
		if etag == "" {
			clients = 100
		}
		results(clients, func(int) {
			res := e.begin(t.Context(), "/seg.ts")
			defer res.Body.Close()
			if err := equals(res.Body, content); err != nil || res.StatusCode != 200 {
				t.Errorf("%s: %d, %v", name, res.StatusCode, err)
			}
		})
		e.idle()
		if asked := o.requests(); len(asked) != 1 || o.bytes.Load() != int64(len(content)) {
			t.Errorf("%s: %s; %d bytes", name, lines(asked), o.bytes.Load())
		}
	}
}

func TestAHundredClientsOnTheSameColdRangeAreOneRequest(t *testing.T) {
	content := random(3 * MiB)
	o := newOrigin(t, file(content, `"v1"`))
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	results(100, func(int) { e.get("/a", "Range: bytes=1500000-1500009").want(t, "range", 206, content[1500000:1500010]) })
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
}

func TestWhoLookedBeforeTheAnswerAndAsksAfterItLooksAgain(t *testing.T) {
	o := newOrigin(t, file([]byte("x"), `"v1"`))
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	e.get("/a").want(t, "asked", 200, []byte("x"))
	if _, _, err := e.c.join(t.Context(), e.request("/a"), question{method: "GET"}, nil, nil); err != errMeanwhile {
		t.Error(err)
	}
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
}

// stepper is an origin that sends its object in steps.
func stepper(content []byte, etag string, length bool, step <-chan int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("Etag", etag)
		}
		if length {
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		}
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		for rest := content; len(rest) > 0; {
			select {
			case n, ok := <-step:
				if !ok {
					n = len(rest)
				}
				if n < 0 {
					panic(http.ErrAbortHandler)
				}
				n = min(n, len(rest))
				_, _ = w.Write(rest[:n])
				_ = http.NewResponseController(w).Flush()
				rest = rest[n:]
			case <-r.Context().Done():
				return
			}
		}
	}
}

// begin sends a request and returns when its head is there.
func (e *edge) begin(ctx context.Context, path string, fields ...string) *http.Response {
	e.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.server.URL+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, f := range fields {
		key, value, _ := strings.Cut(f, ": ")
		req.Header.Add(key, value)
	}
	res, err := e.client.Do(req)
	if err != nil {
		e.t.Error(err)
		return &http.Response{Body: http.NoBody}
	}
	return res
}

func TestBytesAreThereAsTheyComeFromTheOrigin(t *testing.T) {
	content := random(300 * KiB)
	for _, length := range []bool{true, false} {
		for _, etag := range []string{`"v1"`, ``} {
			what := fmt.Sprintf("length %v, ETag %q", length, etag)
			step := make(chan int)
			o := newOrigin(t, stepper(content, etag, length, step))
			e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
			var bodies []io.ReadCloser
			go func() { step <- 10 }()
			for range 3 {
				res := e.begin(t.Context(), "/live.m4s")
				bodies = append(bodies, res.Body)
				if res.StatusCode != 200 || (res.ContentLength >= 0) != length {
					t.Errorf("%s: status %d, length %d", what, res.StatusCode, res.ContentLength)
				}
			}
			buf := make([]byte, len(content))
			for at, n := 0, 10; at < len(content); at, n = at+n, min(100_000, len(content)-at-n) {
				for i, b := range bodies {
					if _, err := io.ReadFull(b, buf[:n]); err != nil || !bytes.Equal(buf[:n], content[at:at+n]) {
						t.Fatalf("%s: reader %d at %d: %v", what, i, at, err)
					}
				}
				if at+n < len(content) {
					step <- min(100_000, len(content)-at-n)
				}
			}
			for _, b := range bodies {
				if n, err := b.Read(buf); n != 0 || err != io.EOF {
					t.Errorf("%s: at the end %d bytes, %v", what, n, err)
				}
				b.Close()
			}
			e.idle()
			e.get("/live.m4s", "Range: bytes=100-200").want(t, what, 206, content[100:201])
			if asked := o.requests(); len(asked) != 1 {
				t.Errorf("%s: %s", what, lines(asked))
			}
		}
	}
}

func TestAClientThatLeavesDoesNotEndTheFetch(t *testing.T) {
	content := random(9 * MiB)
	for _, etag := range []string{`"v1"`, ``} {
		step := make(chan int)
		o := newOrigin(t, stepper(content, etag, true, step))
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
		ctx, leave := context.WithCancel(t.Context())
		go func() { step <- 10 }()
		first := e.begin(ctx, "/a")
		second := e.begin(t.Context(), "/a")
		leave()
		_, _ = io.Copy(io.Discard, first.Body)
		first.Body.Close()
		until(t, "the first has left", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.outcomes) == 1 })
		close(step)
		body, err := io.ReadAll(second.Body)
		second.Body.Close()
		if err != nil || !bytes.Equal(body, content) {
			t.Errorf("ETag %q: %d bytes, %v", etag, len(body), err)
		}
		if asked := o.requests(); len(asked) != 1 {
			t.Error(lines(asked))
		}
	}
}

func TestAClientThatLeavesBeforeTheHeadDoesNotEndTheFetch(t *testing.T) {
	content := random(MiB)
	hold := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { <-hold; file(content, `"v1"`)(w, r) })
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan answer)
	go func() { gone <- e.do(ctx, "GET", "/a") }()
	until(t, "the origin is asked", func() bool { return len(o.requests()) == 1 })
	second := make(chan answer)
	go func() { second <- e.get("/a") }()
	until(t, "the second waits", func() bool {
		e.c.mu.Lock()
		defer e.c.mu.Unlock()
		return len(e.c.openings) == 1 && e.c.openings["GET o /a"].waiters == 2
	})
	leave()
	if a := <-gone; a.err == nil {
		t.Errorf("%+v", a)
	}
	until(t, "the first has left", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.outcomes) == 1 })
	close(hold)
	(<-second).want(t, "second", 200, content)
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
}

func TestAnOriginThatHoldsItsAnswerBackIsAskedNoFurtherWhenAllHaveLeft(t *testing.T) {
	hold, ended := make(chan struct{}), make(chan struct{}, 2)
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
			file([]byte("new"), `"v1"`)(w, r)
		case <-r.Context().Done():
			ended <- struct{}{}
		}
	})
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	e.held = true
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan answer)
	for range 2 {
		go func() { gone <- e.do(ctx, "GET", "/a") }()
	}
	until(t, "both wait", func() bool {
		e.c.mu.Lock()
		defer e.c.mu.Unlock()
		return e.c.openings["GET o /a"] != nil && e.c.openings["GET o /a"].waiters == 2
	})
	leave()
	<-gone
	<-gone
	<-ended
	e.idle()
	close(hold)
	e.get("/a").want(t, "who asks then", 200, []byte("new"))
	if asked := o.requests(); len(asked) != 2 || len(e.c.openings) != 0 {
		t.Errorf("%s; %d openings", lines(asked), len(e.c.openings))
	}
}

func TestOneWhoLeavesAnAnswerThatIsHeldBackEndsItForNobodyElse(t *testing.T) {
	hold := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { <-hold; file([]byte("new"), `"v1"`)(w, r) })
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	e.held = true
	ctx, leave := context.WithCancel(t.Context())
	gone, stays := make(chan answer), make(chan answer)
	go func() { gone <- e.do(ctx, "GET", "/a") }()
	until(t, "the origin is asked", func() bool { return len(o.requests()) == 1 })
	go func() { stays <- e.get("/a") }()
	until(t, "both wait", func() bool {
		e.c.mu.Lock()
		defer e.c.mu.Unlock()
		return e.c.openings["GET o /a"].waiters == 2
	})
	leave()
	<-gone
	until(t, "one has left", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.outcomes) == 1 })
	close(hold)
	(<-stays).want(t, "the other", 200, []byte("new"))
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
}

func TestWhenAllHaveLeftWhatIsNearlyDoneIsFinished(t *testing.T) {
	content := random(5 * MiB)
	step := make(chan int)
	o := newOrigin(t, stepper(content, `"v1"`, true, step))
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	go func() { step <- 2 * MiB }()
	res := e.begin(ctx, "/a")
	if _, err := io.ReadFull(res.Body, make([]byte, 2*MiB)); err != nil {
		t.Fatal(err)
	}
	leave()
	res.Body.Close()
	until(t, "it has left", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.outcomes) == 1 })
	close(step)
	e.idle()
	e.get("/a").want(t, "then", 200, content)
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
}

func TestWhenAllHaveLeftAGiantIsGivenUpAndItsBlocksStay(t *testing.T) {
	content := random(20 * MiB)
	step := make(chan int)
	o := newOrigin(t, stepper(content, `"v1"`, true, step))
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	go func() { step <- 2*MiB + 10 }()
	res := e.begin(ctx, "/a")
	if _, err := io.ReadFull(res.Body, make([]byte, 2*MiB)); err != nil {
		t.Fatal(err)
	}
	leave()
	res.Body.Close()
	e.idle()
	o.now(file(content, `"v1"`))
	e.get("/a", "Range: bytes=0-2097151").want(t, "its blocks", 206, content[:2*MiB])
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
	e.get("/a").want(t, "all", 200, content)
}

func TestAClientThatStopsReadingDoesNotPullTheObjectIn(t *testing.T) {
	content := random(64 * MiB)
	for name, fields := range map[string][]string{"whole": nil, "range": {"Range: bytes=0-"}} {
		o := newOrigin(t, file(content, `"v1"`))
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
		res := e.begin(t.Context(), "/a", fields...)
		if _, err := io.ReadFull(res.Body, make([]byte, MiB)); err != nil {
			t.Fatal(err)
		}
		until(t, name+": the fill waits", func() bool {
			o, ok := e.c.objects.GetIfPresent("o /a")
			if !ok {
				return false
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			return len(o.fills) == 1 && (o.fills[0].gate != nil || o.fills[0].stopped)
		})
		// What it has read, what sockets hold, and what may be read ahead.
		if got := e.c.Stats().OriginBytes; got > 24*MiB {
			t.Errorf("%s: %d bytes of the origin for a client that read one MiB", name, got)
		}
		rest, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(rest, content[MiB:]) {
			t.Errorf("%s: %d bytes, %v", name, len(rest), err)
		}
	}
}

func TestASlowReaderBesideAFastOneGetsTheSameBytes(t *testing.T) {
	content := random(24 * MiB) // larger than the cache
	for name, fields := range map[string][]string{"whole": nil, "range": {"Range: bytes=0-"}} {
		o := newOrigin(t, file(content, `"v1"`))
		e := newEdge(t, newCache(t, Options{Block: 256 * KiB, Memory: 4 * MiB}), o, Terms{TTL: time.Hour})
		slow := e.begin(t.Context(), "/a", fields...)
		head := make([]byte, 100)
		if _, err := io.ReadFull(slow.Body, head); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if a := e.get("/a", fields...); a.err != nil || !bytes.Equal(a.body, content) {
				t.Errorf("%s, fast: %d bytes, %v", name, len(a.body), a.err)
			}
		}
		rest, err := io.ReadAll(slow.Body)
		slow.Body.Close()
		if err != nil || !bytes.Equal(append(head, rest...), content) {
			t.Errorf("%s, slow: %d bytes, %v", name, len(rest), err)
		}
		if got := e.c.Stats().MemoryBytes; got > 4*MiB {
			t.Errorf("%s: %d bytes in memory", name, got)
		}
	}
}

func TestAReaderTooSlowForAnEndlessBodyIsCut(t *testing.T) {
	content := random(64 * MiB)
	step := make(chan int)
	o := newOrigin(t, stepper(content, "", false, step))
	e := newEdge(t, newCache(t, Options{Memory: 128 * MiB}), o, Terms{TTL: time.Hour}) // a window of 16 MiB, more than sockets hold
	go func() { step <- 1 }()
	slow, fast := e.begin(t.Context(), "/a"), e.begin(t.Context(), "/a")
	close(step)
	body, err := io.ReadAll(fast.Body)
	fast.Body.Close()
	if err != nil || !bytes.Equal(body, content) {
		t.Errorf("fast: %d bytes, %v", len(body), err)
	}
	rest, err := io.ReadAll(slow.Body)
	slow.Body.Close()
	if err == nil || !bytes.HasPrefix(content, rest) {
		t.Errorf("slow: %d bytes, %v", len(rest), err)
	}
	e.idle()
	if s := e.c.Stats(); s.Objects != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMoreFetchesThanMayBeAreRefused(t *testing.T) {
	hold := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { <-hold; file([]byte("x"), `"1"`)(w, r) })
	e := newEdge(t, newCache(t, Options{Fills: 1}), o, Terms{TTL: time.Hour})
	first := make(chan answer)
	go func() { first <- e.get("/a") }()
	until(t, "the origin is asked", func() bool { return len(o.requests()) == 1 })
	e.get("/b").want(t, "one too many", 503, nil)
	close(hold)
	(<-first).want(t, "first", 200, []byte("x"))
	e.idle()
	e.get("/b").want(t, "later", 200, []byte("x"))
}

func TestCloseEndsFetchesAndTheirReaders(t *testing.T) {
	step := make(chan int)
	content := random(MiB)
	o := newOrigin(t, stepper(content, `"v1"`, true, step))
	c := newCache(t, Options{})
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	go func() { step <- 10 }()
	res := e.begin(t.Context(), "/a")
	_ = c.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%d bytes and no error", len(body))
	}
	res.Body.Close()
	e.get("/b").want(t, "closed", 502, nil)
}
