package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

const megabyte = 1 << 20

func TestABodyWhoseEndpointDiesGoesOnFromAnotherByteForByte(t *testing.T) {
	content := media(megabyte)
	for _, c := range []struct {
		send    http.Header
		want    []byte
		first   int // of the whole, at which it dies
		request string
	}{
		{nil, content, 300000, "bytes=300000-1048575"},
		{http.Header{"Range": {"bytes=1000-"}}, content[1000:], 301000, "bytes=301000-1048575"},
		{http.Header{"Range": {"bytes=-500000"}}, content[megabyte-500000:], megabyte - 200000, "bytes=848576-1048575"},
		{http.Header{"Range": {"bytes=5-800004"}, "If-Range": {`"v1"`}}, content[5:800005], 300005, "bytes=300005-800004"},
	} {
		first, second := newStore(t, content), bucket(t, content)
		first.tell(first.dying(300000))
		o, err := New(Config{Name: "vod", Endpoints: at(first.URL, second.URL), S3: &S3{Bucket: "media", Signer: signer(t, "hush")}})
		if err != nil {
			t.Fatal(err)
		}
		clock := clock{now: now}
		o.now = func() time.Time {
			clock.add(time.Second)
			return clock.read()
		}
		run(t, o)
		g := fetch(t, o.Object("/a b", ""), "GET", c.send)
		if g.err != nil || !bytes.Equal(g.body, c.want) || g.ContentLength != int64(len(c.want)) {
			t.Errorf("%v: %d bytes, %v", c.send, len(g.body), g.err)
			continue
		}
		a, b := first.asked()[0].Header, second.asked()[0].Header
		if b.Get("Range") != c.request || b.Get("If-Match") != `"v1"` || b.Get("If-Range") != "" || b.Get("Accept-Encoding") != "identity" || len(b) != 8 {
			t.Errorf("%v", b)
		}
		if a.Get("X-Amz-Date") == b.Get("X-Amz-Date") || a.Get("Authorization") == b.Get("Authorization") {
			t.Error("the signature is not a fresh one")
		}
		s := o.Status()
		if s.Resumes != 1 || s.Bytes != uint64(len(c.want)) || s.ResumedBytes == 0 || s.ResumedBytes > s.Bytes-300000 || s.Endpoints[0].Failures != 1 || s.Endpoints[0].InFlight+s.Endpoints[1].InFlight != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestABodyGoesOnAcrossEndpointsThatDieStallOrRefuse(t *testing.T) {
	content := media(megabyte)
	stall := func(s *store) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					<-r.Context().Done()
				}
			}()
			s.dying(200000)(w, r)
		}
	}
	a, b, c := newStore(t, content), newStore(t, content), newStore(t, content)
	a.tell(stall(a))
	b.tell(b.dying(100000))
	c.tell(status(404))
	o := made(t, Config{Endpoints: at(a.URL, b.URL, c.URL), Timeouts: Timeouts{Idle: 300 * time.Millisecond}, Resume: Resume{Attempts: 16, Patience: time.Minute}})
	g := fetch(t, o.Object("/a", ""), "GET", nil)
	if g.err != nil || !bytes.Equal(g.body, content) {
		t.Errorf("%d bytes, %v", len(g.body), g.err)
	}
	if s := o.Status(); s.Refused == 0 || s.Resumes < 3 || s.Cut != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAnOnlyEndpointIsAskedForTheRestItself(t *testing.T) {
	content := media(megabyte)
	s := newStore(t, content)
	s.tell(s.dying(600000))
	o := made(t, Config{Endpoints: at(s.URL)})
	if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || !bytes.Equal(g.body, content) || len(s.asked()) != 2 {
		t.Errorf("%d bytes, %v", len(g.body), g.err)
	}
}

func TestABodyThatCannotGoOnIsCutAndNeverWrong(t *testing.T) {
	content := media(megabyte)
	lying := func(change func(h http.Header)) func(s *store) http.HandlerFunc {
		return func(s *store) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { s.honest(liar{w, change}, r) }
		}
	}
	for name, c := range map[string]struct {
		second func(s *store) http.HandlerFunc
		spoil  func(c *Config, first *store)
	}{
		"another version": {func(s *store) http.HandlerFunc { s.etag = `"v2"`; return nil }, nil},
		"another version that ignores If-Match": {func(s *store) http.HandlerFunc {
			s.etag = `"v2"`
			return func(w http.ResponseWriter, r *http.Request) { r.Header.Del("If-Match"); s.honest(w, r) }
		}, nil},
		"no range": {func(s *store) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { r.Header.Del("Range"); s.honest(w, r) }
		}, nil},
		"another part": {lying(func(h http.Header) { h.Set("Content-Range", "bytes 300001-1048576/1048577") }), nil},
		"other bytes in chunks": {lying(func(h http.Header) {
			h.Del("Content-Length")
			h.Set("Content-Encoding", "br")
		}), nil},
		"gone":                  {func(*store) http.HandlerFunc { return status(404) }, nil},
		"a redirect":            {func(*store) http.HandlerFunc { return status(302) }, nil},
		"a weak tag":            {nil, func(_ *Config, first *store) { first.etag = `W/"v1"` }},
		"no attempts":           {nil, func(c *Config, _ *store) { c.Resume.Attempts = -1 }},
		"no attempt that works": {func(s *store) http.HandlerFunc { return s.dying(10) }, nil},
	} {
		first, second := newStore(t, content), newStore(t, content)
		if c.second != nil {
			second.tell(c.second(second))
		}
		config := Config{Endpoints: at(first.URL, second.URL), Resume: Resume{Attempts: 1}}
		if c.spoil != nil {
			c.spoil(&config, first)
		}
		first.tell(first.dying(300000))
		o := made(t, config)
		res, err := o.Object("/a", "").Fetch(t.Context(), "GET", nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil || errors.Is(err, io.EOF) || !bytes.HasPrefix(content, body) || len(body) < 250000 {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
		if strings.Contains(fmt.Sprint(err), "/a") || c.spoil == nil && !errors.Is(err, resume.ErrCut) {
			t.Errorf("%s: %v", name, err)
		}
		if s := o.Status(); s.Endpoints[0].InFlight+s.Endpoints[1].InFlight != 0 || c.spoil == nil && s.Cut != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// liar changes the head that is sent.
type liar struct {
	http.ResponseWriter
	change func(http.Header)
}

func (l liar) WriteHeader(code int) {
	l.change(l.Header())
	l.ResponseWriter.WriteHeader(code)
}

func TestAClientThatLeavesEndsTheSearchForAContinuation(t *testing.T) {
	first, second := newStore(t, media(megabyte)), newStore(t, nil)
	arrived := make(chan struct{}, 1)
	first.tell(first.dying(300000))
	second.tell(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	o := made(t, Config{Endpoints: at(first.URL, second.URL)})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-arrived
		leave()
	}()
	res, err := o.Object("/a", "").Fetch(ctx, "GET", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = res.Body.Close()
	if s := o.Status(); s.Endpoints[1].Failures != 0 || s.Cut != 0 || s.Endpoints[1].InFlight != 0 {
		t.Errorf("%+v", s)
	}
}
