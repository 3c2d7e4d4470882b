package h1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// No exchange ever gets the answer of another, whoever leaves when.
func TestUnderCancellationsAnswersStayWithTheirQuestions(t *testing.T) {
	p := NewPool(Config{MaxOpen: 6, MaxIdle: 4, Dial: serve(t, func(c net.Conn, br *bufio.Reader) {
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			say := fmt.Sprintf("%s %s", r.RequestURI, body)
			if len(say)%2 == 0 {
				_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(say), say)
			} else {
				_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(say), say)
			}
			if err != nil {
				return
			}
		}
	})})
	defer p.Close()
	var all sync.WaitGroup
	var whole atomic.Int64
	for g := range 12 {
		all.Go(func() {
			for i := range 150 {
				lend := p.Get
				if i%5 == 0 {
					lend = p.Fresh
				}
				c, _, err := lend(context.Background(), time.Now())
				if err != nil {
					t.Error(err)
					return
				}
				x := c.Exchange()
				var canceler sync.WaitGroup
				if i%3 == 0 {
					canceler.Go(func() { c.Cancel(x) })
				}
				target := fmt.Sprintf("/%d/%d", g, i)
				got, err := post(c, target, i%4 == 0)
				if err == nil && got != target+" hello" {
					t.Errorf("asked for %q, got %q", target, got)
				}
				if err == nil {
					whole.Add(1)
				}
				p.Put(c, time.Now())
				if i%3 == 1 {
					c.Cancel(x) // late
				}
				canceler.Wait()
			}
		})
	}
	all.Wait()
	equal(t, "out", p.Stats().Open, p.Stats().Idle)
	if n := whole.Load(); n < 12*100 {
		t.Errorf("only %d exchanges were whole, of which 1,200 were not canceled", n)
	}
}

// post sends "hello", by a second goroutine where both is true.
func post(c *Conn, target string, both bool) (string, error) {
	length := int64(5)
	if both {
		length = -1
	}
	if err := c.WriteHead(&Request{Method: "POST", Target: target, Host: "a", Length: length}); err != nil {
		return "", err
	}
	send := func() error {
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		return c.End(nil)
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	if both {
		sending.Go(func() { _ = send() })
	} else if err := send(); err != nil {
		return "", err
	}
	if _, err := c.ReadHead(nil, nil); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}
