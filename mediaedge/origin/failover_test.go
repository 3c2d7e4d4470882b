package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnEndpointThatCannotAnswerIsFollowedByTheNext(t *testing.T) {
	content := media(1000)
	for name, answer := range map[string]http.HandlerFunc{
		"500": status(500), "502": status(502), "503": status(503), "504": status(504),
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		dead, alive := newStore(t, nil), newStore(t, content)
		dead.tell(answer)
		o := made(t, Config{Endpoints: at(nobody(t), dead.URL, alive.URL)})
		g := fetch(t, o.Object("/a", ""), "GET", nil)
		if g.err != nil || !bytes.Equal(g.body, content) {
			t.Errorf("%s: %v", name, g.err)
		}
		s := o.Status()
		if s.Failovers != 2 || s.Failures != 0 || s.Requests != 1 || s.Bytes != 1000 || s.Endpoints[1].Failures != 1 || s.Endpoints[1].LastError == "" || s.Endpoints[2].Failures != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestWhatIsAnAnswerIsPassedThrough(t *testing.T) {
	first, second := newStore(t, nil), newStore(t, nil)
	o := made(t, Config{Endpoints: at(first.URL, second.URL)})
	for _, code := range []int{200, 204, 400, 401, 403, 404, 405, 410, 412, 416, 429, 501, 505, 511} {
		first.tell(status(code))
		if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || g.StatusCode != code || len(g.body) != 0 {
			t.Errorf("%d: %v", code, g)
		}
	}
	if n := len(second.asked()); n != 0 || !o.Status().Endpoints[0].Healthy {
		t.Errorf("the second was asked %d times", n)
	}
}

func TestWhenAllFailTheLastAnswerIsPassedOnAndElseAnError(t *testing.T) {
	says := func(code int) *store {
		s := newStore(t, nil)
		s.tell(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", fmt.Sprint(code))
			w.WriteHeader(code)
			fmt.Fprint(w, "busy")
		})
		return s
	}
	a, b, c, d := says(503), says(500), says(502), says(200)
	o := made(t, Config{Endpoints: at(a.URL, b.URL, c.URL, d.URL)})
	if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || g.StatusCode != 502 || g.Header.Get("Retry-After") != "502" || string(g.body) != "busy" || len(d.asked()) != 0 {
		t.Errorf("%v, and a fourth attempt: %v", g, d.asked())
	}
	o = made(t, Config{Endpoints: at(a.URL, nobody(t))})
	if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || g.StatusCode != 503 {
		t.Errorf("%v", g)
	}
	last := nobody(t)
	o = made(t, Config{Endpoints: at(nobody(t), last)})
	g := fetch(t, o.Object("/secret/path", "token=hush"), "GET", nil)
	g.wants(t, 502, "origin vod: "+last+": dial tcp")
	if strings.Contains(g.err.Error(), "hush") || strings.Contains(g.err.Error(), "secret") {
		t.Error(g.err)
	}
	if s := o.Status(); s.Failures != 1 || s.Endpoints[0].InFlight+s.Endpoints[1].InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAnEndpointThatFailedThreeTimesIsAskedAgainByOneRequest(t *testing.T) {
	first, second := newStore(t, media(10)), newStore(t, media(10))
	var logged lines
	o, err := New(Config{Name: "vod", Endpoints: at(first.URL, second.URL), Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	clock := clock{now: now}
	o.now = clock.read
	run(t, o)
	first.tell(status(503))
	for range 10 {
		if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || g.StatusCode != 200 {
			t.Fatal(g)
		}
	}
	s := o.Status().Endpoints[0]
	if n := len(first.asked()); n != maxFails || s.Healthy || s.Reason != "status 503" || !s.Since.Equal(now) {
		t.Fatalf("asked %d times: %+v", n, s)
	}

	clock.add(minOut)
	arrived, answer := make(chan struct{}), make(chan struct{})
	first.tell(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-answer
		first.honest(w, r)
	})
	var probe sync.WaitGroup
	probe.Go(func() { fetch(t, o.Object("/a", ""), "GET", nil) })
	<-arrived
	before := len(second.asked())
	for range 5 {
		fetch(t, o.Object("/a", ""), "GET", nil)
	}
	if n := len(second.asked()) - before; n != 5 {
		t.Errorf("while the probe is under way the second is asked %d times", n)
	}
	close(answer)
	probe.Wait()
	first.tell(nil)
	fetch(t, o.Object("/a", ""), "GET", nil)
	if s := o.Status().Endpoints[0]; len(first.asked()) != maxFails+2 || !s.Healthy || s.Reason != "" {
		t.Errorf("asked %d times: %+v", len(first.asked()), s)
	}
	if text := logged.String(); strings.Count(text, "is not healthy") != 1 || strings.Count(text, "healthy again") != 1 || !strings.Contains(text, first.URL) {
		t.Error(text)
	}
}

func TestWhenNoneIsHealthyAllAreAsked(t *testing.T) {
	first, second := newStore(t, media(10)), newStore(t, media(10))
	o := made(t, Config{Endpoints: at(first.URL, second.URL)})
	first.tell(status(503))
	second.tell(status(503))
	for range maxFails {
		fetch(t, o.Object("/a", ""), "GET", nil)
	}
	if s := o.Status(); s.Endpoints[0].Healthy || s.Endpoints[1].Healthy {
		t.Fatalf("%+v", s)
	}
	second.tell(nil)
	if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || g.StatusCode != 200 {
		t.Errorf("%v", g)
	}
	if s := o.Status(); !s.Endpoints[1].Healthy {
		t.Error("it answered, and is still out")
	}
}

func TestAClientThatLeavesBlamesNobody(t *testing.T) {
	s := newStore(t, media(10))
	arrived := make(chan struct{}, 100)
	s.tell(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	o := made(t, Config{Endpoints: at(s.URL)})
	for range 2 * maxFails {
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-arrived
			leave()
		}()
		if res, err := o.Object("/a", "").Fetch(ctx, "GET", nil); res != nil || err != context.Canceled {
			t.Fatalf("%v, %v", res, err)
		}
	}
	ctx, leave := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer leave()
	if _, err := o.Object("/a", "").Fetch(ctx, "GET", nil); err != context.DeadlineExceeded {
		t.Error(err)
	}

	s.tell(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write(make([]byte, 50))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, leave = context.WithCancel(t.Context())
	res, err := o.Object("/a", "").Fetch(ctx, "GET", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := res.Body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	leave()
	for err == nil {
		_, err = res.Body.Read(make([]byte, 10))
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = res.Body.Close()
	if s := o.Status(); s.Failures != 0 || s.Endpoints[0].Failures != 0 || !s.Endpoints[0].Healthy || s.Endpoints[0].InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// clock is told what time it is.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
