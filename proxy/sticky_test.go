package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// from is a request by the client with the given IP address.
func from(ip, target string, edit ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: ip}))
	for _, f := range edit {
		f(r)
	}
	return r
}

func TestAClientIsKnownByWhatItsServiceSays(t *testing.T) {
	header := with("X-Tenant", "t1")
	cookie := with("Cookie", "a=b; pin=t1; c=d")
	for _, c := range []struct {
		name   string
		sticky *Sticky
		r      *http.Request
		key    string
	}{
		{"by default, the address", nil, from("10.0.0.1", "/"), "10.0.0.1"},
		{"empty", new(Sticky), from("10.0.0.1", "/"), "10.0.0.1"},
		{"address", &Sticky{By: "client_ip"}, from("10.0.0.1", "/"), "10.0.0.1"},
		{"header", &Sticky{By: "header", Name: "x-tenant"}, from("10.0.0.1", "/", header), "t1"},
		{"header that is not there", &Sticky{By: "header", Name: "X-Tenant"}, from("10.0.0.1", "/"), "10.0.0.1"},
		{"header that is empty", &Sticky{By: "header", Name: "X-Tenant"}, from("10.0.0.1", "/", with("X-Tenant", "")), "10.0.0.1"},
		{"query", &Sticky{By: "query", Name: "tenant"}, from("10.0.0.1", "/?a=b&tenant=t1"), "t1"},
		{"query that is not there", &Sticky{By: "query", Name: "tenant"}, from("10.0.0.1", "/?a=b"), "10.0.0.1"},
		{"cookie", &Sticky{By: "cookie", Name: "pin"}, from("10.0.0.1", "/", cookie), "t1"},
		{"long key", &Sticky{By: "header", Name: "X-Tenant"}, from("", "/", with("X-Tenant", strings.Repeat("x", 300))), strings.Repeat("x", 256)},
	} {
		must(t, c.sticky.validate())
		got := c.sticky.clientOf("app", c.r)
		equal(t, c.name+": bucket", got.bucket, switcher.Bucket("app", c.key))
		equal(t, c.name+": hash", got.hash, switcher.HashKey("app", c.key))
		equal(t, c.name+": no cookie is set", got.cookie, nil)
	}
}

func TestABucketStaysTheSameInAnotherProcess(t *testing.T) {
	s := &Sticky{By: "header", Name: "X-Tenant"}
	for key, want := range map[string]uint16{"t1": 3147, "t2": 7762, "": 1907} {
		got := s.clientOf("app", from("10.0.0.1", "/", with("X-Tenant", key))).bucket
		equal(t, "bucket of "+key, got, want)
	}
}

func TestAClientThatIsNotStickyHasNoBucketOfItsOwn(t *testing.T) {
	s := &Sticky{By: "none"}
	first := s.clientOf("app", from("10.0.0.1", "/"))
	for range 1000 {
		again := s.clientOf("app", from("10.0.0.1", "/"))
		equal(t, "hash", again.hash, first.hash)
		if again.bucket != first.bucket {
			return
		}
	}
	t.Error("a thousand requests in one bucket")
}

func TestAPinIsSetOnce(t *testing.T) {
	s := &Sticky{By: "cookie", MaxAge: caddy.Duration(48 * time.Hour)}
	must(t, s.validate())
	first := s.clientOf("app", from("10.0.0.1", "/"))
	text := first.cookie.String()
	for _, part := range []string{"greenroom_client=", "Path=/", "Max-Age=172800", "HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the cookie %q", part, text)
		}
	}
	equal(t, "secure over plaintext", first.cookie.Secure, false)
	equal(t, "secure over TLS", s.clientOf("app", from("10.0.0.1", "https://a/")).cookie.Secure, true)
	if other := s.clientOf("app", from("10.0.0.1", "/")); other.cookie.Value == first.cookie.Value || len(other.cookie.Value) < 20 {
		t.Errorf("a key that can be guessed: %q", other.cookie.Value)
	}
	next := s.clientOf("app", from("10.0.0.2", "/", func(r *http.Request) { r.AddCookie(first.cookie) }))
	equal(t, "bucket with the cookie", next.bucket, first.bucket)
	equal(t, "second cookie", next.cookie, nil)
}

func TestAPinnedClientStaysOnItsColorThroughARestart(t *testing.T) {
	h := newHouse(t)
	services := pair("app", saying(t, "blue"), saying(t, "green"), "sticky cookie")
	h.load(services, "blue_green app")
	h.healthy("app")
	_, err := h.client().Split(t.Context(), switcher.SplitRequest{
		Request: switcher.Request{Services: []string{"app"}}, Color: switcher.Green, Weight: 50,
	})
	must(t, err)
	var clients []*http.Client
	var colors []string
	for range 20 {
		jar, err := cookiejar.New(nil)
		must(t, err)
		client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
		first := ask(t, client, "http://"+h.http+"/")
		equal(t, "cookies set", len(first.header.Values("Set-Cookie")), 1)
		clients, colors = append(clients, client), append(colors, first.body)
	}
	if all := strings.Join(colors, ""); !strings.Contains(all, "blue") || !strings.Contains(all, "green") {
		t.Errorf("half and half, and all went one way: %s", all)
	}
	must(t, caddy.Stop())
	h.load(services, "blue_green app")
	for i, client := range clients {
		again := ask(t, client, "http://"+h.http+"/")
		equal(t, "color after the restart", again.body, colors[i])
		equal(t, "cookies set", len(again.header.Values("Set-Cookie")), 0)
	}
}

func TestThePinIsForwardedWithTheOtherCookies(t *testing.T) {
	seen := make(chan string, 1)
	upstream, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Cookie")
		http.SetCookie(w, &http.Cookie{Name: "own", Value: "1"})
		_, _ = io.WriteString(w, "ok")
	})
	h := newHouse(t)
	h.load(pair("app", upstream, upstream, "sticky cookie pin"), "blue_green app")
	h.healthy("app")
	a := h.get("/", with("Cookie", "a=1"))
	equal(t, "cookies at the upstream", receive(t, seen), "a=1")
	equal(t, "cookies set by both", len(a.header.Values("Set-Cookie")), 2)
}

func (s *Sticky) clientOf(service string, r *http.Request) client {
	return s.client(service, clientIP(r), r)
}
