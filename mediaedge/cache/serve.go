package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRanges is how many ranges of one request are looked at; a request for more
// gets all (RFC 9110 §14.2 allows it).
const maxRanges = 16

var errOnlyIfCached = errors.New("only-if-cached")

// Serve answers a GET or HEAD. Before it has written a head it returns an error
// and has written nothing; afterwards ErrAborted, also if the client has left.
//
// The caller may have set fields of its own in w.Header, such as those of CORS.
func (c *Cache) Serve(w http.ResponseWriter, r *http.Request, req Request) (Outcome, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return Outcome{}, ErrMethod
	}
	r = plainRanges(r)
	for again := false; ; again = true {
		ch, err := c.resolve(r, req)
		if errors.Is(err, errOnlyIfCached) {
			return c.onlyIfCached(w)
		}
		if err != nil {
			return Outcome{}, err
		}
		d := &delivery{c: c, w: w, r: r, choice: ch, before: w.Header().Clone()}
		out, err := d.serve(req)
		if err == nil || d.sent {
			return out, err
		}
		restore(w.Header(), d.before)
		if again || !errors.Is(err, errChanged) {
			return Outcome{}, err
		}
	}
}

func restore(h, before http.Header) {
	clear(h)
	for key, vv := range before {
		h[key] = vv
	}
}

func (c *Cache) onlyIfCached(w http.ResponseWriter) (Outcome, error) {
	w.Header().Add("Cache-Status", c.name+"; detail=only-if-cached")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusGatewayTimeout)
	return Outcome{Status: http.StatusGatewayTimeout, Result: Miss}, nil
}

// delivery writes one answer. It is the ResponseWriter of http.ServeContent,
// and sends the head only when there are bytes to follow: until then the
// request may still start anew, or fail with a status.
type delivery struct {
	c      *Cache
	w      http.ResponseWriter
	r      *http.Request
	before http.Header // what w had
	choice
	reader *reader // nil: no body of an object

	size   int64 // of the object, if the length has to be set here; 0: it has not
	status int   // 0: none yet
	sent   bool  // the head is out
	n      int64 // bytes of body
	err    error // of writing
}

func (d *delivery) serve(req Request) (Outcome, error) {
	if d.pass {
		return d.passThrough(req)
	}
	hd := d.o.head.Load()
	hd.write(d.w.Header(), time.Now(), d.choice.status == 0)
	if d.o.status != http.StatusOK {
		defer d.c.release(choice{follow: d.follow})
		return d.plain()
	}
	ctx, cancel := context.WithCancel(d.r.Context())
	d.reader = &reader{c: d.c, o: d.o, body: d.body, origin: req.Origin, ctx: ctx, cancel: cancel, follow: d.follow}
	defer d.reader.close() // if a writer panics
	if size := d.o.length(); size >= 0 {
		if hd.has("Content-Encoding") {
			d.size = size
		}
		http.ServeContent(d, d.r, "", hd.modified, d.reader)
	} else {
		d.stream()
	}
	err := d.reader.close()
	if err == nil {
		err = d.err
	}
	if err == nil {
		d.flushHead()
	}
	return d.outcome(err)
}

func (d *delivery) outcome(err error) (Outcome, error) {
	out := Outcome{Status: d.status, Served: d.n, Result: d.result}
	switch {
	case err == nil:
		return out, nil
	case d.sent:
		return out, fmt.Errorf("%w: %w", ErrAborted, err)
	}
	return Outcome{}, err
}

// plainRanges leaves out a Range that is not to be looked at.
func plainRanges(r *http.Request) *http.Request {
	v := r.Header["Range"]
	if len(v) == 0 || r.Method == http.MethodGet && len(v) == 1 && strings.Count(v[0], ",") < maxRanges {
		return r
	}
	plain := *r
	plain.Header = r.Header.Clone()
	delete(plain.Header, "Range")
	return &plain
}

// stream sends an object whose size is not known yet: all of it, whatever was
// asked for.
func (d *delivery) stream() {
	d.status = http.StatusOK
	if d.r.Method == http.MethodHead {
		return
	}
	for {
		data, err := d.next()
		if err != nil {
			return
		}
		if d.write(data) != nil {
			return
		}
	}
}

// plain sends an answer that is no object. Its body has come already.
func (d *delivery) plain() (Outcome, error) {
	h := d.w.Header()
	if d.o.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.FormatInt(d.body.size, 10))
	}
	if d.body.size == 0 {
		delete(h, "Content-Type")
		delete(h, "Content-Encoding")
	}
	d.status = d.o.status
	d.flushHead()
	if d.r.Method == http.MethodHead {
		return d.outcome(nil)
	}
	for _, part := range d.body.parts {
		if err := d.write(part); err != nil {
			return d.outcome(err)
		}
	}
	return d.outcome(nil)
}

// next gets bytes for one who reads in order, and has what was written go out
// before it waits.
func (d *delivery) next() ([]byte, error) {
	d.reader.mu.Lock()
	defer d.reader.mu.Unlock()
	data, err := d.reader.next(d.idle)
	d.reader.pos += int64(len(data))
	return data, err
}

func (d *delivery) idle() {
	if d.sent {
		_ = http.NewResponseController(d.w).Flush()
	}
}

// Header is that of the client's answer.
func (d *delivery) Header() http.Header { return d.w.Header() }

// WriteHeader notes the status.
func (d *delivery) WriteHeader(status int) {
	if d.status == 0 {
		d.status = status
	}
}

// Write sends p, after the head.
func (d *delivery) Write(p []byte) (int, error) {
	if err := d.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *delivery) write(p []byte) error {
	d.flushHead()
	n, err := d.w.Write(p)
	d.n += int64(n)
	if err != nil && d.err == nil {
		d.err = err
	}
	return err
}

// ReadFrom sends what http.ServeContent has for one range. Blocks go out as
// they are, without a buffer between.
func (d *delivery) ReadFrom(src io.Reader) (int64, error) {
	lr, ok := src.(*io.LimitedReader)
	if !ok || lr.R != io.Reader(d.reader) {
		return io.Copy(struct{ io.Writer }{d}, src)
	}
	d.reader.want = d.reader.pos + lr.N
	before := d.n
	for lr.N > 0 {
		d.reader.mu.Lock()
		data, err := d.reader.next(d.idle)
		data = data[:min(int64(len(data)), lr.N)]
		d.reader.pos += int64(len(data))
		d.reader.mu.Unlock()
		if err != nil {
			return d.n - before, err
		}
		lr.N -= int64(len(data))
		if err := d.write(data); err != nil {
			return d.n - before, err
		}
	}
	return d.n - before, nil
}

// flushHead sends the head, once.
func (d *delivery) flushHead() {
	if d.sent {
		return
	}
	d.sent = true
	if d.status == 0 {
		d.status = http.StatusOK
	}
	h := d.w.Header()
	if d.size > 0 && d.status == http.StatusOK {
		h.Set("Content-Length", strconv.FormatInt(d.size, 10))
	}
	if d.status >= 400 && d.reader != nil { // they speak of the object, which this is not
		for _, key := range [...]string{"Expires", "Cdn-Cache-Control", "Age", "Content-Language", "Content-Disposition"} {
			delete(h, key)
		}
	}
	if d.reader != nil && d.result == Hit {
		switch {
		case d.reader.started.Load():
			d.result = Partial
		case d.reader.waited.Load():
			d.result = Collapsed
		}
	}
	d.cacheStatus(h)
	d.w.WriteHeader(d.status)
}
