package h1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func lend(t testing.TB, p *Pool, at time.Time) (*Conn, bool) {
	t.Helper()
	c, idled, err := p.Get(t.Context(), at)
	must(t, err)
	return c, idled
}

func TestThePoolHandsOutWhatWasUsedLast(t *testing.T) {
	p := NewPool(Config{Dial: serve(t, answering(ok)), MaxIdle: 2, IdleTimeout: time.Minute})
	defer p.Close()
	a, idled := lend(t, p, now)
	equal(t, "idled", idled, false)
	b, _ := lend(t, p, now)
	c, _ := lend(t, p, now)
	p.Put(a, now)
	p.Put(b, now.Add(time.Second))
	p.Put(c, now.Add(2*time.Second)) // one too many
	equal(t, "open", p.Stats().Open, 2)
	got, idled := lend(t, p, now.Add(3*time.Second))
	equal(t, "the last", got == b && idled, true)
	p.Put(got, now.Add(3*time.Second))
	p.Sweep(now.Add(time.Minute)) // a's time
	equal(t, "idle", p.Stats().Idle, 1)
	got, _ = lend(t, p, now.Add(2*time.Minute)) // b's is over, unswept
	equal(t, "a new one", got != b, true)
	p.Put(got, now)
	func() {
		defer func() { equal(t, "refused", recover() != nil, true) }()
		p.Put(got, now)
	}()
}

func TestConnectionsAgeWithChance(t *testing.T) {
	p := NewPool(Config{Dial: serve(t, answering(ok)), MaxAge: 10 * time.Second, IdleTimeout: time.Hour})
	defer p.Close()
	n, err := p.Warm(t.Context(), now, 20)
	must(t, err)
	equal(t, "warm", n, 20)
	p.Sweep(now.Add(9*time.Second - 1))
	equal(t, "young", p.Stats().Idle, 20)
	c, _ := lend(t, p, now)
	p.Put(c, now.Add(10*time.Second)) // it grew old while it was out
	p.Sweep(now.Add(10 * time.Second))
	equal(t, "old", p.Stats().Open, 0)
}

func TestADeadOrDirtyIdleConnectionIsNotHandedOut(t *testing.T) {
	for name, spoil := range map[string]func(net.Conn){
		"closed":  func(c net.Conn) { _ = c.Close() },
		"reset":   func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() },
		"a 408":   func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 408 T\r\nContent-Length: 0\r\n\r\n") },
		"surplus": func(c net.Conn) { _, _ = io.WriteString(c, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			ends := make(chan net.Conn, 4)
			p := NewPool(Config{Dial: serve(t, func(c net.Conn, br *bufio.Reader) {
				ends <- c
				answering(ok)(c, br)
			})})
			defer p.Close()
			c, _ := lend(t, p, now)
			_, _, err := ask(c)
			must(t, err)
			p.Put(c, now)
			spoil(<-ends)
			eventually(t, "it is seen", c.Waiting)
			other, idled := lend(t, p, now)
			equal(t, "another", other != c && !idled, true)
			s := p.Stats()
			equal(t, "counted", s.Dead+s.Surplus, 1)
			p.Put(other, now)
		})
	}
}

func TestSweepEndsWhatTheUpstreamHasClosed(t *testing.T) {
	p := NewPool(Config{Dial: serve(t, func(net.Conn, *bufio.Reader) {})})
	defer p.Close()
	_, err := p.Warm(t.Context(), now, 3)
	must(t, err)
	eventually(t, "all are gone", func() bool {
		p.Sweep(now)
		return p.Stats().Open == 0
	})
}

func TestGetWaitsAtTheBound(t *testing.T) {
	p := NewPool(Config{Dial: serve(t, answering(ok)), MaxOpen: 1})
	c, _ := lend(t, p, now)
	n, err := p.Warm(t.Context(), now, 3)
	must(t, err)
	equal(t, "warm", n, 0)

	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("left")
	go func() {
		for p.Stats().Waiting == 0 {
			runtime.Gosched()
		}
		cancel(left)
	}()
	_, _, err = p.Get(ctx, now)
	equal(t, "who left", err, left)

	for _, broken := range []bool{false, true} {
		got := make(chan *Conn)
		go func() {
			next, _, err := p.Get(context.Background(), now)
			if err != nil {
				t.Error(err)
			}
			got <- next
		}()
		eventually(t, "one waits", func() bool { return p.Stats().Waiting == 1 })
		if broken {
			_ = c.Close()
		}
		p.Put(c, now)
		next := <-got
		equal(t, "the same", next == c, !broken)
		c = next
	}
	refused := make(chan error)
	go func() {
		_, _, err := p.Get(context.Background(), now)
		refused <- err
	}()
	eventually(t, "one waits", func() bool { return p.Stats().Waiting == 1 })
	p.Close()
	equal(t, "closed", <-refused, ErrPoolClosed)
	p.Put(c, now)
	equal(t, "open", p.Stats().Open, 0)
	_, _, err = p.Get(t.Context(), now)
	equal(t, "closed", err, ErrPoolClosed)
}

func TestAFailedDialGivesItsPlaceBack(t *testing.T) {
	refused := errors.New("refused")
	p := NewPool(Config{Dial: func(context.Context) (net.Conn, error) { return nil, refused }, MaxOpen: 1})
	for range 3 {
		_, _, err := p.Get(t.Context(), now)
		equal(t, "dial", err, refused)
	}
	n, err := p.Warm(t.Context(), now, 5)
	equal(t, "made", n, 0)
	equal(t, "warm", errors.Is(err, refused), true)
	equal(t, "open", p.Stats().Open, 0)
}

// The pool against a model of it: so many connections, in this order.
func TestThePoolFollowsItsModel(t *testing.T) {
	dial := serve(t, answering(ok))
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 6))
		most := 1 + r.IntN(5)
		p := NewPool(Config{Dial: dial, MaxIdle: most, IdleTimeout: 10 * time.Second})
		at := now
		type kept struct {
			c     *Conn
			since time.Time
		}
		var idle []kept
		var out []*Conn
		for step := range 200 {
			at = at.Add(time.Duration(r.IntN(3000)) * time.Millisecond)
			switch r.IntN(8) {
			case 0, 1, 2:
				var want *Conn
				for len(idle) > 0 && want == nil {
					last := idle[len(idle)-1]
					idle = idle[:len(idle)-1]
					if at.Sub(last.since) < 10*time.Second {
						want = last.c
					}
				}
				c, idled := lend(t, p, at)
				if idled != (want != nil) || want != nil && c != want {
					t.Fatalf("seed %d, step %d: got %p %v, want %p", seed, step, c, idled, want)
				}
				out = append(out, c)
			case 3, 4, 5:
				if len(out) == 0 {
					continue
				}
				i := r.IntN(len(out))
				c := out[i]
				out = append(out[:i], out[i+1:]...)
				whole := r.IntN(3) > 0
				if whole {
					_, _, err := ask(c)
					must(t, err)
				} else {
					must(t, c.WriteHead(get))
				}
				p.Put(c, at)
				if whole && len(idle) < most && at.Sub(c.idleSince) < 10*time.Second {
					idle = append(idle, kept{c, at})
				}
			case 6:
				p.Sweep(at)
				young := idle[:0]
				for _, k := range idle {
					if at.Sub(k.since) < 10*time.Second {
						young = append(young, k)
					}
				}
				idle = young
			}
			if s := p.Stats(); s.Idle != len(idle) || s.Open != len(idle)+len(out) {
				t.Fatalf("seed %d, step %d: %+v, want %d idle, %d out", seed, step, s, len(idle), len(out))
			}
		}
		for _, c := range out {
			p.Put(c, at)
		}
		p.Close()
		equal(t, "open", p.Stats().Open, 0)
	}
}
