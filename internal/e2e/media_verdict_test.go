package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
)

// throw sends raw bytes on a connection of their own, and returns what comes back.
func throw(t testing.TB, address, raw string) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, closes := strings.CutSuffix(raw, shut)
	go func() {
		_, _ = io.WriteString(conn, raw) // the edge may have had enough of it
		if closes {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	answer, err := io.ReadAll(conn)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Errorf("%.200q: no end of the answer", raw)
	}
	return answer
}

// verdict says what came of a request: no, app, none, "media <path>", "part
// <path>" or "redirect <path>" for what is as it has to be, else what is wrong.
// All answers on the connection count.
func (g *target) verdict(method string, answer []byte) string {
	found := no
	in := bufio.NewReader(bytes.NewReader(answer))
	for first := true; ; first = false {
		if _, err := in.Peek(1); err != nil {
			return found
		}
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return "an answer that cannot be read: " + err.Error()
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return cut
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		one := g.one(method, res, body)
		if first || one != no {
			found = one
		}
	}
}

func (g *target) one(method string, res *http.Response, body []byte) string {
	for name := range res.Header {
		if strings.HasPrefix(name, "X-Injected") || name == "X-Origin-Secret" || name == "Set-Cookie" {
			return "a field that must not be there: " + name
		}
	}
	if origin := res.Header["Access-Control-Allow-Origin"]; len(origin) > 0 && !slices.Equal(origin, []string{"https://player.example.com"}) {
		return fmt.Sprintf("access is allowed to %q", origin)
	}
	switch code := res.StatusCode; {
	case code >= 400:
		if bytes.Contains(body, []byte("X-Injected")) {
			return "an error that says what was asked"
		}
		return no
	case code == http.StatusNoContent, code == http.StatusNotModified, method == http.MethodOptions && len(body) == 0:
		return none
	case code >= 300:
		return redirected(res.Header["Location"])
	case code == http.StatusPartialContent:
		return g.part(res, body)
	case code == http.StatusOK && string(body) == app:
		return app
	case code == http.StatusOK && method == http.MethodHead:
		for p, object := range g.objects {
			if res.ContentLength == int64(len(object)) {
				return "media " + p
			}
		}
	case code == http.StatusOK:
		for p, object := range g.objects {
			if bytes.Equal(object, body) {
				return "media " + p
			}
		}
	}
	return fmt.Sprintf("status %d with a body of %d bytes: %.100q", res.StatusCode, len(body), body)
}

// redirected is the path that a signed redirect leads to.
func redirected(locations []string) string {
	if len(locations) != 1 {
		return fmt.Sprintf("%d fields Location", len(locations))
	}
	u, err := url.Parse(locations[0])
	if err != nil || u.Scheme != "https" || u.Host != "cdn.example.com" || u.User != nil || u.Fragment != "" || !strings.HasPrefix(locations[0], "https://cdn.example.com/base/") {
		return "a redirect to " + locations[0]
	}
	p, err := plainpath.Canonical(u.EscapedPath())
	query, _ := url.ParseQuery(u.RawQuery)
	token := query.Get("__token__")
	if err != nil || len(query) != 1 || !strings.Contains(token, "~hmac=") || strings.Contains(token, "acl=") {
		return "a redirect to " + locations[0]
	}
	return "redirect " + strings.TrimPrefix(p, "/base")
}

// part finds the object that each of the parts is of.
func (g *target) part(res *http.Response, body []byte) string {
	kind, parameters, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "multipart/byteranges" {
		return g.slice(res.Header.Get("Content-Range"), body)
	}
	found := ""
	for parts := multipart.NewReader(bytes.NewReader(body), parameters["boundary"]); ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			return found
		}
		if err != nil {
			return "parts that cannot be read: " + err.Error()
		}
		content, _ := io.ReadAll(p)
		if found = g.slice(p.Header.Get("Content-Range"), content); !strings.HasPrefix(found, "part ") {
			return found
		}
	}
}

func (g *target) slice(contentRange string, body []byte) string {
	var first, last, size int
	if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size); err == nil {
		for p, object := range g.objects {
			if len(object) == size && first <= last && last < size && bytes.Equal(object[first:last+1], body) {
				return "part " + p
			}
		}
	}
	return fmt.Sprintf("a part %q with %d bytes of nothing that is known", contentRange, len(body))
}
