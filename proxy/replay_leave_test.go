package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/spool"
	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAPOSTIsSentAgainByLeaveAlone(t *testing.T) {
	body := noise(200_000)
	for _, c := range []struct {
		name   string
		config string
		key    string
		leave  bool
	}{
		{"listed", "methods POST", "", true},
		{"with a key", "idempotency_key", "k", true},
		{"without the key", "idempotency_key", "", false},
		{"with a key that counts for nothing", "methods PUT", "k", false},
	} {
		for _, at := range []int64{0, 100_000, 200_000} {
			what := fmt.Sprintf("%s, dead after %d: ", c.name, at)
			keys, arrivals := make(chan string, 9), make(chan arrival, 9)
			var seen atomic.Int64
			origin := func(_ http.ResponseWriter, r *http.Request) {
				keys <- r.Header.Get("Idempotency-Key")
				if seen.Add(1) == 1 {
					_, _ = io.CopyN(io.Discard, r.Body, at)
					panic(http.ErrAbortHandler)
				}
				h := sha256.New()
				_, err := io.Copy(h, r.Body)
				arrivals <- arrival{[sha256.Size]byte(h.Sum(nil)), r.ContentLength, r.Method, err}
			}
			e := realEdge(t, serviceOf(t, "replay {\n"+c.config+"\n}"), spool.Limits{Memory: gib, AllMemory: gib}, origin, origin)
			server := e.front(t)
			r, err := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(body))
			must(t, err)
			if c.key != "" {
				r.Header.Set("Idempotency-Key", c.key)
			}
			res, err := server.Client().Do(r)
			must(t, err)
			res.Body.Close()
			equal(t, what+"key", receive(t, keys), c.key)
			if !c.leave {
				equal(t, what+"status", res.StatusCode, http.StatusBadGateway)
				equal(t, what+"upstreams", seen.Load(), 1)
				continue
			}
			equal(t, what+"status", res.StatusCode, http.StatusOK)
			equal(t, what+"upstreams", seen.Load(), 2)
			equal(t, what+"key of the second", receive(t, keys), c.key)
			equal(t, what+"arrival", receive(t, arrivals), arrival{sha256.Sum256(body), 200_000, http.MethodPost, nil})
		}
	}
}

// serviceOf is the service of a Caddyfile with one option.
func serviceOf(t *testing.T, option string) *Service {
	t.Helper()
	config, err := adapt(fmt.Sprintf("{\n\tgreenroom {\n\tservice app {\n\tblue a:1\n\tgreen b:1\n\t%s\n}\n}\n}\n", option))
	must(t, err)
	var read struct {
		Apps struct {
			Greenroom struct{ Services map[string]*Service }
		}
	}
	must(t, json.Unmarshal(config, &read))
	return read.Apps.Greenroom.Services["app"]
}

// net/http's transport has leave of its own for a request with such a key.
func TestAPOSTOnAConnectionThatDiesIsNotRepeatedByTheTransport(t *testing.T) {
	for _, field := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		for _, head := range []string{"Content-Length: 0", "Content-Length: 5\r\nExpect: 100-continue"} {
			var posts atomic.Int64
			keys := make(chan string, 9)
			addr := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
				for first := true; ; first = false {
					switch got := readHead(br); {
					case strings.HasPrefix(got, "GET"):
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
						continue
					case strings.HasPrefix(got, "POST"):
						posts.Add(1)
						_, key, _ := strings.Cut(strings.ToLower(got), "\n"+strings.ToLower(field)+": ")
						keys <- key[:min(len(key), 4)]
						if !first {
							return // as one that has acted on it, and dies
						}
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
					}
					return
				}
			})
			f := newFront(t, transportForwarderOf(t, nil), addr).start(t, frontH1)
			get(t, f, "/")
			must(t, receive(t, f.results))
			c, br := dialRaw(t, f.addr())
			send(t, c, "POST / HTTP/1.1\r\nHost: x\r\n"+field+": key\r\n"+head+"\r\n\r\n")
			equal(t, head+": status", strings.Fields(readHead(br) + " . .")[1], "502")
			attemptError(t, receive(t, f.results), StageSent)
			equal(t, head+": POSTs", posts.Load(), 1)
			equal(t, field, receive(t, keys), "key\r")
		}
	}
}

func TestAnUploadIsSentAgainToTheColorOfAFlip(t *testing.T) {
	body := noise(150_000)
	halfway, flipped := make(chan struct{}), make(chan struct{})
	blue, blues := counting(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 50_000)
		close(halfway)
		<-flipped
		panic(http.ErrAbortHandler)
	})
	green, arrivals := taking(t)
	h := newHouse(t)
	h.load(pair("app", blue, green, "replay {\nmemory 256KiB\n}", "color_header X-Color"), "blue_green app")
	h.healthy("app")
	pr, pw := io.Pipe()
	go func() {
		_, _ = pw.Write(body[:100_000])
		<-flipped
		_, _ = pw.Write(body[100_000:])
		pw.Close()
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+h.http+"/", pr)
	must(t, err)
	answered := make(chan *http.Response, 1)
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			res = &http.Response{Body: http.NoBody}
		}
		answered <- res
	}()
	receive(t, halfway)
	h.cutover("app", switcher.Green)
	close(flipped)
	res := receive(t, answered)
	res.Body.Close()
	equal(t, "status", res.StatusCode, http.StatusOK)
	equal(t, "color", res.Header.Get("X-Color"), "green")
	equal(t, "arrival", receive(t, arrivals), arrival{sha256.Sum256(body), -1, http.MethodPut, nil})
	equal(t, "times at blue", blues.Load(), 1)
}
