package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// stalling is an upstream that sends a piece of a film and then no more, but to the
// last of so many who ask. The first of them loses its connection if it is to.
type stalling struct {
	film  []byte
	stops int64
	dies  bool
	asked atomic.Int64
	over  chan struct{}
}

const stallAfter = 1 << 20

func (s *stalling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, from := s.asked.Add(1), 0
	w.Header().Set("ETag", `"v1"`)
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Type", "video/mp4")
	if text, found := strings.CutPrefix(r.Header.Get("Range"), "bytes="); found {
		text, _, _ = strings.Cut(text, "-")
		from, _ = strconv.Atoi(text)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.film)-1, len(s.film)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(s.film)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if n > s.stops {
		_, _ = w.Write(s.film[from:])
		return
	}
	_, _ = w.Write(s.film[from : from+stallAfter])
	_ = http.NewResponseController(w).Flush()
	if s.dies && n == 1 {
		panic(http.ErrAbortHandler)
	}
	select {
	case <-r.Context().Done():
	case <-s.over:
	}
}

func inflight(e *edge, c switcher.Color) int64 {
	v := e.view()
	if c == switcher.Green {
		return v.Green.Inflight
	}
	return v.Blue.Inflight
}

func TestADownloadMovesToTheOtherColorAsOftenAsItsDrainEnds(t *testing.T) {
	for name, c := range map[string]struct {
		stops int64
		dies  bool
		blue  int
	}{
		"there":                          {1, false, 1},
		"there and back":                 {2, false, 1},
		"after an upstream has died":     {2, true, 2},
		"there and back after one death": {3, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stalling{film: film(6 << 20), stops: c.stops, dies: c.dies, over: make(chan struct{})}
			defer close(s.over)
			var blue []string
			for range c.blue {
				blue = append(blue, newBackend(t, s).address)
			}
			e := newEdge(t, checkedApp(strings.Join(blue, " "), newBackend(t, s).address, "resume any_color\nevict 100"))
			e.start()
			e.healthy()
			done := make(chan error, 1)
			go func() {
				_, body, err := download(context.Background(), http.DefaultClient, "http://"+e.http+"/film.mp4", "")
				if err == nil && sha256.Sum256(body) != sha256.Sum256(s.film) {
					err = fmt.Errorf("%d wrong bytes, as it began: %v", len(body), bytes.HasPrefix(s.film, body))
				}
				done <- err
			}()
			legs := int64(1)
			if c.dies {
				legs++
			}
			to := switcher.Green
			for ; legs <= c.stops; legs++ {
				e.until("it is read there", func() bool { return s.asked.Load() == legs && inflight(e, to.Other()) == 1 })
				if out := e.cli("cutover", "app", "--to", to.String(), "--drain-timeout", "1s"); out.code != 0 {
					t.Error(out)
				}
				to = to.Other()
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			e.until("all is over", func() bool { return inflight(e, switcher.Blue)+inflight(e, switcher.Green) == 0 })
			v := e.view()
			if left := map[switcher.Color]switcher.PoolView{switcher.Blue: v.Blue, switcher.Green: v.Green}[to]; v.Active != to.Other() || !left.SafeToStop {
				t.Errorf("%+v", v)
			}
			if t.Failed() {
				e.explain()
			}
		})
	}
}
