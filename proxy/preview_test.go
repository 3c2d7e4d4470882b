package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// provisioned is a Preview whose secret is previewSecret.
func provisioned(t *testing.T, p Preview) *Preview {
	t.Helper()
	t.Setenv("PREVIEW_SECRET", previewSecret)
	must(t, p.provision(caddy.NewReplacer()))
	return &p
}

func TestAPreviewIsAskedForByTheRightSecretOnly(t *testing.T) {
	p := provisioned(t, Preview{Header: "X-Preview", Cookie: "preview", Secret: "{env.PREVIEW_SECRET}"})
	yes, no := preview{idle: true, bySecret: true}, preview{}
	for _, c := range []struct {
		name   string
		edit   func(*http.Request)
		want   preview
		cookie string // left
	}{
		{"nothing", func(*http.Request) {}, no, ""},
		{"header", with("X-Preview", previewSecret), yes, ""},
		{"wrong header", with("X-Preview", "7x-only-for-the-rehearsal-8x"), no, ""},
		{"empty header", with("X-Preview", ""), no, ""},
		{"beginning of the secret", with("X-Preview", previewSecret[:16]), no, ""},
		{"secret and more", with("X-Preview", previewSecret+"x"), no, ""},
		{"placeholder", with("X-Preview", "{env.PREVIEW_SECRET}"), no, ""},
		{"secret in a second field", func(r *http.Request) { r.Header["X-Preview"] = []string{"wrong", previewSecret} }, yes, ""},
		{"cookie", with("Cookie", "preview="+previewSecret), yes, ""},
		{"cookie in quotes", with("Cookie", `preview="`+previewSecret+`"`), yes, ""},
		{"cookie with a space", with("Cookie", "a=1; preview ="+previewSecret), yes, "a=1"},
		{"wrong cookie", with("Cookie", "preview=wrong"), no, ""},
		{"empty cookie", with("Cookie", "preview="), no, ""},
		{"cookie without a value", with("Cookie", "preview"), no, ""},
		{"secret in another cookie", with("Cookie", "preview2="+previewSecret), no, "preview2=" + previewSecret},
		{"cookie of another case", with("Cookie", "Preview="+previewSecret), no, "Preview=" + previewSecret},
		{"two cookies", with("Cookie", "preview=wrong; preview="+previewSecret), yes, ""},
		{"other cookies", with("Cookie", "a=1;  b=\"2;  c=;d;preview="+previewSecret+";e=preview ; f=x=y"), yes, "a=1;  b=\"2;  c=;d;e=preview ; f=x=y"},
		{"other cookies only", with("Cookie", "a=preview;b=2 ;;c"), no, "a=preview;b=2 ;;c"},
		{"first of the cookies", with("Cookie", "preview=x; a=1;b=2"), no, "a=1;b=2"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		c.edit(r)
		equal(t, c.name, p.wanted(r), c.want)
		equal(t, c.name+": header left", len(r.Header["X-Preview"]), 0)
		equal(t, c.name+": cookies left", r.Header.Get("Cookie"), c.cookie)
		if _, there := r.Header["Cookie"]; there && c.cookie == "" {
			t.Errorf("%s: an empty Cookie is left", c.name)
		}
	}
}

func TestAPreviewWithoutASecretIsNeverAskedForByAnEmptyOne(t *testing.T) {
	for _, p := range []*Preview{nil, provisioned(t, Preview{Hosts: []string{"next.example.com"}})} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[""] = []string{""}
		r.Header.Set("Cookie", "=; a=1")
		equal(t, "asked", p.wanted(r), preview{})
		equal(t, "cookies left", r.Header.Get("Cookie"), "=; a=1")
	}
}

func TestAPreviewHostIsComparedWithoutPortCaseAndDot(t *testing.T) {
	p := provisioned(t, Preview{Hosts: []string{"next.example.com", "Staging.Example.COM."}})
	for host, want := range map[string]bool{
		"next.example.com": true, "NEXT.example.com": true, "next.example.com:8443": true, "next.example.com.": true,
		"next.example.com.:80": true, "staging.example.com": true, "staging.example.com.:1": true,
		"": false, ".": false, "example.com": false, "xnext.example.com": false, "next.example.com.evil.com": false,
		"a.next.example.com": false, "next.example.com..": false, "next.example.com:1:2": false, "[::1]:80": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		equal(t, host, p.wanted(r), preview{idle: want})
	}
}

// withPreview is a running service with blue active and the preview of green.
func withPreview(t *testing.T, green string, options ...string) *house {
	t.Setenv("PREVIEW_SECRET", previewSecret)
	h := newHouse(t)
	h.globals = "debug"
	secret := "preview {\n\theader X-Preview {env.PREVIEW_SECRET}\n\tcookie preview {env.PREVIEW_SECRET}\n\thost next.example.com\n}"
	site := "log {\n\toutput file " + filepath.Join(h.dir, "access") + "\n}\nblue_green app"
	h.load(pair("app", saying(t, "blue"), green, append(options, secret)...), site)
	return h
}

func TestAPreviewReachesTheIdleColorAndTheSecretDoesNot(t *testing.T) {
	var seen http.Header
	green, _ := counting(t, func(w http.ResponseWriter, r *http.Request) { seen = r.Header; _, _ = io.WriteString(w, "green") })
	h := withPreview(t, green, "sticky cookie")
	h.healthy("app")
	for name, edit := range map[string]func(*http.Request){
		"header": with("X-Preview", previewSecret), "cookie": with("Cookie", "a=1; preview="+previewSecret), "host": with("Host", "next.example.com"),
	} {
		a := h.get("/", edit)
		equal(t, name, a.body, "green")
		equal(t, name+": pins set", a.header.Get("Set-Cookie"), "")
		if text, _ := json.Marshal(seen); strings.Contains(string(text), previewSecret) {
			t.Errorf("%s: the upstream has seen the secret: %s", name, text)
		}
	}
	equal(t, "wrong secret", h.get("/", with("X-Preview", "wrong")).body, "blue")
	h.cutover("app", 2)
	until(t, "blue is drained", func() bool { return h.view("app").Phase == switcher.Steady })
	equal(t, "preview after a cutover", h.get("/", with("X-Preview", previewSecret)).body, "blue")
}

func TestAPreviewOfAPoolThatCannotServeIs503AndNeverTheActiveColor(t *testing.T) {
	h := withPreview(t, refused(t))
	until(t, "green has its verdict", func() bool { v := h.view("app"); return v.Green.Unknown == 0 && v.Blue.Healthy == 1 })
	for name, edit := range map[string]func(*http.Request){
		"header": with("X-Preview", previewSecret), "cookie": with("Cookie", "preview="+previewSecret), "host": with("Host", "next.example.com"),
	} {
		a := h.get("/", edit)
		equal(t, name, a.status, http.StatusServiceUnavailable)
		equal(t, name+": Retry-After", a.header.Get("Retry-After"), "1")
		if told := strings.Contains(a.body, "green has 0 of 1 upstreams healthy"); told != (name != "host") {
			t.Errorf("%s: the body says %q: only who knows the secret is told", name, a.body)
		}
	}
	equal(t, "everybody else", h.get("/").body, "blue")
}

func TestTheSecretIsShownNowhere(t *testing.T) {
	h := withPreview(t, refused(t), "sticky header X-Preview")
	until(t, "green has its verdict", func() bool { v := h.view("app"); return v.Green.Unknown == 0 && v.Blue.Healthy == 1 })
	for _, path := range []string{"/", "/a//b", "/a%2fb"} { // answers 503 and 400
		for _, edit := range []func(*http.Request){
			with("X-Preview", previewSecret), with("Cookie", "preview="+previewSecret),
			func(r *http.Request) { r.Header["X-Preview"] = []string{"wrong", previewSecret} },
		} {
			a := h.get(path, edit)
			if a.status < 400 || strings.Contains(a.body, previewSecret) {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	}
	h.get("/the-last-one")
	access := filepath.Join(h.dir, "access")
	until(t, "the last request is in the access log", func() bool { return strings.Contains(fileText(access), "/the-last-one") })
	outputs := map[string]string{"access log": fileText(access), "log": h.log()}
	for _, path := range []string{"/config/", "/metrics", "/greenroom/v1/services"} {
		outputs[path] = ask(t, http.DefaultClient, "http://"+h.admin+path).body
	}
	err := h.try(h.caddyfile(pair("app", "10.0.0.1:1", "10.0.0.1:1", "preview {\n\theader X {env.PREVIEW_SECRET}\n}", "balance x"), "blue_green app"))
	outputs["error"] = err.Error()
	must(t, filepath.WalkDir(h.dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			outputs[path] = fileText(path)
		}
		return err
	}))
	for name, text := range outputs {
		if strings.Contains(text, previewSecret) {
			t.Errorf("the secret is in %s", name)
		}
	}
	if !strings.Contains(outputs["/config/"], "{env.PREVIEW_SECRET}") || !strings.Contains(outputs["/metrics"], "greenroom_active") {
		t.Error("the outputs are not what they should be")
	}
}
