package e2e

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hostile stands in front of a real Consul and answers in its place when told to.
type hostile struct {
	address string
	honest  *httputil.ReverseProxy
	mood    atomic.Pointer[mood]
}

// mood answers a request, or leaves that to the real Consul.
type mood func(w http.ResponseWriter, r *http.Request, honest http.Handler)

func newHostile(t *testing.T, target string) *hostile {
	h := &hostile{honest: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})}
	h.honest.ErrorLog = log.New(io.Discard, "", 0) // of blocking queries that were given up
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.address = strings.TrimPrefix(server.URL, "http://")
	return h
}

// turn changes the mood; nil is honest.
func (h *hostile) turn(m mood) {
	if m == nil {
		h.mood.Store(nil)
		return
	}
	h.mood.Store(&m)
}

// ServeHTTP implements http.Handler.
func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m := h.mood.Load(); m != nil {
		(*m)(w, r, h.honest)
		return
	}
	h.honest.ServeHTTP(w, r)
}

// late answers two seconds after it was asked.
func late(w http.ResponseWriter, r *http.Request, honest http.Handler) {
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		honest.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}

// refusing answers with a status.
func refusing(status int) mood {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { http.Error(w, "not now", status) }
}

// saying200 answers 200 with text, with or without what a leader vouches by.
func saying200(text string, vouched bool) mood {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if vouched {
			w.Header().Set("X-Consul-Index", "1000000")
			w.Header().Set("X-Consul-KnownLeader", "true")
			w.Header().Set("X-Consul-LastContact", "0")
		}
		_, _ = w.Write([]byte(text))
	}
}
