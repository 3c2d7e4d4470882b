package proxy

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hostileStream is a request over HTTP/2: fields as they go over the wire, the
// content, and a trailer.
type hostileStream struct {
	fields  [][2]string
	body    string
	trailer [][2]string
	want    string
	as      string // the target as it goes on; "": as it is
}

func TestNoHTTP2ClientSmugglesARequest(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for n, c := range hostileStreams() {
			s.throwStream(t, n, c)
		}
		t.Logf("%d requests", len(hostileStreams()))
	})
}

// asked is a request by its pseudo-header fields, each but what is replaced, or
// left out by the value "-", and more fields.
func asked(replaced map[string]string, more ...[2]string) (fields [][2]string) {
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "TARGET"}} {
		if v, ok := replaced[f[0]]; ok {
			f[1] = v
		}
		if f[1] != "-" {
			fields = append(fields, f)
		}
	}
	return append(fields, more...)
}

func hostileStreams() (all []hostileStream) {
	add := func(want, body string, fields [][2]string, trailer ...[2]string) {
		all = append(all, hostileStream{fields: fields, body: body, trailer: trailer, want: want})
	}
	add(passed, "", asked(nil))
	add(passed, "hello", asked(nil))
	add(passed, smuggled, asked(nil))
	add(passed, "hello", asked(nil, [2]string{"content-length", "5"}))
	add(passed, "hello", asked(nil), [2]string{"x-t", "x"})
	add(passed, "hello", asked(map[string]string{":method": "GET"}))
	for _, end := range []string{"\r\n", "\n", "\r", "\x00", "\r\n\r\n", "\x0b", "\x7f"} {
		inject := end + "GET /smuggled HTTP/1.1" + end + "Host: localhost" + end + end
		for name, value := range map[string]string{":method": "POST", ":path": "TARGET", ":authority": "localhost", ":scheme": "https"} {
			want := stopped
			if name == ":scheme" { // which nothing is made of
				want = open
			}
			add(want, "hello", asked(map[string]string{name: value + inject}))
			add(want, "hello", asked(map[string]string{name: value + " HTTP/1.1" + inject}))
			add(want, "hello", asked(map[string]string{name: value + end}))
		}
		for _, name := range []string{"x", "content-length", "cookie", "host", "expect", "te", "x-forwarded-for", "forwarded", "via", "trailer"} {
			add(stopped, "hello", asked(nil, [2]string{name, "5" + inject}))
		}
		add(stopped, "hello", asked(nil, [2]string{"x" + end, "x"}))
		add(stopped, "hello", asked(nil, [2]string{"x: x" + inject + "y", "x"}))
		add(open, "hello", asked(nil), [2]string{"x-t", "x" + inject})
		add(open, "hello", asked(nil), [2]string{"x-t" + inject, "x"})
		add(open, "hello", asked(nil, [2]string{"trailer", "x-t"}), [2]string{"x-t", "x" + inject})
	}
	for _, path := range []string{"", "smuggled", " TARGET", "//evil.example/TARGET", "/..TARGET/../..", "TARGET%2f..", "https:/TARGET/../x", "@evil.example/smuggled", "TARGET\t"} {
		add(stopped, "hello", asked(map[string]string{":path": path}))
	}
	for path, as := range map[string]string{"TARGET x": "TARGET%20x", "TARGET HTTP/1.1": "TARGET%20HTTP/1.1", "TARGET#x": "TARGET%23x", "TARGET?": "TARGET?"} {
		add(passed, "hello", asked(map[string]string{":path": path}))
		all[len(all)-1].as = as
	}
	for _, path := range []string{"http://evil.exampleTARGET", "https://localhostTARGET"} {
		add(open, "hello", asked(map[string]string{":path": path}))
	}
	for _, method := range []string{"", "CONNECT", "TRACE", "PRI", "P OST", "POST TARGET HTTP/1.1", "POST:", "\u00c9"} {
		add(stopped, "hello", asked(map[string]string{":method": method}))
	}
	for _, authority := range []string{"evil.example", "localhost/x", "a b", "localhost:x", "", "localhost, evil.example", "localhost#", "local\\host"} {
		add(open, "hello", asked(map[string]string{":authority": authority}))
	}
	for _, name := range []string{":method", ":path", ":authority"} {
		add(stopped, "hello", asked(nil, [2]string{name, "/smuggled"}))
	}
	for _, name := range []string{":path", ":method", ":scheme"} {
		add(stopped, "hello", asked(map[string]string{name: "-"}))
	}
	addFields(add)
	return all
}

// addFields adds what fields may not be, or may not say.
func addFields(add func(want, body string, fields [][2]string, trailer ...[2]string)) {
	for _, f := range [][2]string{
		{"transfer-encoding", "chunked"}, {"transfer-encoding", "identity"}, {"connection", "close"}, {"connection", "content-length"}, {"keep-alive", "5"}, {"proxy-connection", "close"}, {"upgrade", "h2c"},
		{"Transfer-Encoding", "chunked"}, {"X-Upper", "x"}, {"x y", "x"}, {"x:", "x"}, {":x", "x"}, {"", "x"}, {" transfer-encoding", "chunked"}, {"transfer-encoding ", "chunked"}, {"content-length:", "0"}, {"\u00e9", "x"},
		{"content-length", "4"},
	} {
		add(stopped, "hello", asked(nil, f))
	}
	for _, f := range [][2]string{
		{"content-length", "0"}, {"content-length", "6"}, {"content-length", "99"}, {"content-length", "x"}, {"content-length", "+5"}, {"content-length", "-5"}, {"content-length", "5, 5"}, {"content-length", "0x5"}, {"content-length", ""}, {"content-length", "18446744073709551621"},
		{"te", "gzip"}, {"te", "trailers"}, {"te", "trailers, chunked"}, {"host", "evil.example"}, {"host", "localhost"}, {"expect", "100-continue"}, {"transfer_encoding", "chunked"}, {"content_length", "0"}, {"http2-settings", "AAMAAABk"}, {"trailer", "content-length, transfer-encoding"},
	} {
		add(open, "hello", asked(nil, f))
		add(open, "hello", asked(nil, f), [2]string{"content-length", "0"}, [2]string{"transfer-encoding", "chunked"})
	}
	add(open, "hello", asked(nil, [2]string{"content-length", "5"}, [2]string{"content-length", "0"}))
	add(open, "hello", asked(nil, [2]string{"content-length", "0"}, [2]string{"content-length", "5"}))
	add(open, smuggled, asked(nil, [2]string{"content-length", "0"}))
	add(open, "hello"+smuggled, asked(nil, [2]string{"content-length", "5"}))
	for _, name := range []string{":path", "content-length", "transfer-encoding", "host", "connection", "Upper", "x y", "x\r\n"} {
		add(open, "hello", asked(nil, [2]string{"trailer", "x, " + name}), [2]string{name, "/smuggled"})
	}
}

// throwStream sends a request on a connection of its own, with a marker request
// on a stream behind it, lets another client ask, and wants everybody to have
// answers of their own only.
func (s *siege) throwStream(t *testing.T, n int, c hostileStream) {
	t.Helper()
	name, target := fmt.Sprintf("%q %q %q", c.fields, c.body, c.trailer), fmt.Sprintf("/%d", n)
	as := s.fill(cmp.Or(c.as, "TARGET"), target)
	s.targets = append(s.targets, as, target+"/marker")
	conn, err := tls.Dial("tcp", "localhost:"+portOf(s.https), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	must(t, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	f := http2.NewFramer(conn, conn)
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	head := func(stream uint32, fields [][2]string, end bool) {
		block.Reset()
		for _, field := range fields {
			_ = encoder.WriteField(hpack.HeaderField{Name: s.fill(field[0], target), Value: s.fill(field[1], target)})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true})
	}
	_, err = conn.Write([]byte(http2.ClientPreface)) // the edge may have enough of it any time from here
	must(t, err)
	_ = f.WriteSettings()
	head(1, c.fields, c.body == "")
	if c.body != "" {
		_ = f.WriteData(1, c.trailer == nil, []byte(s.fill(c.body, target)))
	}
	if c.trailer != nil {
		head(1, c.trailer, true)
	}
	head(3, asked(map[string]string{":method": "GET", ":path": "TARGET/marker"}), true)
	for stream, answer := range answersOn(f, 1, 3) {
		want := map[uint32]string{1: as, 3: target + "/marker"}[stream]
		if a := answer.Get("X-Answer"); a != "" && a != want {
			t.Errorf("%s: the answer to %s is for %s", name, want, a)
		} else if a == "" && stream == 1 && c.want == passed {
			t.Errorf("%s: no answer: %v", name, answer)
		}
	}
	s.asks(t, name, target+"/other")
	heard := s.backend.of(as)
	switch body := s.fill(c.body, target); {
	case len(heard) > 1, c.want == stopped && slices.ContainsFunc(heard, func(r heardRequest) bool { return r.whole }), c.want == passed && len(heard) == 0:
		t.Errorf("%s: it was to be %s; the backend heard %s", name, c.want, heard)
	case len(heard) == 1 && (!strings.HasPrefix(body, heard[0].body) || c.want == passed && (!heard[0].whole || heard[0].body != body)):
		t.Errorf("%s: the backend heard %s", name, heard[0])
	}
}

// answersOn reads until streams have ended, or the connection has.
func answersOn(f *http2.Framer, streams ...uint32) map[uint32]http.Header {
	answers := make(map[uint32]http.Header)
	for ended := make(map[uint32]bool); len(ended) < len(streams); {
		frame, err := f.ReadFrame()
		if err != nil {
			break
		}
		id := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if answers[id] == nil {
				answers[id] = make(http.Header)
			}
			for _, field := range frame.RegularFields() {
				answers[id].Add(field.Name, field.Value)
			}
			answers[id].Add(":status", frame.PseudoValue("status"))
			if frame.StreamEnded() {
				ended[id] = true
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				ended[id] = true
			}
		case *http2.RSTStreamFrame:
			ended[id] = true
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return answers
			}
		}
	}
	return answers
}
