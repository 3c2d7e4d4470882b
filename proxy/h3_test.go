package proxy

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// liveHouse has at /live a stream that ends, with a trailer, when it is told, and
// else an app that takes uploads. It waits only a moment for either side.
func liveHouse(t *testing.T) (h *house, load func(options string), end chan struct{}) {
	t.Helper()
	end = make(chan struct{})
	swallows := swallowing(t)
	live := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		firstThen(w, r, end)
		w.Header().Set("X-Sum", "1")
	})
	h = newHouse(t)
	h.secure = true
	h.globals = briefTimeouts
	load = func(options string) {
		h.load(pair("app", swallows, swallows)+pair("live", live, live, options), "blue_green /live live\nblue_green app")
		h.healthy("app", "live")
		h.certified()
	}
	load("")
	return h, load, end
}

func wholeEnd(t *testing.T, name string, res *http.Response) {
	t.Helper()
	equal(t, name+": the end", rest(res), `"" <nil>`)
	equal(t, name+": trailer", res.Trailer.Get("X-Sum"), "1")
}

func TestAStreamMayEndAfterALongSilence(t *testing.T) {
	h, _, end := liveHouse(t)
	for name, transport := range anyHTTP(t) {
		t.Run(name, func(t *testing.T) {
			res := begin(t, transport, h.url("https", "/live"))
			stall(t, h, transport) // takes the idle timeout
			stall(t, h, transport)
			end <- struct{}{}
			wholeEnd(t, name, res)
		})
	}
}

func TestStreamsOverAnyHTTPOutliveTheGracePeriodOfAReload(t *testing.T) {
	h, load, end := liveHouse(t)
	streams := make(map[string]*http.Response)
	for name, transport := range anyHTTP(t) {
		streams[name] = begin(t, transport, h.url("https", "/live"))
	}
	load("drain_timeout 7m")
	transport := http2Only(t)
	for range 9 {
		stall(t, h, transport) // more than the second of grace_period in all
	}
	for range streams {
		end <- struct{}{}
	}
	for name, res := range streams {
		wholeEnd(t, name, res)
	}
}

// openEarly opens a stream on a connection of its own, before the handshake is
// complete, if the session that config keeps allows that.
func openEarly(t *testing.T, h *house, config *tls.Config) *http3.RequestStream {
	t.Helper()
	config = config.Clone()
	config.NextProtos, config.ServerName = []string{http3.NextProtoH3}, "localhost"
	conn, err := quic.DialAddrEarly(t.Context(), "localhost:"+portOf(h.https), config, nil)
	must(t, err)
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	stream, err := new(http3.Transport).NewClientConn(conn).OpenRequestStream(t.Context())
	must(t, err)
	return stream
}

func TestABodyOverHTTP3ThatEndsEarlyIsNeverTakenForWhole(t *testing.T) {
	got := make(chan error, 16)
	upstream := upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	})
	h := secureHouse(t, pair("app", upstream, upstream))
	transport := http3Only(t)
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		res := roundTrip(t, transport, method, h.url("https", "/"), io.NopCloser(strings.NewReader("parts")), func(r *http.Request) {
			r.ContentLength = 100 // of which the client sends what there is
		})
		equal(t, method, res.StatusCode, http.StatusBadRequest)
		if receive(t, got) == nil {
			t.Errorf("%s: the upstream took the part for the whole", method)
		}
	}
	until(t, "nothing is in-flight", func() bool { return h.view("app").Blue.Inflight == 0 })
}

func TestWhatHasNoContentHasNoLengthOverHTTP3(t *testing.T) {
	upstream := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/5":
			w.Header().Set("Content-Length", "5")
		default: // as of what is sent in chunks
			_ = http.NewResponseController(w).Flush()
		}
	})
	h := secureHouse(t, pair("app", upstream, upstream))
	for name, transport := range anyHTTP(t) {
		for _, c := range []struct{ method, path, length string }{
			{http.MethodHead, "/", ""}, {http.MethodHead, "/5", "5"}, {http.MethodGet, "/304", ""}, {http.MethodGet, "/204", ""},
		} {
			res := roundTrip(t, transport, c.method, h.url("https", c.path), nil)
			equal(t, name+" "+c.method+" "+c.path+": Content-Length", res.Header.Get("Content-Length"), c.length)
		}
	}
}

func TestAClientThatWaitsToBeAskedForItsBodyIsAskedOverAnyHTTP(t *testing.T) {
	upstream := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	h := secureHouse(t, pair("app", upstream, upstream))
	for name, transport := range anyHTTP(t) {
		asked := make(chan struct{}, 8)
		body, out := io.Pipe()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got100Continue: func() { asked <- struct{}{} },
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
				if code == http.StatusContinue {
					asked <- struct{}{}
				}
				return nil
			},
		})
		go func() {
			<-asked
			_, _ = io.WriteString(out, "content")
			out.Close()
		}()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url("https", "/"), body)
		must(t, err)
		r.Header.Set("Expect", "100-continue")
		res, err := transport.RoundTrip(r)
		must(t, err)
		equal(t, name, readAll(t, res.Body), "content")
		res.Body.Close()
	}
}

func TestWhatMayBeACopyOfEarlyDataIsNotActedOn(t *testing.T) {
	seen := make(chan string, 64)
	upstream := upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Method + " " + r.Header.Get("Early-Data") })
	h := secureHouse(t, pair("app", upstream, upstream))
	config := anyCertificate()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	// The first request brings the ticket for those that come early.
	warm := &http3.Transport{TLSClientConfig: config}
	res, err := (&http.Client{Transport: warm}).Get(h.url("https", "/"))
	must(t, err)
	res.Body.Close()
	equal(t, "the first", receive(t, seen), "GET ")
	warm.Close()
	answer := func(method string) int {
		stream := openEarly(t, h, config)
		r, err := http.NewRequest(method, h.url("https", "/"), nil)
		must(t, err)
		must(t, stream.SendRequestHeader(r))
		must(t, stream.Close())
		res, err := stream.ReadResponse()
		must(t, err)
		return res.StatusCode
	}
	until(t, "a GET came early", func() bool {
		equal(t, "status of a GET", answer(http.MethodGet), http.StatusOK)
		return receive(t, seen) == "GET 1"
	})
	until(t, "a POST came early", func() bool {
		status := answer(http.MethodPost)
		if status == http.StatusOK {
			equal(t, "a POST that was forwarded", receive(t, seen), "POST ")
		}
		return status == http.StatusTooEarly
	})
}
