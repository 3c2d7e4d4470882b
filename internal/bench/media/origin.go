package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strconv"
	"sync/atomic"
	"time"
)

// counts are what the origin has been asked for.
type counts struct {
	Requests int64 `json:"requests"`
	Bytes    int64 `json:"bytes"` // of bodies
}

func (c counts) since(before counts) counts {
	return counts{c.Requests - before.Requests, c.Bytes - before.Bytes}
}

// origin has every object whose path can be read, with an ETag and by ranges.
type origin struct{ requests, bytes atomic.Int64 }

var contentTypes = map[string]string{".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mp4": "video/mp4"}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	object, err := objectAt(r.URL.Path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	o.requests.Add(1)
	h := w.Header()
	h.Set("Content-Type", contentTypes[path.Ext(r.URL.Path)])
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Etag", strconv.Quote(strconv.FormatInt(object.start, 36)+"-"+strconv.FormatInt(object.size, 36)))
	http.ServeContent(&direct{w, o}, r, "", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), &cursor{object: object})
}

// direct writes an object's bytes as they lie in memory.
type direct struct {
	http.ResponseWriter
	origin *origin
}

// ReadFrom is for what http.ServeContent has to send of one range.
func (d *direct) ReadFrom(src io.Reader) (sent int64, err error) {
	part, ok := src.(*io.LimitedReader)
	if !ok {
		return io.Copy(d.ResponseWriter, src)
	}
	c, ok := part.R.(*cursor)
	if !ok {
		return io.Copy(d.ResponseWriter, src)
	}
	defer func() { d.origin.bytes.Add(sent) }()
	for part.N > 0 {
		n, err := d.Write(c.at(c.pos, part.N))
		c.pos, part.N, sent = c.pos+int64(n), part.N-int64(n), sent+int64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// serveOrigin is the origin's process. It says where it listens, and then for
// each line that it reads what it has been asked for so far.
func serveOrigin(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o := new(origin)
	server := &http.Server{Handler: o}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	say := json.NewEncoder(out)
	if err := say.Encode(l.Addr().String()); err != nil {
		return err
	}
	for ask := json.NewDecoder(in); ; {
		var nothing struct{}
		if err := ask.Decode(&nothing); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("what the origin was asked: %w", err)
		}
		if err := say.Encode(counts{o.requests.Load(), o.bytes.Load()}); err != nil {
			return err
		}
	}
}
