package livestream

import (
	"fmt"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck/hls"
	"github.com/greenroom-proxy/greenroom/internal/ask"
)

// stream is one path, wherever it is looked at.
type stream struct {
	path    string
	air     air
	watched []*watch // at the target's upstreams
}

// watch is one stream at one upstream of the target. It keeps no look: a playlist
// can be long, and who serves it is not trusted with this process's memory.
type watch struct {
	address string
	trail   hls.Trail
	// Of the latest look:
	target     time.Duration
	tracks     int
	wrong, odd tally
	final      string // of what is wrong, the first that no waiting makes good
}

// note judges a look, beside one at the color on air if there is one.
func (w *watch) note(path string, look, onAir *hls.Look, limits hls.Limits) {
	w.trail.Add(look)
	list := w.trail.Judge(look, limits)
	if onAir != nil {
		list = append(list, hls.Compare(look, onAir, limits)...)
	}
	w.target, w.tracks = look.Target(), len(look.Tracks)
	w.wrong, w.odd, w.final = tally{}, tally{}, ""
	for _, f := range list {
		text := fmt.Sprintf("%s at %s: %s", path, w.address, line(f.What))
		if !f.Fail {
			w.odd.add(text)
			continue
		}
		w.wrong.add(text)
		if f.Final && w.final == "" {
			w.final = text
		}
	}
}

// longest is how long the stream is watched.
func (s *stream) longest() (d time.Duration) {
	for _, w := range s.watched {
		d = max(d, hls.Watch(w.target))
	}
	return d
}

// tally is the first of what there is to say, and how much there is.
type tally struct {
	first string
	n     int
}

func (t *tally) add(text string) { t.join(tally{text, 1}) }

func (t *tally) join(more tally) {
	if t.n == 0 {
		t.first = more.first
	}
	t.n += more.n
}

func (t tally) String() string {
	if t.n < 2 {
		return t.first
	}
	return fmt.Sprintf("%s (and %d more)", t.first, t.n-1)
}

// line is what upstreams have a part in, as it may stand in a reason.
func line(text string) string { return ask.Line(strings.Join(strings.Fields(text), " ")) }
