package origin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck"
)

func TestAnEndpointIsReadToOnePlace(t *testing.T) {
	path, virtual := &S3{Bucket: "media"}, &S3{Bucket: "media", VirtualHost: true}
	for _, c := range []struct {
		url  string
		s3   *S3
		want string // scheme host addr prefix
	}{
		{"http://a.example", nil, "http a.example a.example:80 "},
		{"http://a.example:80/", nil, "http a.example a.example:80 "},
		{"https://A.Example:443/vod/", nil, "https a.example a.example:443 /vod"},
		{"https://a.example:8443/b%20c", nil, "https a.example:8443 a.example:8443 /b c"},
		{"http://127.0.0.1:9000", path, "http 127.0.0.1:9000 127.0.0.1:9000 /media"},
		{"http://[::1]:9000/x", path, "http [::1]:9000 [::1]:9000 /x/media"},
		{"http://[::1]", nil, "http [::1] [::1]:80 "},
		{"https://s3.eu-west-1.example", virtual, "https media.s3.eu-west-1.example media.s3.eu-west-1.example:443 "},
	} {
		p, err := Config{S3: c.s3}.locate(Endpoint{URL: c.url})
		if got := p.scheme + " " + p.host + " " + p.addr + " " + p.prefix; err != nil || got != c.want || p.bucket != (c.s3 != nil) {
			t.Errorf("%s: %q, %v", c.url, got, err)
		}
	}
}

func TestAConfigurationThatIsWrongIsRefusedByNameAndShowsNoSecret(t *testing.T) {
	good := func() Config { return Config{Name: "vod", Endpoints: at("https://a.example")} }
	url := func(u string) func(*Config) { return func(c *Config) { c.Endpoints = at("https://b.example", u) } }
	field := func(name, value string) func(*Config) {
		return func(c *Config) { c.Header = http.Header{name: {value}} }
	}
	bucket := func(name string) func(*Config) { return func(c *Config) { c.S3 = &S3{Bucket: name} } }
	for _, c := range []struct {
		spoil func(*Config)
		want  string
	}{
		{func(c *Config) { c.Name = "" }, "name"},
		{func(c *Config) { c.Name = "a\nb" }, "name"},
		{func(c *Config) { c.Endpoints = nil }, "endpoints: there are 0"},
		{func(c *Config) { c.Endpoints = make([]Endpoint, 17) }, "endpoints: there are 17"},
		{url("https://b.example:443/"), "endpoint 2: it is there already"},
		{url("ftp://a.example"), "endpoint 2: url: want http"}, {url("a.example"), "want http"}, {url("//a.example"), "want http"}, {url(""), "want http"},
		{url("https://"), "host's name"}, {url("https://a..b"), "host's name"}, {url("https://ä.example"), "host's name"}, {url("https://a.example."), "host's name"},
		{url("https://[fe80::1%25eth0]"), "without a zone"}, {url("https://a.example:0"), "port"}, {url("https://a.example:65536"), "port"}, {url("https://a.example:"), "port"},
		{url("https://id:hush@a.example"), "no user"}, {url("https://id:hush"), "cannot be read"}, {url("https://a.example?hush"), "no query"}, {url("https://a.example?"), "no query"},
		{url("https://a.example#hush"), "no query"}, {url("https://a.example#"), "no query"}, {url("https://a.example/../x"), "its path"}, {url("https://a.example//"), "its path"}, {url("https://a.example/%2e"), "its path"},
		{func(c *Config) { c.Endpoints, c.S3 = at("http://127.0.0.1"), &S3{Bucket: "media", VirtualHost: true} }, "before an address"},
		{bucket(""), "bucket"}, {bucket("a"), "bucket"}, {bucket("A-b"), "bucket"}, {bucket("a/b"), "bucket"}, {bucket("a..b"), "bucket"}, {bucket("-ab"), "bucket"}, {bucket("a?acl"), "bucket"},
		{field("Range", "hush"), "header Range"}, {field("host", "hush"), "header host"}, {field("Via", "hush"), "header Via"}, {field("Connection", "hush"), "header Connection"},
		{field("", "hush"), `header ""`}, {field("a b", "hush"), `header "a b"`}, {field("X-A", "hush\r\nX: y"), "header X-A"}, {field("X-A", "hush"+strings.Repeat("a", maxField)), "header X-A"},
		{func(c *Config) { c.Header = http.Header{"x-a": {"hush"}, "X-A": {"hush"}} }, "two spellings"},
		{func(c *Config) {
			c.S3, c.Header = &S3{Bucket: "media", Signer: signer(t, "hush")}, http.Header{"Authorization": {"hush"}}
		}, "header Authorization: the signature"},
		{func(c *Config) { c.MaxConns = -1 }, "max_conns"}, {func(c *Config) { c.MaxConns = 1 << 17 }, "max_conns"},
		{func(c *Config) { c.Timeouts.Dial = -1 }, "timeout dial"}, {func(c *Config) { c.Timeouts.Head = time.Hour }, "timeout head"}, {func(c *Config) { c.Timeouts.Idle = 1 }, "timeout idle"},
		{func(c *Config) { c.Resume.Attempts = 17 }, "resume attempts"}, {func(c *Config) { c.Resume.Patience = -1 }, "resume patience"}, {func(c *Config) { c.Resume.Concurrent = -1 }, "resume concurrent"},
		{func(c *Config) { c.Check = &Check{Path: "a"} }, "check path"}, {func(c *Config) { c.Check = &Check{Path: "/../a"} }, "check path"},
		{func(c *Config) { c.Check = &Check{Settings: healthcheck.Settings{Rise: -1}} }, "check: rise"},
	} {
		config := good()
		c.spoil(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "origin ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("want %q: %v", c.want, err)
		}
	}
	if _, err := New(good()); err != nil {
		t.Error(err)
	}
}
