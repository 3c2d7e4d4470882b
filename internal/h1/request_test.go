package h1

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// sent is what a request without content looks like.
func sent(t *testing.T, r *Request) string {
	t.Helper()
	s := &script{}
	must(t, NewConn(s, Limits{}).WriteHead(r))
	return s.heard.String()
}

func TestWhatCouldSplitIsRefusedBeforeAByteIsSent(t *testing.T) {
	bad := map[string]func(r *Request){
		"no method":                          func(r *Request) { r.Method = "" },
		"a method with a space":              func(r *Request) { r.Method = "GET /x" },
		"a method with CRLF":                 func(r *Request) { r.Method = "GET\r\n" },
		"a method with a colon":              func(r *Request) { r.Method = "X:" },
		"CONNECT":                            func(r *Request) { r.Method = "CONNECT" },
		"no target":                          func(r *Request) { r.Target = "" },
		"a target with a space":              func(r *Request) { r.Target = "/ HTTP/1.1" },
		"a target with CRLF":                 func(r *Request) { r.Target = "/\r\nX: y" },
		"a target with LF":                   func(r *Request) { r.Target = "/\nX: y" },
		"a target with CR":                   func(r *Request) { r.Target = "/\rX: y" },
		"a target with a tab":                func(r *Request) { r.Target = "/\t" },
		"a target with NUL":                  func(r *Request) { r.Target = "/\x00" },
		"a target with DEL":                  func(r *Request) { r.Target = "/\x7f" },
		"a target in absolute-form":          func(r *Request) { r.Target = "http://b.example/" },
		"a target in authority-form":         func(r *Request) { r.Target = "b.example:80" },
		"a host with CRLF":                   func(r *Request) { r.Host = "a\r\nX: y" },
		"a host with a space":                func(r *Request) { r.Host = "a b" },
		"a host with a user":                 func(r *Request) { r.Host = "u@a" },
		"a host with a slash":                func(r *Request) { r.Host = "a/b" },
		"a host with a backslash":            func(r *Request) { r.Host = "a\\b" },
		"a host with NUL":                    func(r *Request) { r.Host = "a\x00" },
		"a host beyond ASCII":                func(r *Request) { r.Host = "ä" },
		"a value with CRLF":                  func(r *Request) { r.Header = http.Header{"X": {"a\r\nY: b"}} },
		"a value with LF":                    func(r *Request) { r.Header = http.Header{"X": {"a\nb"}} },
		"a value with CR":                    func(r *Request) { r.Header = http.Header{"X": {"a\rb"}} },
		"a value with NUL":                   func(r *Request) { r.Header = http.Header{"X": {"a\x00b"}} },
		"a value with an escape":             func(r *Request) { r.Header = http.Header{"X": {"\x1b"}} },
		"a value with CRLF at its end":       func(r *Request) { r.Header = http.Header{"X": {"a\r\n"}} },
		"a second value with CRLF":           func(r *Request) { r.Header = http.Header{"X": {"a", "b\r\n\r\n"}} },
		"no name":                            func(r *Request) { r.Header = http.Header{"": {"a"}} },
		"a name with a colon":                func(r *Request) { r.Header = http.Header{"X:": {"a"}} },
		"a name with a space":                func(r *Request) { r.Header = http.Header{"X ": {"a"}} },
		"a name with CRLF":                   func(r *Request) { r.Header = http.Header{"X\r\nY": {"a"}} },
		"a name with LF":                     func(r *Request) { r.Header = http.Header{"X\n": {"a"}} },
		"a name with NUL":                    func(r *Request) { r.Header = http.Header{"X\x00": {"a"}} },
		"a name beyond ASCII":                func(r *Request) { r.Header = http.Header{"Content-\u212aength": {"a"}} },
		"a pseudo-header":                    func(r *Request) { r.Header = http.Header{":path": {"/"}} },
		"a TE behind white space":            func(r *Request) { r.Header = http.Header{" Transfer-Encoding": {"chunked"}} },
		"a TE before white space":            func(r *Request) { r.Header = http.Header{"Transfer-Encoding ": {"chunked"}} },
		"a value to set with CRLF":           func(r *Request) { r.Set = []Field{{"X", "a\r\n"}} },
		"a name to set with CRLF":            func(r *Request) { r.Set = []Field{{"X\r\n", "a"}} },
		"a length to set":                    func(r *Request) { r.Set = []Field{{"Content-Length", "5"}} },
		"a TE to set":                        func(r *Request) { r.Set = []Field{{"transfer-encoding", "chunked"}} },
		"a Host to set":                      func(r *Request) { r.Set = []Field{{"HOST", "b"}} },
		"a Connection to set":                func(r *Request) { r.Set = []Field{{"Connection", "close"}} },
		"a negative length":                  func(r *Request) { r.Length = -2 },
		"an upgrade with content":            func(r *Request) { r.Upgrade, r.Length = "websocket", 5 },
		"an upgrade with CRLF":               func(r *Request) { r.Upgrade = "a\r\n" },
		"trailers without chunks":            func(r *Request) { r.Trailers, r.Length = []string{"X"}, 5 },
		"a trailer's name with CRLF":         func(r *Request) { r.Trailers, r.Length = []string{"X\r\n"}, -1 },
		"a trailer's name with a comma":      func(r *Request) { r.Trailers, r.Length = []string{"X, Content-Length"}, -1 },
		"a Connection with very many fields": func(r *Request) { r.Header = http.Header{"Connection": {strings.Repeat("a,", 64)}} },
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			r := *get
			spoil(&r)
			s := &script{say: "HTTP/1.1 204 N\r\n\r\n"}
			c := NewConn(s, Limits{})
			failed(t, c.WriteHead(&r), StageRefused, KindMalformed, "")
			equal(t, "bytes sent", s.heard.Len(), 0)
			equal(t, "reusable", c.Reusable(), true)
			must(t, c.WriteHead(get)) // nothing of the other is left
			equal(t, "sent", s.heard.String(), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		})
	}
}

func TestFieldsOfTheConnectionStayBehind(t *testing.T) {
	h := http.Header{
		"X-Kept": {" a ", "b"}, "Connection": {"X-Listed, keep-alive", "x-also"}, "X-Listed": {"a"}, "X-Also": {"a"},
		"Keep-Alive": {"a"}, "Proxy-Connection": {"a"}, "Te": {"gzip, trailers"}, "Trailer": {"a"}, "Transfer-Encoding": {"chunked"},
		"Upgrade": {"h2c"}, "Proxy-Authorization": {"a"}, "Http2-Settings": {"a"}, "Content-Length": {"99"}, "Host": {"b"}, "Expect": {"100-continue"},
		"transfer-encoding": {"chunked"}, "Transfer_Encoding": {"chunked"}, "content_length": {"5"}, "X-Omitted": {"a"},
		"X-Forwarded-For": {"spoofed"}, "x_forwarded_for": {"spoofed"}, "X-None": {}, "X-Empty": {""},
	}
	got := sent(t, &Request{Method: "GET", Target: "/a?b=ü", Host: "a.example:8080", Header: h,
		Omit: func(name string) bool { return name == "X-Omitted" },
		Set:  []Field{{"X-Forwarded-For", "192.0.2.1"}, {"Via", "1.0 a"}, {"Via", "1.1 b"}}})
	lines := strings.Split(got, "\r\n")
	slices.Sort(lines[2:])
	equal(t, "sent", strings.Join(lines, "\n"), strings.Join([]string{
		"GET /a?b=ü HTTP/1.1", "Host: a.example:8080", "", "", "Connection: TE", "TE: trailers", "Via: 1.0 a", "Via: 1.1 b",
		"X-Empty: ", "X-Forwarded-For: 192.0.2.1", "X-Kept: a", "X-Kept: b"}, "\n"))
}

func TestHeadsSayWhatFollows(t *testing.T) {
	const get, host = "GET / HTTP/1.1\r\n", "Host: a\r\n"
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{Method: "GET"}, get + host + "\r\n"},
		{Request{Method: "POST"}, "POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n"},
		{Request{Method: "DELETE"}, "DELETE / HTTP/1.1\r\n" + host + "\r\n"},
		{Request{Method: "GET", Close: true}, get + host + "Connection: close\r\n\r\n"},
		{Request{Method: "GET", Upgrade: "websocket"}, get + host + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
		{Request{Method: "GET", Upgrade: "websocket", Close: true, Header: http.Header{"Te": {"trailers"}}},
			get + host + "TE: trailers\r\nUpgrade: websocket\r\nConnection: Upgrade, TE, close\r\n\r\n"},
		{Request{Method: "PUT", Length: 5, Expect: true}, "PUT / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"},
		{Request{Method: "GET", Expect: true}, get + host + "\r\n"},
		{Request{Method: "PUT", Length: -1, Expect: true, Trailers: []string{"X-A", "Host", "X-B"}},
			"PUT / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\nTrailer: X-B\r\n\r\n"},
	} {
		c.r.Target, c.r.Host = "/", "a"
		equal(t, c.r.Method, sent(t, &c.r), c.want)
	}
}

func TestContentIsFramedExactly(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a.example\r\n"
	long := strings.Repeat("x", wholePiece)
	for name, c := range map[string]struct {
		length int64
		pieces []string
		want   string
		fails  string
	}{
		"in one piece":     {5, []string{"hello"}, "Content-Length: 5\r\n\r\nhello", ""},
		"in several":       {5, []string{"he", "", "llo"}, "Content-Length: 5\r\n\r\nhello", ""},
		"a long one":       {wholePiece, []string{long}, "Content-Length: 32768\r\n\r\n" + long, ""},
		"chunked":          {-1, []string{"he", "", "llo"}, "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", ""},
		"chunked, empty":   {-1, nil, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
		"chunked and long": {-1, []string{long + "y"}, "Transfer-Encoding: chunked\r\n\r\n8000\r\n" + long + "\r\n1\r\ny\r\n0\r\n\r\n", ""},
		"too short":        {5, []string{"hell"}, "Content-Length: 5\r\n\r\nhell", "less content"},
		"nothing":          {5, nil, "", "less content"},
		"too long":         {5, []string{"hello", "!"}, "Content-Length: 5\r\n\r\nhello", "more content"},
		"too long at once": {5, []string{"hello!"}, "", "more content"},
		"where none is":    {0, []string{"hello"}, "Content-Length: 0\r\n\r\n", "where there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{say: "HTTP/1.1 204 N\r\n\r\n"}
			conn := NewConn(s, Limits{})
			must(t, conn.WriteHead(&Request{Method: "POST", Target: "/", Host: "a.example", Length: c.length}))
			var err error
			for _, piece := range c.pieces {
				if _, err = conn.Write([]byte(piece)); err != nil {
					break
				}
			}
			if err == nil {
				err = conn.End(nil)
			}
			if c.fails == "" {
				must(t, err)
			} else {
				failed(t, err, StageSending, KindMisuse, c.fails)
				_, _ = conn.ReadHead(nil, nil)
				equal(t, "reusable", conn.Reusable(), false)
				failed(t, conn.End(nil), StageSending, KindMisuse, c.fails)
			}
			got := s.heard.String()
			if c.want != "" {
				got = strings.TrimPrefix(got, head)
			}
			equal(t, "sent", got, c.want)
		})
	}
}

func TestATrailerHasOnlyWhatWasAnnounced(t *testing.T) {
	s := &script{}
	c := NewConn(s, Limits{})
	must(t, c.WriteHead(&Request{Method: "POST", Target: "/", Length: -1, Trailers: []string{"X-A", "Content-Length"}}))
	must(t, c.End(http.Header{"X-A": {"1", "2"}, "X-B": {"3"}, "Content-Length": {"4"}}))
	_, body, _ := strings.Cut(s.heard.String(), "\r\n\r\n")
	equal(t, "sent", body, "0\r\nX-A: 1\r\nX-A: 2\r\n\r\n")

	s = &script{}
	c = NewConn(s, Limits{})
	must(t, c.WriteHead(&Request{Method: "POST", Target: "/", Length: -1, Trailers: []string{"X-A"}}))
	failed(t, c.End(http.Header{"X-A": {"1\r\n\r\nGET / HTTP/1.1"}}), StageSending, KindMisuse, "control character")
	equal(t, "bytes sent", s.heard.Len(), 0)
}

// What is sent is one request, and the one that was meant.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/", "a.example", "X-A", "b", "X-B", "c", []byte("hello"), int8(0))
	f.Add("POST", "/a?b", "a:80", "Connection", "X-B", "X-B", "c", []byte("hello"), int8(1))
	f.Add("POST", "/a?b", "a:80", "Transfer-Encoding", "chunked", "Content_Length", "3", []byte("0\r\n\r\nGET / HTTP/1.1\r\n\r\n"), int8(2))
	f.Add("PUT", "*", "[::1]:80", "Host", "b", "Te", "trailers", []byte(""), int8(2))
	f.Add("OPTIONS", "*", "", "Expect", "100-continue", "Upgrade", "h2c", []byte(""), int8(0))
	f.Fuzz(func(t *testing.T, method, target, host, n1, v1, n2, v2 string, content []byte, framing int8) {
		r := Request{Method: method, Target: target, Host: host, Header: http.Header{n1: {v1}, n2: {v2}}, Set: []Field{{"Via", "1.1 x"}}}
		switch framing {
		case 1:
			r.Length = int64(len(content))
		case 2:
			r.Length = -1
		}
		s := &script{}
		c := NewConn(s, Limits{})
		if c.WriteHead(&r) != nil {
			equal(t, "bytes sent", s.heard.Len(), 0)
			return
		}
		if r.Length != 0 {
			_, err := c.Write(content)
			must(t, err)
		} else {
			content = nil
		}
		must(t, c.End(nil))
		raw := s.heard.String()
		br := bufio.NewReader(strings.NewReader(raw))
		got, err := http.ReadRequest(br)
		if err != nil {
			// net/http refuses targets that are no URL; they do not split.
			if strings.Contains(err.Error(), "parse ") || strings.Contains(err.Error(), "invalid method") {
				return
			}
			t.Fatalf("%q: %v", raw, err)
		}
		body, err := io.ReadAll(got.Body)
		must(t, err)
		if got.Method != method || got.RequestURI != target || got.Host != host && got.URL.Host == "" || string(body) != string(content) {
			t.Fatalf("%q: got %s %s %s %q", raw, got.Method, got.RequestURI, got.Host, body)
		}
		if _, err := br.ReadByte(); err != io.EOF {
			t.Fatalf("%q: more than one request", raw)
		}
		for name := range got.Header {
			if !slices.Contains([]string{"Via", "Content-Length", "Te", "Connection", http.CanonicalHeaderKey(n1), http.CanonicalHeaderKey(n2)}, name) {
				t.Fatalf("%q: a field %q", raw, name)
			}
		}
	})
}
