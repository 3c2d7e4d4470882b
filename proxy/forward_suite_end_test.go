package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

var endTests = map[string]func(*testing.T, Forwarder){
	"an event stream with a coding is cut and nothing is added": testCodedEventsEnd,
}

// stored is the beginning of a gzip stream that ends with text as it is.
func stored(t *testing.T, text string) string {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	must(t, err)
	_, err = io.WriteString(z, text)
	must(t, err)
	must(t, z.Flush())
	head, _, found := strings.Cut(b.String(), text)
	equal(t, "stored", found, true)
	return head + text
}

func testCodedEventsEnd(t *testing.T, fw Forwarder) {
	const event = "data: x\n\n"
	for _, c := range []struct {
		coding, sent string
		ends         bool
	}{
		{"", event, true}, {"identity", event, true}, {"Identity", "", true},
		{"gzip", stored(t, event), false}, {"gzip", "", false}, {"br", event, false}, {"identity, gzip", "", false},
	} {
		f := newFront(t, fw, upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", c.coding)
			_, _ = io.WriteString(w, c.sent)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})).start(t, frontH1)
		r, err := http.NewRequest(http.MethodGet, f.server.URL, nil)
		must(t, err)
		r.Header.Set("Accept-Encoding", "gzip, br") // or clients decode it
		res, err := f.server.Client().Do(r)
		must(t, err)
		t.Cleanup(func() { res.Body.Close() })
		got := make([]byte, len(c.sent))
		_, err = io.ReadFull(res.Body, got)
		must(t, err)
		equal(t, c.coding+": what comes", string(got), c.sent)
		equal(t, c.coding+": asked to end", receive(t, f.exchanges).End(errEvicted, patience), true)
		rest, err := io.ReadAll(res.Body)
		result := receive(t, f.results)
		if c.ends {
			equal(t, c.coding+": goodbye", strings.HasPrefix(string(rest), "retry: "), true)
			must(t, errors.Join(err, result))
			continue
		}
		equal(t, c.coding+": after it", string(rest), "")
		equal(t, c.coding+": looks cut", err != nil, true)
		equal(t, c.coding+": is cut", errors.Is(result, ErrAborted), true)
	}
}
