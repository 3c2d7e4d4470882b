package proxy

import (
	"io"
	"net/http"
	"slices"
	"testing"
)

// steps is the body of a response that comes in pieces, and notes how much room
// there was for each.
type steps struct {
	pieces []int
	room   []int
}

func (s *steps) Read(p []byte) (int, error) {
	s.room = append(s.room, len(p))
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := min(s.pieces[0], len(p))
	if s.pieces[0] -= n; s.pieces[0] == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (*steps) Close() error { return nil }

// answering is a transport that answers everything with one response.
type answering struct{ response *http.Response }

func (a answering) RoundTrip(*http.Request) (*http.Response, error) { return a.response, nil }

func TestASilentStreamHoldsNoCopyBuffer(t *testing.T) {
	const idle, whole = idleBufferSize, copyBufferSize
	for name, c := range map[string]struct {
		mime   string
		length int64
		pieces []int
		room   []int
	}{
		"events":               {"text/event-stream", -1, []int{20, 100}, []int{idle, idle, idle}},
		"a large event":        {"text/event-stream", -1, []int{3000, 5}, []int{idle, whole, whole, idle}},
		"of unknown length":    {"application/json", -1, []int{20000, 100, 7}, []int{whole, whole, idle, idle}},
		"a download, as it is": {"video/mp4", 107, []int{100, 7}, []int{whole, whole, whole}},
	} {
		t.Run(name, func(t *testing.T) {
			body := &steps{pieces: slices.Clone(c.pieces)}
			fw, err := newTransportForwarder(answering{&http.Response{
				StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, ContentLength: c.length, Body: body,
				Header: http.Header{"Content-Type": {c.mime}},
			}}, forwardOptions{})
			must(t, err)
			f := newFront(t, fw, "10.0.0.1:1").start(t, frontH1)
			res, err := http.Get("http://" + f.addr())
			must(t, err)
			defer res.Body.Close()
			sum := 0
			for _, n := range c.pieces {
				sum += n
			}
			equal(t, "bytes", len(readAll(t, res.Body)), sum)
			must(t, receive(t, f.results))
			if !slices.Equal(body.room, c.room) {
				t.Errorf("the buffers were %d, want %d", body.room, c.room)
			}
		})
	}
}
