package origin

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble makes an origin whose endpoints are handlers, and time is that of
// the bubble.
func inBubble(t *testing.T, c Config, handlers ...http.HandlerFunc) *Origin {
	t.Helper()
	c.Name = "vod"
	servers := map[string]*pipes{}
	for i, h := range handlers {
		host := string(rune('a'+i)) + ".example"
		c.Endpoints = append(c.Endpoints, Endpoint{URL: "http://" + host})
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		servers[host+":80"] = l
		server := &http.Server{Handler: h, ErrorLog: discardLog}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(l)
		}()
		t.Cleanup(func() {
			_ = server.Close()
			<-done
		})
	}
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	o.dial = func(ctx context.Context, _, addr string) (net.Conn, error) { return servers[addr].dial(ctx) }
	run(t, o)
	return o
}

// pipes is a listener without sockets.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func honest(content []byte) http.HandlerFunc {
	return (&store{content: content, etag: `"v1"`}).honest
}

func TestASilentEndpointIsGivenUpAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inBubble(t, Config{}, hang, honest(media(100)))
		began := time.Now()
		g := fetch(t, o.Object("/a", ""), "GET", nil)
		if g.err != nil || len(g.body) != 100 || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", g.err, time.Since(began))
		}
	})
}

func TestABodyThatStopsIsGivenUpAfterFifteenSecondsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := media(megabyte)
		stops := func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				_ = recover()
				hang(w, r)
			}()
			honest(content)(&fatal{w, 300000}, r)
		}
		o := inBubble(t, Config{}, stops, honest(content))
		began := time.Now()
		g := fetch(t, o.Object("/a", ""), "GET", nil)
		if g.err != nil || !bytes.Equal(g.body, content) || time.Since(began) != 15*time.Second {
			t.Errorf("%v after %v", g.err, time.Since(began))
		}
	})
}

func TestAClientThatReadsSlowlyIsNoIdleEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inBubble(t, Config{}, honest(media(megabyte)))
		res, err := o.Object("/a", "").Fetch(t.Context(), "GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		total := 0
		for p := make([]byte, 100000); err == nil; {
			time.Sleep(time.Hour)
			n := 0
			n, err = res.Body.Read(p)
			total += n
		}
		if err != io.EOF || total != megabyte {
			t.Errorf("%d bytes, %v", total, err)
		}
	})
}

func TestAnEndpointIsNotBlamedForAClientItHasLostPatienceWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := media(megabyte)
		gives := func(w http.ResponseWriter, r *http.Request) { honest(content)(&fatal{w, 300000}, r) }
		for pause, failures := range map[time.Duration]uint64{time.Hour: 0, time.Second: 1} {
			o := inBubble(t, Config{}, gives, honest(content))
			res, err := o.Object("/a", "").Fetch(t.Context(), "GET", nil)
			if err != nil {
				t.Fatal(err)
			}
			total := 0
			for p := make([]byte, 100000); err == nil; {
				time.Sleep(pause)
				n := 0
				n, err = res.Body.Read(p)
				total += n
			}
			res.Body.Close()
			if err != io.EOF || total != megabyte {
				t.Errorf("%d bytes, %v", total, err)
			}
			if n := o.Status().Endpoints[0].Failures; n != failures {
				t.Errorf("read every %s: %d failures, want %d", pause, n, failures)
			}
		}
	})
}

func TestAnOnlyEndpointThatRestartsIsWaitedForWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := media(megabyte)
		var asked []time.Duration
		began := time.Now()
		o := inBubble(t, Config{Resume: Resume{Attempts: 5}}, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, time.Since(began))
			switch len(asked) {
			case 1:
				honest(content)(&fatal{w, 300000}, r)
			case 5:
				honest(content)(w, r)
			default:
				w.WriteHeader(503)
			}
		})
		g := fetch(t, o.Object("/a", ""), "GET", nil)
		if g.err != nil || !bytes.Equal(g.body, content) {
			t.Errorf("%d bytes, %v", len(g.body), g.err)
		}
		want := []time.Duration{0, 0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}
		for i := range want {
			if i >= len(asked) || asked[i] != want[i] {
				t.Fatalf("asked at %v, want %v", asked, want)
			}
		}
	})
}

func TestABusyEndpointIsNotBlamedAndTheNextIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &store{content: media(10), etag: `"v1"`}, &store{content: media(10), etag: `"v1"`}
		o := inBubble(t, Config{MaxConns: 1}, first.ServeHTTP, second.ServeHTTP)
		hold := func() *http.Response {
			res, err := o.Object("/a", "").Fetch(t.Context(), "GET", nil)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		a, b := hold(), hold()
		if len(first.asked()) != 1 || len(second.asked()) != 1 {
			t.Errorf("asked %d and %d times", len(first.asked()), len(second.asked()))
		}
		began := time.Now()
		fetch(t, o.Object("/a", ""), "GET", nil).wants(t, 503, "all connections are in use")
		if waited := time.Since(began); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := o.Object("/a", "").Fetch(ctx, "GET", nil); err != context.DeadlineExceeded {
			t.Error(err)
		}
		_ = b.Body.Close()
		_ = b.Body.Close()
		if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || len(second.asked()) != 2 {
			t.Errorf("%v", g.err)
		}
		c := hold()
		time.AfterFunc(time.Second, func() { _ = a.Body.Close() })
		d := hold() // waits for the first, by preference
		if len(first.asked()) != 2 || len(second.asked()) != 3 {
			t.Errorf("asked %d and %d times", len(first.asked()), len(second.asked()))
		}
		_ = c.Body.Close()
		_ = d.Body.Close()
		if s := o.Status(); s.Endpoints[0].Failures+s.Endpoints[1].Failures != 0 || s.Endpoints[0].InFlight+s.Endpoints[1].InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}
