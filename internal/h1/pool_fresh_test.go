package h1

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestAFreshConnectionIsMadeBesideIdleOnes(t *testing.T) {
	p := NewPool(Config{Dial: serve(t, answering(ok))})
	defer p.Close()
	_, err := p.Warm(t.Context(), now, 3)
	must(t, err)
	c, idled, err := p.Fresh(t.Context(), now)
	must(t, err)
	equal(t, "idled", idled, false)
	s := p.Stats()
	equal(t, "idle", s.Idle, 3)
	equal(t, "open", s.Open, 4)
	p.Put(c, now)
	equal(t, "idle", p.Stats().Idle, 4)
}

func TestAtTheBoundAFreshConnectionTakesThePlaceOfTheLongestIdleOne(t *testing.T) {
	p := NewPool(Config{Dial: serve(t, answering(ok)), MaxOpen: 2})
	defer p.Close()
	a, _ := lend(t, p, now)
	b, _ := lend(t, p, now)
	p.Put(a, now)
	p.Put(b, now.Add(time.Second))
	c, idled, err := p.Fresh(t.Context(), now.Add(2*time.Second))
	must(t, err)
	equal(t, "a new one", c != a && c != b && !idled, true)
	equal(t, "open", p.Stats().Open, 2)
	equal(t, "the longest idle one is closed", a.turn.Load()&1 == 1, true)
	got, idled := lend(t, p, now.Add(2*time.Second))
	equal(t, "the other is kept", got == b && idled, true)
	p.Put(b, now.Add(3*time.Second))
	p.Put(c, now.Add(3*time.Second))
	equal(t, "open", p.Stats().Open, 2)
}

func TestAFreshConnectionIsWaitedForWhereNoneIsIdle(t *testing.T) {
	p := NewPool(Config{Dial: serve(t, answering(ok)), MaxOpen: 1})
	c, _ := lend(t, p, now)
	type lent struct {
		c     *Conn
		idled bool
		err   error
	}
	fresh := func() chan lent {
		got := make(chan lent, 1)
		go func() {
			c, idled, err := p.Fresh(context.Background(), now)
			got <- lent{c, idled, err}
		}()
		eventually(t, "one waits", func() bool { return p.Stats().Waiting == 1 })
		return got
	}
	for _, broken := range []bool{false, true} {
		got := fresh()
		if broken {
			_ = c.Close()
		}
		p.Put(c, now)
		next := <-got
		must(t, next.err)
		equal(t, "the same", next.c == c, !broken)
		equal(t, "idled", next.idled, !broken)
		c = next.c
	}
	got := fresh()
	p.Close()
	equal(t, "closed", (<-got).err, ErrPoolClosed)
	p.Put(c, now)
	equal(t, "open", p.Stats().Open, 0)
}

func TestAFreshConnectionThatCannotBeMadeGivesItsPlaceBack(t *testing.T) {
	dial := serve(t, answering(ok))
	p := NewPool(Config{Dial: dial, MaxOpen: 1})
	_, err := p.Warm(t.Context(), now, 1)
	must(t, err)
	p.config.Dial = func(context.Context) (net.Conn, error) { return nil, net.ErrClosed }
	_, _, err = p.Fresh(t.Context(), now)
	equal(t, "dial", err, net.ErrClosed)
	equal(t, "open", p.Stats().Open, 0)
	p.config.Dial = dial
	c, _, err := p.Fresh(t.Context(), now)
	must(t, err)
	p.Put(c, now)
	p.Close()
	equal(t, "open", p.Stats().Open, 0)
}
