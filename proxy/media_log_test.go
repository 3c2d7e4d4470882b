package proxy

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const mediaKey = "00112233445566778899aabbccddeeff"

// signing is a media_edge that redirects, signed.
func signing(t *testing.T, more string) string {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys")
	must(t, os.WriteFile(keys, []byte("one "+mediaKey+"\n"), 0o600))
	return "media_edge {\n\tpath /vod/\n\tredirect https://cdn.example.com/base {\n\t\tsign akamai " + keys + " {\n\t\t\tparameter edgeauth\n\t\t\t" + more + "\n\t\t}\n\t}\n}\n"
}

// noRedirect is a client that sees redirects as they are.
func noRedirect(tr http.RoundTripper) *http.Client {
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestASignedRedirectIsWholeForTheClientAndRedactedInWhicheverLog(t *testing.T) {
	for _, c := range []struct {
		name, globals, site, sign string
		in                        string // the file that has the line; empty: the main log; none: nowhere
	}{
		{name: "one log", site: "log"},
		{name: "a log and encode", site: "log\nencode gzip"},
		{name: "deferred fields", site: "log\nheader >X-Later yes\nheader -Via"},
		{name: "a cookie", site: "log", sign: "cookie {\n\t\t\t\tdomain example.com\n\t\t\t}"},
		{name: "credentials are logged", globals: "servers {\n\t\tlog_credentials\n\t}", site: "log", sign: "cookie"},
		{name: "a log of the site's own", site: "log {\n\toutput file APART\n}", in: "APART"},
		{name: "a log by name", globals: "log named {\n\t\tinclude http.log.access.named\n\t\toutput file APART\n\t}", site: "log\nlog_name named", in: "APART"},
		{name: "a log of all requests", globals: "log all {\n\t\tinclude http.log.access\n\t\toutput file APART\n\t}", site: "log", in: "APART"},
		{name: "no log but metrics", globals: "metrics", in: "none"},
		{name: "a request that is skipped", site: "log\nlog_skip", in: "none"},
		{name: "a query that is rewritten", site: "log\nuri query -edgeauth"},
		{name: "an error handler", site: "log\nhandle_errors {\n\trespond sorry\n}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			apart := filepath.Join(t.TempDir(), "access")
			for _, text := range []*string{&c.globals, &c.site, &c.in} {
				*text = strings.ReplaceAll(*text, "APART", apart)
			}
			h := newHouse(t)
			h.secure, h.globals = true, c.globals
			upstream := saying(t, "app")
			h.load(pair("app", upstream, upstream), c.site+"\n"+signing(t, c.sign)+"blue_green app")
			h.certified()
			h1 := &http.Transport{TLSClientConfig: anyCertificate(), DisableKeepAlives: true}
			for proto, tr := range map[string]http.RoundTripper{"HTTP/1.1": h1, "HTTP/2.0": http2Only(t), "HTTP/3.0": http3Only(t)} {
				name := strings.ReplaceAll(proto, "/", "")
				a := ask(t, noRedirect(tr), h.url("https", "/vod/"+name+".m3u8?edgeauth=clientstoken&Policy=clientspolicy&x=1"),
					with("Referer", "https://page.example/?token=pagestoken"), with("Accept-Encoding", "gzip"))
				equal(t, proto+": status", a.status, http.StatusFound)
				secret := a.header.Get("Location")
				if c.sign != "" {
					secret = a.header.Get("Set-Cookie")
				}
				if !strings.HasPrefix(a.header.Get("Location"), "https://cdn.example.com/base/vod/"+name+".m3u8") || !strings.Contains(secret, "hmac=") {
					t.Errorf("%s: %q", proto, a.header)
				}
				in := filepath.Join(h.dir, "log")
				if c.in != "" {
					in = c.in
				}
				line := fmt.Sprintf("%q", "/vod/"+name+".m3u8?edgeauth=REDACTED&Policy=REDACTED&x=1")
				if in != "none" {
					until(t, proto+": the request is logged", func() bool { return strings.Contains(fileText(in), line) })
					ask(t, noRedirect(tr), h.url("https", "/app/"+name))
					plain := fmt.Sprintf("\"uri\":%q", "/app/"+name)
					until(t, proto+": a request for the application is logged", func() bool { return strings.Contains(fileText(in), plain) })
					until(t, proto+": one is logged as often as the other", func() bool {
						all := h.log() + fileText(apart)
						return strings.Count(all, line) == strings.Count(all, plain)
					})
				}
			}
			must(t, callAdmin(h))
			all := fileText(apart)
			for line := range strings.Lines(h.log()) {
				if !strings.Contains(line, `"http.handlers.rewrite"`) { // shows at DEBUG what it is given
					all += line
				}
			}
			for _, s := range []string{"clientstoken", "clientspolicy", "pagestoken", "hmac=", mediaKey} {
				if strings.Contains(all, s) {
					t.Errorf("%s is in the log:\n%s", s, all)
				}
			}
			if c.in == "none" && strings.Contains(all, "handled request") {
				t.Errorf("a request is logged:\n%s", all)
			}
			if c.in != "none" && !strings.Contains(all, `"status":302`) {
				t.Errorf("the status is not logged:\n%s", all)
			}
		})
	}
}

// callAdmin has whatever was logged before written: the admin API logs too, and
// a config is shown by it.
func callAdmin(h *house) error {
	res, err := http.Get("http://" + h.admin + "/config/")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if body := readAll(h.t, res.Body); strings.Contains(body, mediaKey) {
		return fmt.Errorf("the admin API shows the key")
	}
	return nil
}
