package sign

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func parsed(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// made is a signer that must not fail to be made.
func made[S any](t testing.TB) func(S, error) S {
	return func(s S, err error) S {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func signed(t testing.TB, s Signer, target string, g Grant) Signed {
	t.Helper()
	got, err := s.Sign(t.Context(), parsed(t, target), g)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return got
}

// awsExample is the key of AWS's documentation.
const awsExample = "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

func TestAPresignedURLIsTheOneOfAWSsDocumentation(t *testing.T) {
	s := made[*S3](t)(NewS3(keyFile(t, Text, awsExample), "us-east-1"))
	at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	got := signed(t, s, "https://examplebucket.s3.amazonaws.com/test.txt", Grant{Issued: at, Expiry: at.Add(86400 * time.Second)}).URL
	want := "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
		"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400" +
		"&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	if got != want {
		t.Errorf("%s", got)
	}
}

func TestASignedRequestIsTheOneOfAWSsDocumentation(t *testing.T) {
	s := made[*S3](t)(NewS3(keyFile(t, Text, awsExample), "us-east-1"))
	r, err := http.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/?lifecycle", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SignRequest(t.Context(), r, time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	want := "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, " +
		"Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("%s", got)
	}
}

// The signatures were made with Amazon's library for Python (botocore 1.29.27,
// S3SigV4QueryAuth), without and with a session token.
func TestPresignedObjectKeysAreThoseOfAmazonsLibraryForPython(t *testing.T) {
	plain := made[*S3](t)(NewS3(keyFile(t, Text, awsExample), "eu-west-1"))
	temporary := made[*S3](t)(NewS3(keyFile(t, Text, awsExample+" FwoG/+=="), "eu-west-1"))
	g := Window{}.Grant(now)
	for key, want := range map[string][2]string{
		"/b/a b.mp4":         {"5179f3d97d524c5d63bbe2cb85835ab83377c441a2b1556d45d0f97e3164937c", "8ceb8942d8a1244537af6e12555eb2e01e759c08a11d2342e2b26046fc569faf"},
		"/b/a+b.mp4":         {"dddc28ad66bab5435ee65b95cfa5382a0f4c6886778e603b5aecd9c8ad7c1f98", "fb099fb9fd0cd3a7b33edc94f4a775feca01a68335d3455f4b7e0c33fab30c8c"},
		"/b/a=b&c.mp4":       {"54c51144f60632526e12cf1a3cab222d018d9ee1faceeab80df5473f1ac3b3cc", "010148d8ed8f7553f7db67c9ba8c3d95fee69185c4886f83a69ff1d89bdd3e5d"},
		"/b/é/€/第１話.m3u8":    {"234146e1681cee2965585f83917b1613d985ddb056fa2b861d201ad50d0fbfc4", "44629ca2840703a892ecf00470a9ac0c65c7f64632711154e299a76a9ecc0dda"},
		"/b/a~b-c_d.e/x.mp4": {"fa21ca2f5e34ba6da2e6c2e2315e81c70bdcd31d0f783b8ee0355ce87836db0e", "6ec0b513b12e5a5cb9814fd82eb913aee0c5cdabbd00fadc708896cc24b8a7c0"},
		"/b/(a)!'*,:@$.mp4":  {"cbb2f210635aba216de47c3864903624e5e7cf874b13f67dffe2e65c2d2ea545", "6bb7a92f1192ee7ec53670fc8281ff2ed697d388c8101fb5bf4b787d29536828"},
		"/b/[a]\"<>|^`{}.ts": {"9547050f4cf43157bff4e2d06ac616055476ee706f87001d0afc72a79f08a08b", "6236faed9f64ab790c4f577471702a85d98c46193f1412f656fd59c69cc1da2c"},
		"/b/key=1/x+y z.mp4": {"575e820f6abaa09f224bc5de8046762beb4142132353c3fe432e072a3f618f09", "327982ff62b9944090f94fd4534b76545afb94a8ee1605fb025237245a2b5d94"},
	} {
		u := parsed(t, "https://s3.eu-west-1.amazonaws.com")
		u.Path = key
		for i, s := range []*S3{plain, temporary} {
			got, err := s.Sign(t.Context(), u, g)
			if err != nil || !strings.HasSuffix(got.URL, "&X-Amz-Signature="+want[i]) {
				t.Errorf("%s: %s, %v; want %s", key, got.URL, err, want[i])
			}
		}
	}
}

func TestCloudCDNSignsAsInGooglesDocumentationAndSamples(t *testing.T) {
	keys := keyFile(t, Base64, "my-key nZtRohdNF9m3cKM24IcK4w==")
	s := made[*CloudCDN](t)(NewCloudCDN(keys, nil))
	for _, c := range []struct {
		url, prefix string
		expiry      int64
		want        string
	}{
		{"http://35.186.234.33/index.html", "", 1558131350, "?Expires=1558131350&KeyName=my-key&Signature=fm6JZSmKNsB5sys8VGr-JE4LiiE="},
		{"http://35.186.234.33/index.html", "", 1549751401, "?Expires=1549751401&KeyName=my-key&Signature=CRFqQnVfFyiUyR63OQf-HRUpIwc="},
		{"http://www.example.com/", "", 1549751401, "?Expires=1549751401&KeyName=my-key&Signature=OqDUFfHpN5Vxga6r80bhsgxKves="},
		{"http://www.example.com/some/path?some=query&another=param", "", 1549751401, "&Expires=1549751401&KeyName=my-key&Signature=9Q9TCxSju8-W5nUkk5CuTrun2_o="},
		{"http://35.186.234.33/index.html", "/", 1549751401, "?URLPrefix=aHR0cDovLzM1LjE4Ni4yMzQuMzMv&Expires=1549751401&KeyName=my-key&Signature=j7HYgoQ8dIOVsW3Rw4cpkjWfRMA="},
		{"http://www.example.com/some/path?some=query&another=param", "/some/", 1549751401,
			"&URLPrefix=aHR0cDovL3d3dy5leGFtcGxlLmNvbS9zb21lLw==&Expires=1549751401&KeyName=my-key&Signature=3th4ThmpS95I1TAKYyYSCSq3dnQ="},
	} {
		if got := signed(t, s, c.url, Grant{Expiry: time.Unix(c.expiry, 0), PathPrefix: c.prefix}); got.URL != c.url+c.want || got.Cookies != nil {
			t.Errorf("%s", got.URL)
		}
	}
	inCookie := made[*CloudCDN](t)(NewCloudCDN(keys, &Cookie{Domain: "example.com"}))
	got := signed(t, inCookie, "http://www.example.com/foo/a.mp4", Grant{Expiry: time.Unix(1549751401, 0), PathPrefix: "/foo/"})
	want := "Cloud-CDN-Cookie=URLPrefix=aHR0cDovL3d3dy5leGFtcGxlLmNvbS9mb28v:Expires=1549751401:KeyName=my-key:Signature=Z9uYAu73YHioRScZDxnP-TnS274=; " +
		"Path=/foo/; Domain=example.com; Expires=Sat, 09 Feb 2019 22:30:01 GMT; HttpOnly; Secure; SameSite=Lax"
	if len(got.Cookies) != 1 || got.Cookies[0].String() != want || got.URL != "http://www.example.com/foo/a.mp4" {
		t.Errorf("%+v", got)
	}
	if got := cloudCDN(keys.Current(), "http://35.186.234.33/index.html", time.Unix(1549751401, 0), ":"); !strings.HasSuffix(got, ":Signature=uImwlOBCPs91mlCyG9vyyZRrNWU=") {
		t.Errorf("%s", got)
	}
}

// The tokens were made with the generator that Akamai publishes for Python
// (EdgeAuth-Token-Python, cbf374da), from the same input.
func TestAkamaiTokensAreThoseOfAkamaisOwnGenerator(t *testing.T) {
	const key = "k 52a152a152a152a152a152a152a1aabbccdd00112233445566778899aabbccdd"
	expiry, start := time.Unix(1700000600, 0), time.Unix(1700000000, 0)
	for _, c := range []struct {
		file  string
		early bool
		path  string
		grant Grant
		want  string
	}{
		{key, false, "/vod/a.mp4", Grant{}, "exp=1700000600~hmac=9bf44b2521bb2152ad379a61334b7d33f7f44aa47a2bae204cfd13b55e0190b2"},
		{key, true, "/vod/a%20b.mp4", Grant{}, "exp=1700000600~hmac=c34f9331a76da621b03c3a7922d37f3dcf6f213b40905ee458990bbe8c483556"},
		{key + " pepper", false, "/vod/42/a.mp4", Grant{NotBefore: start, ClientIP: netip.MustParseAddr("192.0.2.7"), Session: "s-1", PathPrefix: "/vod/42/"},
			"ip=192.0.2.7~st=1700000000~exp=1700000600~acl=/vod/42/*~id=s-1~hmac=bad687b9b4713b66ae28ef6f40f82eb90d9a5db3b4f2b1ca84cd42d54441e9b7"},
		{key, true, "/vod/a.mp4", Grant{ClientIP: netip.MustParseAddr("2001:db8::1")},
			"ip=2001%3adb8%3a%3a1~exp=1700000600~hmac=92f7e22f922307639fee3e07caa984dc9939d24dc2cb617847e494ef19af5dd0"},
		{key, false, "/vod/a.mp4", Grant{ClientIP: netip.MustParseAddr("::ffff:192.0.2.7"), PathPrefix: "/"},
			"ip=192.0.2.7~exp=1700000600~acl=/*~hmac=1e215ad540196b6e1241cf8feaeedc59b5c8922898c74d189dbabef92b49f80a"},
	} {
		s := made[*Akamai](t)(NewAkamai(keyFile(t, Hex, c.file), AkamaiOptions{Parameter: "hdnts", EscapeEarly: c.early}))
		c.grant.Expiry = expiry
		if got, want := signed(t, s, "https://cdn.example.com"+c.path, c.grant).URL, "https://cdn.example.com"+c.path+"?hdnts="+c.want; got != want {
			t.Errorf("%s\n%s", got, want)
		}
	}
}

func TestSecureLinkIsTheOneOfNginxsDocumentation(t *testing.T) {
	sum := md5.Sum([]byte("2147483647/s/link127.0.0.1 secret"))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != "_e4Nc3iduzkWRm01TBBNYw" {
		t.Error("the vector itself is wrong")
	}
	s := made[*NGINX](t)(NewNGINX(keyFile(t, Text, "a secret"), true))
	g := Grant{Expiry: time.Unix(2147483647, 0), ClientIP: netip.MustParseAddr("127.0.0.1")}
	if got := signed(t, s, "http://cdn.example.com/s/link", g).URL; got != "http://cdn.example.com/s/link?md5=_e4Nc3iduzkWRm01TBBNYw&expires=2147483647" {
		t.Errorf("%s", got)
	}
}
