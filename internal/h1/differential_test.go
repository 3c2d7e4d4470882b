package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// The corpus is also a list of where h1 and net/http differ, all in one direction.
func TestWhatIsTakenNetHTTPTakesToo(t *testing.T) {
	stricter := 0
	for _, c := range responses {
		if likeNetHTTP(t, []byte(c[1]), strings.HasPrefix(c[0], "HEAD")) {
			stricter++
		}
	}
	t.Logf("h1 refuses %d of %d that net/http takes", stricter, len(responses))
}

func FuzzResponse(f *testing.F) {
	for _, c := range responses {
		if len(c[1]) < 2048 {
			f.Add([]byte(c[1]), strings.HasPrefix(c[0], "HEAD"))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) { likeNetHTTP(t, raw, head) })
}

// likeNetHTTP wants net/http to take what h1 takes, and to agree on it. It
// reports whether net/http takes what h1 does not.
func likeNetHTTP(t *testing.T, raw []byte, head bool) (stricter bool) {
	t.Helper()
	r := *get
	if head {
		r.Method = "HEAD"
	}
	ours := func(piece, size int) (res Response, body []byte, c *Conn, err error) {
		c = NewConn(&script{say: string(raw), piece: piece}, Limits{})
		must(t, c.WriteHead(&r))
		if res, err = c.ReadHead(nil, nil); err != nil {
			return
		}
		for p := make([]byte, size); ; {
			n, err := c.Read(p)
			body = append(body, p[:n]...)
			if err == io.EOF {
				return res, body, c, nil
			}
			if err != nil {
				return res, body, c, err
			}
		}
	}
	res, body, c, err := ours(0, 4096)
	small, smallBody, _, smallErr := ours(1, 3)
	if (err == nil) != (smallErr == nil) || res.Status != small.Status || !bytes.Equal(body, smallBody) {
		t.Fatalf("%q: whole %v %q %v, in pieces %v %q %v", raw, res, body, err, small, smallBody, smallErr)
	}

	br := bufio.NewReaderSize(bytes.NewReader(raw), 128<<10)
	theirs, terr := http.ReadResponse(br, &http.Request{Method: r.Method})
	for terr == nil && theirs.StatusCode < 200 && theirs.StatusCode != 101 {
		theirs, terr = http.ReadResponse(br, &http.Request{Method: r.Method})
	}
	var theirBody []byte
	if terr == nil {
		theirBody, terr = io.ReadAll(theirs.Body)
	}
	if err != nil {
		return terr == nil
	}
	if terr != nil {
		t.Fatalf("%q: we take it, net/http says %v", raw, terr)
	}
	if theirs.StatusCode != res.Status || !bytes.Equal(theirBody, body) {
		t.Fatalf("%q: ours %d %q, theirs %d %q", raw, res.Status, body, theirs.StatusCode, theirBody)
	}
	sameFields(t, raw, plainFields(res.Header, res.Status), plainFields(theirs.Header, res.Status))
	sameFields(t, raw, c.Trailer(), theirs.Trailer)
	if n := theirs.ContentLength; !head && res.Status != 304 && res.Status != 204 && n != res.Length {
		t.Fatalf("%q: length %d, theirs %d", raw, res.Length, n)
	}
	return false
}

// plainFields leaves out what net/http takes out of a header, or puts in.
func plainFields(h http.Header, status int) http.Header {
	h = h.Clone()
	for _, name := range []string{"Transfer-Encoding", "Trailer", "Connection", "Cache-Control"} {
		delete(h, name)
	}
	if status == 204 {
		delete(h, "Content-Length")
	}
	return h
}

func sameFields(t *testing.T, raw []byte, ours, theirs http.Header) {
	t.Helper()
	for name, values := range theirs {
		if values != nil && !reserved(name) && strings.Join(ours[name], "\x00") != strings.Join(values, "\x00") {
			t.Fatalf("%q: %s is %q, theirs %q", raw, strconv.Quote(name), ours[name], values)
		}
	}
	for name := range ours {
		if _, ok := theirs[name]; !ok {
			t.Fatalf("%q: %s is ours alone", raw, strconv.Quote(name))
		}
	}
}
