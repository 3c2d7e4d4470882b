package ask

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnUpstreamIsAskedByItsAddressOverTCPAndUnix(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Host + " " + r.URL.String() + " " + r.Header.Get("Range")))
	})
	over := httptest.NewServer(handler)
	t.Cleanup(over.Close)
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	local := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	local.Start()
	t.Cleanup(local.Close)

	tcp := over.Listener.Addr().String()
	for _, c := range []struct{ address, host, want string }{
		{tcp, "", tcp + " /x?y=1 bytes=0-1"},
		{tcp, "app.example", "app.example /x?y=1 bytes=0-1"},
		{"unix/" + path, "", "localhost /x?y=1 bytes=0-1"},
		{"unix/" + path, "app.example", "app.example /x?y=1 bytes=0-1"},
	} {
		u := &Upstreams{Host: c.host}
		a, err := u.Get(t.Context(), c.address, "/x?y=1", http.Header{"Range": {"bytes=0-1"}}, 1000)
		if err != nil || string(a.Body) != c.want || a.Status != 200 || a.Cut {
			t.Errorf("%s: %v, %+v", c.address, err, a)
		}
		u.CloseIdle()
	}
}

func TestAnAnswerIsBoundedAndNoRedirectIsFollowed(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte(strings.Repeat("x", 5000)))
	}))
	t.Cleanup(s.Close)
	u := new(Upstreams)
	defer u.CloseIdle()
	a, err := u.Get(t.Context(), s.Listener.Addr().String(), "/", nil, 100)
	if err != nil || len(a.Body) != 100 || !a.Cut {
		t.Errorf("%v: %d bytes, cut %t", err, len(a.Body), a.Cut)
	}
	asked = 0
	if a, err = u.Get(t.Context(), s.Listener.Addr().String(), "/away", nil, 100); err != nil || a.Status != 302 || asked != 1 {
		t.Errorf("%v: %d after %d requests", err, a.Status, asked)
	}
}

func TestTheTimeIsUpWithoutAURLInTheError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(s.Close)
	at, err := ParseURL(s.URL + "/x?token=hidden-token")
	if err != nil {
		t.Fatal(err)
	}
	w := &Web{URL: at}
	defer w.CloseIdle()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err = w.Get(ctx, 10); err == nil || err.Error() != "no answer in time" {
		t.Errorf("got %v", err)
	}
	if shown := w.String(); shown != s.URL+"/x" {
		t.Errorf("shown as %q", shown)
	}
	s.Close()
	if _, err = w.Get(t.Context(), 10); err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestASecretIsReadAnewAndNeverShown(t *testing.T) {
	const secret = "correct-horse-battery"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("you said " + r.Header.Get("Authorization")))
	}))
	t.Cleanup(s.Close)
	at, err := ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	value, failing := "Bearer "+secret+"\n", error(nil)
	w := &Web{URL: at, Fields: []Field{{"Authorization", func() (string, error) { return value, failing }}}}
	defer w.CloseIdle()
	a, err := w.Get(t.Context(), 1000)
	if err != nil || string(a.Body) != "you said ***" {
		t.Errorf("%v: %q", err, a.Body)
	}
	value = "Bearer two\nlines"
	if _, err = w.Get(t.Context(), 1000); err == nil || !strings.Contains(err.Error(), "control character") || strings.Contains(err.Error(), "two") {
		t.Errorf("got %v", err)
	}
	failing = errors.New("file /run/secrets/x: not there")
	if _, err = w.Get(t.Context(), 1000); err == nil || !strings.Contains(err.Error(), "header Authorization: file /run/secrets/x") {
		t.Errorf("got %v", err)
	}
}

func TestAURLThatCannotBeAskedIsRefusedWithoutItsPassword(t *testing.T) {
	for text, says := range map[string]string{
		"gate.example/x":                "http://…",
		"ftp://gate.example":            "http://…",
		"http://":                       "http://…",
		"http:gate":                     "http://…",
		"https://a:hidden@gate.example": "holds a user",
		"https://gate.example/#x":       "fragment",
		"https://gate.example:hidden":   "URL",
		"https://gate.example/%zz":      "URL",
	} {
		_, err := ParseURL(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "a:hidden") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if u, err := ParseURL("https://gate.example/x?y=1"); err != nil || *u != (url.URL{Scheme: "https", Host: "gate.example", Path: "/x", RawQuery: "y=1"}) {
		t.Errorf("%v: %v", u, err)
	}
}

func TestALineIsPrintableAndShort(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"\n\n  no flips on Friday \nx": "no flips on Friday",
		"a\x1b[31mred\x00\tb":          "a[31mred b",
		"bad \xff utf8":                "bad ? utf8",
		"\u202eevil":                   "evil",
		strings.Repeat("é", 150):       strings.Repeat("é", 100) + "…",
	} {
		if got := Line(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
