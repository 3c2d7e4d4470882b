package crowd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// The live stream has segments of 2 s, and a list of 12 s.
const (
	looking = time.Second
	buffer  = 6 * time.Second // what a player has ahead at a live stream, about
)

// watch downloads the live stream, segment by segment, as a player does.
func (c *Crowd) watch(ctx context.Context) {
	who := person()
	index := "/media/live/main.m3u8"
	seen, fresh := make(map[string]bool), time.Time{}
	for ; ; pause(ctx, looking) {
		if ctx.Err() != nil {
			return
		}
		list, err := c.list(ctx, who, index)
		if err == nil && len(list) > 0 && strings.HasSuffix(list[0], ".m3u8") { // the first quality will do
			index = path.Join(path.Dir(index), list[0])
			continue
		}
		for _, name := range list {
			at := path.Join(path.Dir(index), name)
			if seen[at] {
				continue
			}
			n, err := c.download(ctx, who, at, io.Discard)
			if err != nil {
				break // the next look finds it again
			}
			seen[at], fresh = true, time.Now()
			c.count(func(r *Report) { r.Segments++; r.Bytes += int(n) })
		}
		if !fresh.IsZero() && time.Since(fresh) > buffer {
			c.count(func(r *Report) { r.Stalls++ })
			fresh = time.Now()
		}
	}
}

// list returns what a playlist names.
func (c *Crowd) list(ctx context.Context, who *http.Client, at string) (names []string, err error) {
	var text strings.Builder
	if _, err := c.download(ctx, who, at, &text); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text.String()) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	return names, nil
}

func (c *Crowd) download(ctx context.Context, who *http.Client, at string, into io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+at, nil)
	if err != nil {
		return 0, err
	}
	resp, err := who.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", at, resp.Status)
	}
	return io.Copy(into, resp.Body)
}

// listen hears what is playing, over connections that follow each other.
func (c *Crowd) listen(ctx context.Context) {
	for last := int64(-1); ; {
		last = c.events(ctx, last)
		if !pause(ctx, again) {
			return
		}
	}
}

// events reads one stream of events, and returns the number of the last.
func (c *Crowd) events(ctx context.Context, last int64) int64 {
	url := c.URL + "/api/playing"
	if last >= 0 {
		url += fmt.Sprintf("?after=%d", last)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return last
	}
	resp, err := (&http.Client{Transport: lines}).Do(req)
	if err != nil {
		return last
	}
	defer func() { _ = resp.Body.Close() }()
	text := bufio.NewScanner(resp.Body)
	for text.Scan() {
		id, ok := strings.CutPrefix(text.Text(), "id: ")
		seq, err := strconv.ParseInt(id, 10, 64)
		if !ok || err != nil {
			continue
		}
		c.count(func(r *Report) {
			r.Events++
			if last >= 0 && seq > last+1 {
				r.Lost += int(seq - last - 1)
			}
			if seq <= last {
				r.Doubled++
			}
		})
		last = seq
	}
	return last
}
