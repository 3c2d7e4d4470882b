package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// request is a GET of an object, or of a range of it.
type request struct {
	Path   string `json:"path"`
	First  int64  `json:"first,omitempty"`
	Length int64  `json:"length"`
	Ranged bool   `json:"ranged,omitempty"`
}

// plan is what the load does.
type plan struct {
	Address string `json:"address"`
	// Groups of connections, and what each asks for, one after the other.
	Groups [][]request `json:"groups"`
	// Together is how many connections there are in a group: all ask for the
	// same, and for the next when all have it.
	Together int `json:"together"`
	// For is for how long they ask, over and over. 0: for each once.
	For time.Duration `json:"for"`
}

// delivered is what came of a plan.
type delivered struct {
	Requests int64         `json:"requests"`
	Bytes    int64         `json:"bytes"` // of bodies
	Compared int64         `json:"compared"`
	Took     time.Duration `json:"took"`
	Error    string        `json:"error,omitempty"`
}

// serveLoad is the load's process: for each plan that it reads it tells what
// came of it.
func serveLoad(in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	return rig.Each(in, func(p plan, _ *json.Decoder) error {
		d, err := p.carryOut()
		if err != nil {
			d.Error = err.Error()
		}
		return say.Encode(d)
	})
}

func (p *plan) carryOut() (total delivered, err error) {
	groups := make([][]*client, len(p.Groups))
	for i := range groups {
		for range p.Together {
			c, err := dial(p.Address)
			if err != nil {
				return total, err
			}
			defer c.Close()
			groups[i] = append(groups[i], c)
		}
	}
	var all sync.WaitGroup
	errs := make([]error, len(groups))
	begun := time.Now()
	for i, group := range groups {
		all.Go(func() { errs[i] = p.ask(group, p.Groups[i], begun.Add(p.For)) })
	}
	all.Wait()
	total.Took = time.Since(begun)
	for _, group := range groups {
		for _, c := range group {
			total.Requests += c.Requests
			total.Bytes += c.Bytes
			total.Compared += c.Compared
		}
	}
	return total, errors.Join(errs...)
}

// ask has a group ask for all of requests, and again until the end.
func (p *plan) ask(group []*client, requests []request, end time.Time) error {
	for {
		for _, r := range requests {
			if err := each(group, func(c *client) error { return c.get(r) }); err != nil {
				return fmt.Errorf("%s: %w", r.Path, err)
			}
			if p.For > 0 && !time.Now().Before(end) {
				return nil
			}
		}
		if p.For == 0 {
			return nil
		}
	}
}

// each has all of a group do something at the same time.
func each(group []*client, do func(*client) error) error {
	if len(group) == 1 {
		return do(group[0])
	}
	var all sync.WaitGroup
	errs := make([]error, len(group))
	for i, c := range group {
		all.Go(func() { errs[i] = do(c) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// client is a connection. It speaks just as much HTTP/1.1 as it must: what it
// takes of the processors, the server does not get.
type client struct {
	net.Conn
	host string
	in   *bufio.Reader
	out  []byte
	body []byte

	delivered
}

const (
	// bodyBuffer is how much is read at a time.
	bodyBuffer = 256 << 10
	// sample: of so many answers of a connection one is compared.
	sample = 16
)

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{Conn: conn, host: address, in: bufio.NewReaderSize(conn, 8<<10), body: make([]byte, bodyBuffer)}, nil
}

// get asks for r and reads the answer, which must be the right one.
func (c *client) get(r request) error {
	_ = c.SetDeadline(time.Now().Add(rig.Patience))
	c.out = append(append(append(append(c.out[:0], "GET "...), r.Path...), " HTTP/1.1\r\nHost: "...), c.host...)
	c.out = append(c.out, "\r\nUser-Agent: bench\r\nAccept: */*\r\n"...)
	want := 200
	if r.Ranged {
		want = 206
		c.out = fmt.Appendf(c.out, "Range: bytes=%d-%d\r\n", r.First, r.First+r.Length-1)
	}
	if _, err := c.Write(append(c.out, "\r\n"...)); err != nil {
		return err
	}
	head, err := rig.ReadHead(c.in)
	if err != nil {
		return err
	}
	if head.Length < 0 {
		return errors.New("an answer without a Content-Length")
	}
	if head.Status != want || head.Length != r.Length {
		return fmt.Errorf("the status is %d and Content-Length %d, want %d and %d", head.Status, head.Length, want, r.Length)
	}
	c.Requests++
	return c.read(r)
}

// read reads a body and, of a sample, compares it.
func (c *client) read(r request) error {
	compare := c.Requests%sample == 1
	var o object
	if compare {
		var err error
		if o, err = objectAt(r.Path); err != nil {
			return err
		}
		c.Compared++
	}
	for at := int64(0); at < r.Length; {
		n, err := c.in.Read(c.body[:min(int64(len(c.body)), r.Length-at)])
		if compare && !o.same(c.body[:n], r.First+at) {
			return fmt.Errorf("other bytes than the origin has, at %d", r.First+at)
		}
		at += int64(n)
		c.Bytes += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}
