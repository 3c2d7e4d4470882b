package e2e

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hostileH2 is a request over HTTP/2, as its fields go over the wire.
type hostileH2 struct {
	fields [][2]string
	want   string
}

func (h hostileH2) method() string {
	for _, f := range h.fields {
		if f[0] == ":method" {
			return f[1]
		}
	}
	return http.MethodGet
}

// overHTTP2 is the corpus over HTTP/2: paths and fields of the other one, and
// what only HTTP/2 can say.
func overHTTP2() (all []hostileH2) {
	pseudo := func(path string, more ...[2]string) [][2]string {
		return append([][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}}, more...)
	}
	for _, p := range []struct{ prefix, kind string }{{"media", "media"}, {"cdn", "redirect"}} {
		place := strings.NewReplacer("{P}", p.prefix, "HOST", "localhost")
		for _, target := range crooked {
			if !strings.Contains(target, " ") { // which HTTP/2 can say
				all = append(all, hostileH2{pseudo(place.Replace(target)), no})
			}
		}
		media, fine := "/"+p.prefix+"/a.mp4", p.kind+" /a.mp4"
		all = append(all, []hostileH2{
			{pseudo(media, [2]string{"host", "evil.example"}), no + "|" + fine}, {pseudo(media, [2]string{":authority", "evil.example"}), no}, {pseudo(media, [2]string{":path", "/private/secret.mp4"}), no},
			{pseudo(media, [2]string{"connection", "close"}), no}, {pseudo(media, [2]string{"transfer-encoding", "chunked"}), no}, {pseudo(media, [2]string{"upgrade", "h2c"}), no},
			{pseudo(media, [2]string{"X-Upper", "x"}), no}, {pseudo(media, [2]string{"x-injected", "a\r\nx-injected: b"}), no}, {pseudo(media, [2]string{"x\r\nrange", "bytes=0-0"}), no},
			{pseudo(media, [2]string{"content-length", "10"}), no + "|" + fine}, {pseudo(media, [2]string{"te", "gzip"}), no + "|" + fine}, {pseudo(media, [2]string{"cookie", "a=b"}, [2]string{"cookie", "c=d"}), fine},
			{pseudo(media, [2]string{"range", "bytes=0-0"}, [2]string{"range", "bytes=1-1"}), fine}, {pseudo(media, [2]string{":unknown", "x"}), no},
			{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", media}}, no + "|" + fine}, {[][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}}, no},
			{[][2]string{{":method", "GET"}, {":scheme", "ftp"}, {":authority", "localhost"}, {":path", media}}, no + "|" + fine}, {[][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "user@localhost"}, {":path", media}}, no + "|" + fine},
			{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost/x"}, {":path", media}}, no + "|" + fine}, {[][2]string{{":method", "CONNECT"}, {":authority", "evil.example:443"}}, no},
			{[][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", media}}, no}, {[][2]string{{":method", "GET /x HTTP/1.1\r\nX:"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", media}}, no},
			{[][2]string{{":method", "TRACE"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", media}}, no}, {[][2]string{{":method", "DELETE"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", media}}, no},
			{[][2]string{{"range", "bytes=0-0"}, {":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", media}}, no},
		}...)
	}
	return all
}

// h2 speaks HTTP/2 by frames, on a connection of its own for each request: a
// malformed one may end it.
type h2 struct {
	t       testing.TB
	address string
}

func newH2(t testing.TB, address string) h2 { return h2{t, address} }

// throw sends a request without a body. The response is nil if there is none.
func (c h2) throw(fields [][2]string) (*http.Response, []byte) {
	c.t.Helper()
	conn, err := tls.Dial("tcp", c.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	framer := http2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = conn.Write([]byte(http2.ClientPreface))
	for _, step := range []func() error{
		func() error {
			return framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 24})
		},
		func() error { return framer.WriteWindowUpdate(0, 1<<24) },
		func() error {
			return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		},
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return c.read(framer)
}

func (c h2) read(framer *http2.Framer) (res *http.Response, body []byte) {
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return nil, nil // cut
		}
		ended := false
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if res == nil {
				res = &http.Response{Header: make(http.Header), ContentLength: -1}
			}
			for _, field := range f.Fields {
				if field.Name == ":status" {
					res.StatusCode, _ = strconv.Atoi(field.Value)
				}
				name := http.CanonicalHeaderKey(field.Name)
				res.Header[name] = append(res.Header[name], field.Value)
			}
			if n, err := strconv.ParseInt(res.Header.Get("Content-Length"), 10, 64); err == nil {
				res.ContentLength = n
			}
			ended = f.StreamEnded()
		case *http2.DataFrame:
			body = slices.Concat(body, f.Data())
			ended = f.StreamEnded()
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return nil, nil
		}
		if ended {
			return res, body
		}
	}
}
