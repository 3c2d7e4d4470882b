package origin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// front forwards as the edge does.
func front(t testing.TB, o *Origin, edit func(*http.Response)) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := o.Object(r.URL.Path, "").Forward(w, r, edit)
		if errors.Is(err, ErrHeadSent) {
			panic(http.ErrAbortHandler)
		}
		if e, ok := errors.AsType[*Error](err); ok {
			w.WriteHeader(e.Status())
		}
	}))
	server.Config.ErrorLog = discardLog
	t.Cleanup(server.Close)
	return server
}

func TestRangesAndConditionsComeBackAsTheOriginAnswersThem(t *testing.T) {
	s := newStore(t, media(megabyte))
	server := front(t, made(t, Config{Endpoints: at(s.URL)}), nil)
	past, future := "Fri, 01 May 2020 12:00:00 GMT", "Fri, 01 May 2037 12:00:00 GMT"
	for _, send := range []http.Header{
		{}, {"Range": {"bytes=0-1"}}, {"Range": {"bytes=100-"}}, {"Range": {"bytes=-100"}}, {"Range": {"bytes=1048575-"}}, {"Range": {"bytes=1048576-"}}, {"Range": {"bytes=0-999999999"}},
		{"Range": {"bytes=0-0"}, "If-Range": {`"v1"`}}, {"Range": {"bytes=0-0"}, "If-Range": {`"v0"`}},
		{"If-None-Match": {`"v1"`}}, {"If-None-Match": {`"v0"`}}, {"If-None-Match": {`*`}}, {"If-Match": {`"v1"`}}, {"If-Match": {`"v0"`}}, {"If-Match": {`*`}},
		{"If-Modified-Since": {future}}, {"If-Modified-Since": {past}}, {"If-Unmodified-Since": {past}}, {"If-Unmodified-Since": {future}}, {"Range": {"bytes=5-9"}, "If-Match": {`"v1"`}, "If-None-Match": {`"v0"`}},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			direct, through := get(t, method, s.URL, send), get(t, method, server.URL, send)
			if method == "HEAD" && send.Get("Range") != "" { // net/http's file server is one that does not ignore it
				direct = get(t, method, s.URL, nil)
			}
			if direct.StatusCode >= 400 {
				direct.Header.Del("X-Content-Type-Options")
			}
			direct.Header.Del("Date")
			through.Header.Del("Date")
			if direct.StatusCode != through.StatusCode || !reflect.DeepEqual(direct.Header, through.Header) || !bytes.Equal(direct.body, through.body) || direct.ContentLength != through.ContentLength {
				t.Errorf("%s %v:\n%d %v %d\n%d %v %d", method, send, direct.StatusCode, direct.Header, len(direct.body), through.StatusCode, through.Header, len(through.body))
			}
		}
	}
}

func TestSeveralRangesComeBackInOneBody(t *testing.T) {
	s := newStore(t, media(1000))
	server := front(t, made(t, Config{Endpoints: at(s.URL)}), nil)
	g := get(t, "GET", server.URL, http.Header{"Range": {"bytes=0-1,10-11"}})
	if g.StatusCode != 206 || !strings.HasPrefix(g.Header.Get("Content-Type"), "multipart/byteranges; boundary=") || strings.Count(string(g.body), "Content-Range") != 2 {
		t.Errorf("%d %v %q", g.StatusCode, g.Header, g.body)
	}
	if g := get(t, "GET", server.URL, http.Header{"Range": {"bytes=" + strings.Repeat("1-1,", 16) + "2-2"}}); g.StatusCode != 200 || len(g.body) != 1000 {
		t.Errorf("%d, %d bytes", g.StatusCode, len(g.body))
	}
}

func get(t *testing.T, method, url string, h http.Header) got {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range h {
		r.Header[name] = values
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	res.Header.Del("Connection")
	return got{res, body, err}
}

func TestTheHeadCanBeEditedBeforeItIsSent(t *testing.T) {
	s := newStore(t, media(10))
	server := front(t, made(t, Config{Endpoints: at(s.URL)}), func(res *http.Response) {
		res.Header.Set("Content-Type", "video/mp2t")
		res.Header.Del("Etag")
	})
	if g := get(t, "GET", server.URL, nil); g.Header.Get("Content-Type") != "video/mp2t" || g.Header.Get("Etag") != "" || len(g.body) != 10 {
		t.Errorf("%v", g.Header)
	}
}

func TestABodyThatIsCutNeverLooksWhole(t *testing.T) {
	for name, head := range map[string]func(http.Header){
		"known length":   func(http.Header) {},
		"unknown length": func(h http.Header) { h.Del("Content-Length") },
	} {
		s := newStore(t, media(50000))
		s.tell(func(w http.ResponseWriter, r *http.Request) { s.dying(20000)(liar{w, head}, r) })
		g := get(t, "GET", front(t, made(t, Config{Endpoints: at(s.URL)}), nil).URL, nil)
		if g.err == nil || !bytes.HasPrefix(s.content, g.body) {
			t.Errorf("%s: %d bytes and a clean end", name, len(g.body))
		}
	}
}

func TestAnErrorBeforeTheHeadIsTheCallersToAnswer(t *testing.T) {
	g := get(t, "GET", front(t, made(t, Config{Endpoints: at(nobody(t))}), nil).URL, nil)
	if g.StatusCode != 502 {
		t.Errorf("%d", g.StatusCode)
	}
}

func TestABodyOfUnknownLengthIsPassedOnAsItComes(t *testing.T) {
	s := newStore(t, nil)
	next := make(chan struct{})
	s.tell(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			fmt.Fprint(w, i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	server := front(t, made(t, Config{Endpoints: at(s.URL)}), nil)
	res, err := http.Get(server.URL + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	for i := range 3 { // each is sent only after the one before has come through
		p := make([]byte, 1)
		if _, err := io.ReadFull(res.Body, p); err != nil || p[0] != byte('0'+i) {
			t.Fatalf("%q, %v", p, err)
		}
		next <- struct{}{}
	}
	if _, err := res.Body.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}
