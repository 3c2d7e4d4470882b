package media

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestATargetIsShownWithoutItsTokens(t *testing.T) {
	s := secrets{"st"}
	for shown, want := range map[string]string{
		"": "", "/": "/", "/vod/a.mp4": "/vod/a.mp4", "/a?": "/a?", "/a?v=1&CMCD=bl%3D1": "/a?v=1&CMCD=bl%3D1", "/a?_HLS_msn=1": "/a?_HLS_msn=1", "/a?codec=h264&width=1": "/a?codec=h264&width=1",
		"/a?Signature=x&Key-Pair-Id=y&Policy=z&Expires=1":                             "/a?Signature=REDACTED&Key-Pair-Id=REDACTED&Policy=REDACTED&Expires=1",
		"/a?X-Amz-Signature=x&X-Amz-Credential=y&X-Amz-Security-Token=z&X-Amz-Date=d": "/a?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&X-Amz-Date=d",
		"/a?hdnts=exp=1~hmac=x": "/a?hdnts=REDACTED", "/a?__token__=x": "/a?__token__=REDACTED", "/a?verify=1-x": "/a?verify=REDACTED", "/a?md5=x&expires=1": "/a?md5=REDACTED&expires=1",
		"/a?URLPrefix=x&KeyName=k&Signature=s": "/a?URLPrefix=REDACTED&KeyName=REDACTED&Signature=REDACTED", "/a?ACCESS_TOKEN=x": "/a?ACCESS_TOKEN=REDACTED", "/a?my-api-key=x": "/a?my-api-key=REDACTED",
		"/a?st=x&ST=y&sta=p": "/a?st=REDACTED&ST=REDACTED&sta=p", "/a?%73ig=x": "/a?%73ig=REDACTED", "/a?to%6ben=x": "/a?to%6ben=REDACTED", "/a?token": "/a?token", "/a?token=": "/a?token=",
		"/a?token=a=b": "/a?token=REDACTED", "/a?%zz=x&v=1": "/a?REDACTED&v=1", "/a?v=1;token=x": "/a?REDACTED", "/a?x=1?token=x": "/a?x=1?token=x", "/a??token=x": "/a??token=REDACTED",
		"/a#access_token=x": "/a#REDACTED", "/a?v=1#token=x": "/a?v=1#REDACTED", "/a#": "/a#", "https://page.example/x?token=y": "https://page.example/x?token=REDACTED",
		"https://me:pass@page.example/x": "https://REDACTED@page.example/x", "http://user@host?token=x": "http://REDACTED@host?token=REDACTED", "http://host/@x": "http://host/@x",
	} {
		if got := s.uri(shown); got != want {
			t.Errorf("%q: %q, want %q", shown, got, want)
		}
	}
	if got := s.uri("/a?x=" + strings.Repeat("1", maxShown)); got != "/a?REDACTED" {
		t.Errorf("a long query: %.50q", got)
	}
}

func TestARequestWithoutTokensIsShownAsItIs(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/a?v=1", nil)
	r.Header["Referer"] = []string{"https://page.example/", "https://page.example/?sig=x"}
	if shown, clean := (secrets)(nil).request(r, "/a?v=1"); clean || !slices.Equal(shown.Header["Referer"], []string{"https://page.example/", "https://page.example/?sig=REDACTED"}) || r.Header["Referer"][1] != "https://page.example/?sig=x" {
		t.Errorf("%v %q", clean, shown.Header)
	}
	r.Header["Referer"] = r.Header["Referer"][:1]
	if shown, clean := (secrets)(nil).request(r, "/a?v=1"); !clean || shown != r {
		t.Error("it is taken for one with a token")
	}
	if shown, clean := (secrets)(nil).request(r, "/a?token=x"); clean || shown.RequestURI != "/a?token=REDACTED" || r.RequestURI != "/a?v=1" {
		t.Errorf("the target that came counts: %v %s", clean, shown.RequestURI)
	}
}

func TestAResponseIsShownWithoutWhatOpensMedia(t *testing.T) {
	h := http.Header{"Location": {"https://cdn.example.com/a?Signature=x"}, "Set-Cookie": {"a=b", "c=d"}, "Etag": {`"x"`}}
	shown := (secrets)(nil).response(h)
	if fmt.Sprint(shown) != `map[Etag:["x"] Location:[https://cdn.example.com/a?REDACTED] Set-Cookie:[REDACTED]]` {
		t.Error(shown)
	}
	if h.Get("Location") != "https://cdn.example.com/a?Signature=x" || len(h["Set-Cookie"]) != 2 {
		t.Errorf("what is sent has changed: %v", h)
	}
}

func TestARequestIsLoggedWhereCaddyWouldLogIt(t *testing.T) {
	logs := &caddyhttp.ServerLogConfig{
		DefaultLoggerName: "default",
		LoggerNames: map[string]caddyhttp.StringArray{
			"a.example.com": {"a", ""}, "*.example.com": {"any"}, "*.*.example.com": {"deep"}, "silent.example.com": {}, "::1": {"six"},
		},
		SkipHosts: []string{"skip.example.org", "*.skip.example.org"},
	}
	for host, want := range map[string][]string{
		"a.example.com": {"a", ""}, "A.Example.COM:8443": {"a", ""}, "b.example.com": {"any"}, "c.b.example.com": {"deep"}, "d.c.b.example.com": {"default"}, "silent.example.com": nil,
		"skip.example.org": nil, "x.skip.example.org:80": nil, "other.example": {"default"}, "": {"default"}, "[::1]:80": {"six"}, "[::1]": {"default"}, ".example.com": {"default"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		if got := logNames(logs, r); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
		unmapped := *logs
		unmapped.SkipUnmappedHosts = true
		if got := logNames(&unmapped, r); slices.Contains(want, "default") && got != nil {
			t.Errorf("%q is not mapped: %q", host, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "http://b.example.com/", nil)
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.AccessLoggerNameVarKey: []any{"one", "", 7}}))
	if got := logNames(logs, r); !slices.Equal(got, []string{"one", ""}) {
		t.Errorf("log_name: %q", got)
	}
}
