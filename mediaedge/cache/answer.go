package cache

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// small reads a playlist whole. It is not done if the body is too large: then
// f.src has it from its beginning.
func (c *Cache) small(f *finding, req Request, res *http.Response, requested, received time.Time) (done bool, err error) {
	body, more, err := c.slurp(res, maxSmall)
	if err != nil {
		return false, err
	}
	if more != nil {
		f.src = more
		return false, nil
	}
	_ = res.Body.Close()
	f.src = nil
	o := f.o
	o.live = readPlaylist(body)
	hd := newHead(res.Header, o.live.limit(req.Terms), requested, received)
	o.head.Store(hd)
	c.complete(o, body)
	return true, nil
}

// complete makes o an object in one piece that is all there. The bytes are in
// parts of a block, as those of an object that has grown.
func (c *Cache) complete(o *object, body []byte) {
	w := &whole{size: int64(len(body)), done: true}
	for rest := body; len(rest) > 0; {
		n := min(int64(len(rest)), c.block)
		w.parts = append(w.parts, rest[:n:n])
		rest = rest[n:]
	}
	o.size, o.growing = w.size, w
}

// slurpPatience is how long a short body may take in all: everybody waits for it.
const slurpPatience = 10 * time.Second

// slurp reads a body of at most limit bytes to its end. What is longer is
// returned as more, from the beginning.
func (c *Cache) slurp(res *http.Response, limit int) (body []byte, more io.ReadCloser, err error) {
	late := time.AfterFunc(slurpPatience, func() { _ = res.Body.Close() })
	defer func() {
		if !late.Stop() {
			body, more, err = nil, nil, fmt.Errorf("cache: what the origin sends takes more than %s, and is short", slurpPatience)
		}
	}()
	var b buffer
	for len(b.data) <= limit {
		n, err := b.read(res.Body, limit+1)
		c.fetched.Add(int64(n))
		if err == io.EOF {
			if want := res.ContentLength; want >= 0 && want != int64(len(b.data)) && !res.Uncompressed {
				return nil, nil, fmt.Errorf("cache: the origin sent %d bytes of %d", len(b.data), want)
			}
			return b.clip(), nil, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("cache: reading from the origin: %w", err)
		}
	}
	return nil, &again{head: b.data, ReadCloser: res.Body}, nil
}

// answer makes an object of an answer that is none: a 404, an error. It is
// shared by those who wait for it, and kept only if it is a 404 or 410. Its body
// is left out if it is long, or for one reader only: an origin that fails is not
// asked by everyone at once because it says "no-store".
func (c *Cache) answer(f finding, req Request, q question, res *http.Response, requested, received time.Time) finding {
	t := negativeTerms(req.Terms)
	gone := f.status == http.StatusNotFound || f.status == http.StatusGone
	hd := newHead(res.Header, Terms{}, requested, received)
	var body []byte
	if hd.shared && q.method != http.MethodHead {
		var more io.ReadCloser
		var err error
		if body, more, err = c.slurp(res, maxAnswer); err != nil || more != nil {
			body = nil
		}
	}
	_ = res.Body.Close()
	delete(hd.fields, "Etag")
	delete(hd.fields, "Last-Modified")
	hd.modified = time.Time{}
	store := hd.shared && gone && t.TTL > 0 && q.method != http.MethodHead
	hd.policy = policy{shared: store, ttl: clamp(t.TTL)}
	f.o = c.newObject(req, f.status, hd)
	c.complete(f.o, body)
	f.store = store
	return f
}
