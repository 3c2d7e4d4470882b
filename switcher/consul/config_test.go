package consul

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAConfigThatCannotBeUsedIsRefusedWithTheField(t *testing.T) {
	for want, c := range map[string]Config{
		"address \"nonsense\": want host:port":                        {Address: "nonsense"},
		"scheme \"ftp\"":                                              {Address: "ftp://127.0.0.1:21"},
		"a unix socket needs an absolute path":                        {Address: "unix://run/consul.sock"},
		"\"***@127.0.0.1:8500\": no user in it":                       {Address: "http://x:secret@127.0.0.1:8500"},
		"no path or query":                                            {Address: "http://127.0.0.1:8500/v1"},
		"no host":                                                     {Address: "http://:8500"},
		"tls: the address \"\" is not https":                          {TLS: TLS{CAFile: "ca.pem"}},
		"cert and key (cert_file, key_file) are only of use together": {Address: "https://consul:8501", TLS: TLS{CertFile: "x"}},
		"token_file and token_env: only one":                          {TokenFile: "x", TokenEnv: "Y"},
		"token_env \"TOKEN=***\": want the name":                      {TokenEnv: "TOKEN=secret"},
		"token_env: the environment has no GREENROOM_NO_SUCH":         {TokenEnv: "GREENROOM_NO_SUCH"},
		"wait 16s: want 100ms to 15s":                                 {Wait: switcher.Duration(16 * time.Second)},
		"wait -1s":                                                    {Wait: switcher.Duration(-time.Second)},
		"polls 1001: want 1 to 1000":                                  {Polls: 1001},
		"datacenter \"a/b\": '/' is not allowed":                      {Datacenter: "a/b"},
		"namespace \"..\": is not a name":                             {Namespace: ".."},
		"partition":                                                   {Partition: strings.Repeat("x", 129)},
		"ca_file: open /no/such/file: no such file":                   {Address: "https://consul", TLS: TLS{CAFile: "/no/such/file"}},
		"cert_file, key_file: open /no/such/file: no such file":       {Address: "https://consul", TLS: TLS{CertFile: "/no/such/file", KeyFile: "/no/such/file"}},
	} {
		if _, err := NewClient(c, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, c := range []Config{{}, {Address: "https://consul.example"}, {Address: "unix:///run/consul.sock"}, {Address: "[::1]:8500", Wait: switcher.Duration(time.Second)}} {
		if _, err := NewClient(c, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestASourceThatCannotBeUsedIsRefusedWithTheField(t *testing.T) {
	for want, c := range map[string]SourceConfig{
		"service \"\": is empty":             {},
		"'/' is not allowed":                 {Query: Query{Service: "a/../b"}},
		"the names of both services":         {Colors: Naming{By: ByService, Blue: "x"}},
		"and no third":                       {Query: Query{Service: "x"}, Colors: Naming{By: ByService, Blue: "x", Green: "y"}},
		"blue and green are both \"x\"":      {Query: Query{Service: "a"}, Colors: Naming{Blue: "x", Green: "x"}},
		"colors by \"luck\"":                 {Query: Query{Service: "a"}, Colors: Naming{By: "luck"}},
		"key: is of use only":                {Query: Query{Service: "a"}, Colors: Naming{Key: "x"}},
		"hold 1ms: want 1s to 10m":           {Query: Query{Service: "a"}, Hold: switcher.Duration(time.Millisecond)},
		"reads 101":                          {Query: Query{Service: "a"}, Reads: 101},
		"filter: 5000 bytes: at most 4096":   {Query: Query{Service: "a", Filter: strings.Repeat("x", 5000)}},
		"near \"a b\": ' ' is not allowed":   {Query: Query{Service: "a", Near: "a b"}},
		"blue pool: upstream without an add": {Query: Query{Service: "a"}, Last: switcher.Pools{Blue: []switcher.Upstream{{}}}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for want, c := range map[string]SourceConfig{
		"consul service app by tag":                {Query: Query{Service: "app"}},
		"consul service app by meta color in dc2":  {Query: Query{Service: "app", Datacenter: "dc2"}, Colors: Naming{By: ByMeta}},
		"consul services app-blue and app-green":   {Colors: Naming{By: ByService, Blue: "app-blue", Green: "app-green"}},
		"consul service app by meta deployment_id": {Query: Query{Service: "app"}, Colors: Naming{By: ByMeta, Key: "deployment_id"}},
	} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		if got := NewSource(nil, c).String(); got != want {
			t.Errorf("named %q, want %q", got, want)
		}
	}
}

func TestASecretDoesNotShowHoweverItIsPrinted(t *testing.T) {
	s := secret("s3cret")
	text := fmt.Sprintf("%v %+v %#v %s %q %x %d %v", s, s, s, s, s, s, s, struct{ S secret }{s})
	data, err := json.Marshal(map[string]any{"a": s, "b": &s})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", s, "in", struct{ S secret }{s})
	for _, shown := range []string{text, string(data), log.String(), s.conceal("a s3cret b")} {
		if strings.Contains(shown, "s3cret") || strings.Contains(shown, fmt.Sprintf("%x", "s3cret")) || !strings.Contains(shown, "***") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestATokenFileIsReadAgainWhenItChangesOrTheTokenIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	tok := &token{file: file, log: slog.New(slog.DiscardHandler)}
	wantToken := func(want string, words ...string) {
		t.Helper()
		got, err := tok.get()
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("got %q, %v; want %q", string(got), err, want)
		}
		if err != nil {
			wantWords(t, err.Error(), words...)
		}
	}
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-time.Hour)
	wantToken("", file, "no such file")
	write("", then)
	wantToken("", "is empty")
	write("two words", then)
	wantToken("", "something else than a token")
	write("one\n", then)
	wantToken("one")
	write("two\n", then) // with the time and size of the one before
	wantToken("one")
	tok.refuse()
	wantToken("two")
	write("three\n", then.Add(time.Second))
	wantToken("three")
	for _, bad := range []string{"", "\x00", strings.Repeat("x", maxToken+1)} {
		write(bad, then.Add(2*time.Second))
		wantToken("three")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	wantToken("three")
}

func TestTheTokenGoesToConsulAndNowhereElse(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "from the environment")
	t.Setenv("GREENROOM_TEST_TOKEN", "s3cret")
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("X-Consul-Token"))
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	for _, c := range []Config{{Address: server.URL, TokenEnv: "GREENROOM_TEST_TOKEN"}, {Address: server.URL}} {
		client := testClient(t, c)
		_, _, err := Query{Service: "app"}.ask(client.api, sightless())
		wantWords(t, client.explain("service app", err).Error(), "answered 307")
		client.Close()
	}
	if elsewhere != 0 || len(got) != 2 || got[0] != "s3cret" || got[1] != "" {
		t.Errorf("elsewhere %d times; tokens %q", elsewhere, got)
	}
}

func TestAnAnswerWithoutEndIsCut(t *testing.T) {
	for status, want := range map[int]string{200: "longer than anything", 500: "answered 500: ["} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			block := []byte("[" + strings.Repeat(" ", 1<<20-1))
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
				block[0] = ' '
			}
		}))
		client := testClient(t, Config{Address: server.URL})
		library, err := api.NewClient(&api.Config{Address: server.URL, HttpClient: &http.Client{
			Transport: &transport{base: client.base, token: client.token, limit: 4 << 20},
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Query{Service: "app"}.ask(library, sightless())
		wantWords(t, client.explain("service app", err).Error(), want)
		client.Close()
		server.Close()
	}
}
