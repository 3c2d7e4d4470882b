package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// copies are the buffers of what passes through. Nothing keeps a part of one.
var copies = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// passThrough answers with what the origin answers this client, and keeps
// nothing.
func (d *delivery) passThrough(req Request) (Outcome, error) {
	requested, res := time.Now(), d.res
	if res != nil { // it was asked for by the opening, and does not end with r
		defer context.AfterFunc(d.r.Context(), func() { _ = res.Body.Close() })()
	} else {
		var err error
		if res, err = d.c.fetch(d.r.Context(), req.Origin, d.r.Method, conditional(d.r)); err != nil {
			return Outcome{}, err
		}
	}
	defer res.Body.Close()
	code := res.StatusCode
	if code < 200 || code >= 300 && code < 400 && code != http.StatusNotModified {
		return Outcome{}, fmt.Errorf("cache: the origin answered %d, which was not asked for", code)
	}
	d.choice.status, d.status = code, code
	hd := newHead(res.Header, req.Terms, requested, time.Now())
	if code >= 400 || code == http.StatusNotModified || code == http.StatusNoContent {
		if len(res.Header["Content-Type"]) == 0 {
			delete(hd.fields, "Content-Type")
		}
		hd.shared = false
	}
	d.o = &object{}
	d.o.head.Store(hd)
	h := d.w.Header()
	hd.write(h, time.Now(), false)
	for _, key := range [...]string{"Content-Range", "Accept-Ranges"} {
		if vv := res.Header[key]; len(vv) == 1 && len(vv[0]) <= maxField {
			h[key] = []string{vv[0]}
		}
	}
	if res.ContentLength >= 0 && !res.Uncompressed && code != http.StatusNotModified && code != http.StatusNoContent {
		h.Set("Content-Length", strconv.FormatInt(res.ContentLength, 10))
	}
	d.flushHead()
	if d.r.Method == http.MethodHead || code == http.StatusNotModified || code == http.StatusNoContent {
		return d.outcome(nil)
	}
	return d.outcome(d.copy(res))
}

func (d *delivery) copy(res *http.Response) error {
	buf := copies.Get().(*[]byte)
	defer copies.Put(buf)
	for empty := 0; ; {
		n, err := res.Body.Read(*buf)
		d.c.fetched.Add(int64(n))
		if n > 0 {
			empty = 0
			if err := d.write((*buf)[:n]); err != nil {
				return err
			}
			if n < len(*buf) { // it may be live
				d.idle()
			}
		} else if empty++; empty > maxEmptyReads && err == nil {
			err = io.ErrNoProgress
		}
		switch {
		case err == io.EOF && res.ContentLength >= 0 && !res.Uncompressed && d.n != res.ContentLength:
			return &lieError{fmt.Sprintf("%d bytes of %d", d.n, res.ContentLength)}
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("cache: reading from the origin: %w", err)
		}
	}
}
