package sign

import (
	"crypto/rsa"
	"net/netip"
	"testing"
	"time"
)

// Two keys in each encoding.
const (
	newHex = "ffeeddccbbaa99887766554433221100"
	oldHex = "00112233445566778899aabbccddeeff"
	oldB64 = "ABEiM0RVZneImaq7zN3u_w=="
	texts  = "new hunter-new\nold hunter-old\n"
	hexes  = "new " + newHex + "\nold " + oldHex + "\n"
	b64s   = "new _-7dzLuqmYh3ZlVEMyIRAA==\nold " + oldB64 + "\n"
)

var (
	now    = time.Date(2026, 11, 21, 12, 3, 4, 5, time.UTC)
	viewer = netip.MustParseAddr("192.0.2.7")
)

// scheme is a signer, the side that takes what it signs, and a grant that says
// all that the scheme is able to.
type scheme struct {
	name   string
	signer func(t testing.TB, signWith string) Signer
	verify func(viewing) error
	grant  func(*Grant)
	able   can
	// hostless is a scheme whose tokens are the same on all hosts.
	hostless bool
	// token is what precedes the token in the query, where the rest of the
	// query is not signed.
	token string
}

func keysFor(t testing.TB, e Encoding, content, signWith string) *Keys {
	t.Helper()
	keys, err := OpenKeys(KeyFile{Path: written(t, content), Encoding: e, SignWith: signWith})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// secrets are the keys of a file, by id.
func secrets(t testing.TB, e Encoding, content string) map[string][]byte {
	m := map[string][]byte{}
	keys := keysFor(t, e, content, "")
	for _, id := range keys.IDs() {
		key, _ := keys.Find(id)
		m[id] = key.reveal().bytes
	}
	return m
}

func plain(*Grant) {}

func below(g *Grant) { g.PathPrefix = "/vod/42/" }

func bound(g *Grant) { g.PathPrefix, g.ClientIP, g.NotBefore = "/vod/42/", viewer, g.Issued }

func schemes(t testing.TB) []scheme {
	cookie := &Cookie{Domain: "example.com"}
	front, google, akamai := cloudFrontSigner(t), cloudCDNSigner, akamaiSigner
	publics := map[string]*rsa.PublicKey{"new": &rsaKey().PublicKey, "old": &rsaKey().PublicKey}
	b64, hex := secrets(t, Base64, b64s), secrets(t, Hex, hexes)
	toBucket := func(v viewing) error {
		return sigV4("GET", v, nil, "eu-west-1", map[string]string{"new": "hunter-new", "old": "hunter-old"})
	}
	toFront := func(v viewing) error { return cloudFront(v, publics) }
	toGoogle := func(v viewing) error { return cloudCDNEdge(v, b64) }
	toAkamai := func(v viewing) error { return akamaiEdge(v, "__token__", hex) }
	toRule := func(v viewing) error {
		if err := cloudflareRule(v, []byte("hunter-new"), len("?verify="), 10800); err == nil {
			return nil
		}
		return cloudflareRule(v, []byte("hunter-old"), len("?verify="), 10800)
	}
	s3 := func(t testing.TB, with string) Signer {
		return made[*S3](t)(NewS3(keysFor(t, Text, texts, with), "eu-west-1"))
	}
	cloudflare := func(t testing.TB, with string) Signer {
		return made[*Cloudflare](t)(NewCloudflare(keysFor(t, Text, texts, with), "", 3*time.Hour))
	}
	tied, full := can{prefix: true, start: true, ip: true}, can{prefix: true, start: true, ip: true, session: true}
	return []scheme{
		{"S3", s3, toBucket, plain, can{}, false, ""},
		{"CloudFront canned", front(nil), toFront, plain, tied, false, ""},
		{"CloudFront custom", front(nil), toFront, bound, tied, false, "Policy="},
		{"CloudFront cookies", front(cookie), toFront, bound, tied, false, ""},
		{"Cloud CDN", google(nil), toGoogle, plain, can{prefix: true}, false, ""},
		{"Cloud CDN prefix", google(nil), toGoogle, below, can{prefix: true}, false, "URLPrefix="},
		{"Cloud CDN cookie", google(cookie), toGoogle, below, can{prefix: true}, false, ""},
		{"Akamai", akamai(nil), toAkamai, func(g *Grant) { g.Session = "s.1" }, full, true, "__token__="},
		{"Akamai ACL", akamai(nil), toAkamai, func(g *Grant) { bound(g); g.Session = "s_1" }, full, true, "__token__="},
		{"Akamai cookie", akamai(cookie), toAkamai, bound, full, true, ""},
		{"Cloudflare", cloudflare, toRule, plain, can{}, true, "verify="},
	}
}

// maker makes a signer that signs with the key of an id.
type maker = func(t testing.TB, signWith string) Signer

func cloudFrontSigner(t testing.TB) func(*Cookie) maker {
	pems := "new\n" + pkcs8(t) + "old\n" + pkcs8(t)
	return func(c *Cookie) maker {
		return func(t testing.TB, with string) Signer {
			return made[*CloudFront](t)(NewCloudFront(keysFor(t, PEM, pems, with), c))
		}
	}
}

func cloudCDNSigner(c *Cookie) maker {
	return func(t testing.TB, with string) Signer {
		return made[*CloudCDN](t)(NewCloudCDN(keysFor(t, Base64, b64s, with), c))
	}
}

func akamaiSigner(c *Cookie) maker {
	return func(t testing.TB, with string) Signer {
		return made[*Akamai](t)(NewAkamai(keysFor(t, Hex, hexes, with), AkamaiOptions{Cookie: c}))
	}
}
