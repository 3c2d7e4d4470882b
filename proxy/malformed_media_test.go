package proxy

import "strings"

// fetching wraps options into a media_edge with an origin, viewers into one that
// redirects, and signed into one that signs, with keys that are in testdata.
func fetching(options string) string {
	return "media_edge {\n\tpath /media/\n\torigin http://10.0.0.1\n" + options + "\n}"
}

func viewers(options string) string {
	return "media_edge {\n\tpath /media/\n\tredirect https://cdn.example.com {\n" + options + "\n\t}\n}"
}

func signed(scheme, options string) string {
	return viewers("\t\tsign " + scheme + " testdata/media.keys {\n" + options + "\n\t\t}")
}

// mediaPlace is where they begin in the house's Caddyfile: their
// options are four lines further.
const mediaPlace, mediaOption, viewersOption, signedOption = "Caddyfile:31", "Caddyfile:34", "Caddyfile:34", "Caddyfile:35"

var mediaMistakes = []mistake{
	{"media: neither origin nor redirect", "media_edge {\n\tpath /media/\n}", []string{mediaPlace, "either a redirect or an origin"}},
	{"media: both", fetching("\tredirect https://cdn.example.com"), []string{mediaPlace, "either a redirect or an origin"}},
	{"media: an argument", "media_edge vod {\n}", []string{mediaPlace, "vod"}},
	{"media: unknown option", fetching("\tkeep 1h"), []string{mediaOption, `unknown option "keep"`, "cache, cmcd_events, cors"}},
	{"media: option twice", fetching("\tname a\n\tname b"), []string{"Caddyfile:35", "name is given twice"}},
	{"media: name with a space", fetching("\tname \"a b\""), []string{mediaPlace, `name "a b"`, "letters, digits"}},
	{"media: name too long", fetching("\tname " + strings.Repeat("n", 129)), []string{mediaPlace, "want 1 to 128"}},
	{"media: all of the application", "media_edge {\n\tall\n\torigin http://10.0.0.1\n}", []string{mediaPlace, "all extensions", "no prefix other than /"}},
	{"media: prefix that is not plain", "media_edge {\n\tpath /a/../b\n\torigin http://10.0.0.1\n}", []string{mediaPlace, `prefix "/a/../b"`, "ambiguous"}},
	{"media: prefix without a slash", "media_edge {\n\tpath media\n\torigin http://10.0.0.1\n}", []string{mediaPlace, `prefix "media"`, "slash"}},
	{"media: path without a value", "media_edge {\n\tpath\n}", []string{"Caddyfile:32", "path: want one value or more"}},
	{"media: host with a port", fetching("\thosts a.example.com:80"), []string{mediaPlace, `host "a.example.com:80"`, "without a port"}},
	{"media: host with two stars", fetching("\thosts *.*.example.com"), []string{mediaPlace, `host "*.*.example.com"`}},
	{"media: unknown set", fetching("\ttypes films"), []string{mediaPlace, `"films"`, "hls dash cmaf"}},
	{"media: extension without a kind", fetching("\textension key"), []string{mediaOption, "want an extension, its kind"}},
	{"media: extension of an unknown kind", fetching("\textension key secret"), []string{mediaPlace, `extension "key"`, `"secret"`, "playlist, segment"}},
	{"media: extension in capitals", fetching("\textension KEY other"), []string{mediaPlace, `extension "KEY"`, "lower-case"}},
	{"media: extension twice", fetching("\textension key other\n\textension .key segment"), []string{mediaPlace, `extension "key" is given twice`}},
	{"media: extension with a bad content type", fetching("\textension key other octets"), []string{mediaPlace, `content type "octets"`, "video/mp4"}},
	{"media: strip_prefix that is not plain", fetching("\tstrip_prefix /a//b"), []string{mediaPlace, `strip_prefix "/a//b"`, "plain form"}},
	{"media: cmcd_events that is encoded", fetching("\tcmcd_events /cm%63d"), []string{mediaPlace, `cmcd_events "/cm%63d"`, "another way"}},
	{"media: query with a bad name", fetching("\tquery a=b"), []string{mediaPlace, `query: "a=b"`, "64 letters"}},
	{"media: query twice", fetching("\tquery v v"), []string{mediaPlace, `query: "v" is given twice`}},
	{"media: query with CMCD", fetching("\tquery CMCD"), []string{mediaPlace, "query: CMCD", "leave it out"}},
	{"media: too many names of a query", fetching("\tquery a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19 a20 a21 a22 a23 a24 a25 a26 a27 a28 a29 a30 a31 a32 a33"), []string{mediaPlace, "33 names", "at most 32"}},

	{"media: origin without a URL", "media_edge {\n\torigin\n}", []string{"Caddyfile:32", "want URLs as https://"}},
	{"media: origin without a scheme", "media_edge {\n\torigin 10.0.0.1\n}", []string{mediaPlace, "endpoint 1", "https://origin.example.com"}},
	{"media: origin of another scheme", "media_edge {\n\torigin ftp://10.0.0.1\n}", []string{mediaPlace, "endpoint 1", "want http:// or https://"}},
	{"media: origin with a password", "media_edge {\n\torigin http://me:secret@10.0.0.1\n}", []string{mediaPlace, "endpoint 1", "no user and password"}},
	{"media: origin with a query", "media_edge {\n\torigin http://10.0.0.1/?a=b\n}", []string{mediaPlace, "endpoint 1", "no query"}},
	{"media: origin with a path that is not plain", "media_edge {\n\torigin http://10.0.0.1/a/../b\n}", []string{mediaPlace, "endpoint 1", "path", "dot or empty segment"}},
	{"media: origin twice", "media_edge {\n\torigin http://a.example http://A.example:80\n}", []string{mediaPlace, "endpoint 2", "there already"}},
	{"media: origin with a bad port", "media_edge {\n\torigin http://a.example:99999\n}", []string{mediaPlace, "endpoint 1", "port of 1 to 65535"}},
	{"media: unknown option of an origin", "media_edge {\n\torigin http://a.example {\n\t\tretries 3\n\t}\n}", []string{"Caddyfile:33", `unknown option "retries"`, "head_timeout"}},
	{"media: field without a value", "media_edge {\n\torigin http://a.example {\n\t\theader X-A\n\t}\n}", []string{"Caddyfile:33", "header: want a name and a value"}},
	{"media: field twice", "media_edge {\n\torigin http://a.example {\n\t\theader X-A 1\n\t\theader x-a 2\n\t}\n}", []string{"Caddyfile:34", "header x-a is given twice"}},
	{"media: field that the edge sets", "media_edge {\n\torigin http://a.example {\n\t\theader Range bytes=0-\n\t}\n}", []string{mediaPlace, "header Range", "the edge sets it"}},
	{"media: field of a secret that is not there", "media_edge {\n\torigin http://a.example {\n\t\theader X-A {env.NO_SUCH_SECRET}\n\t}\n}", []string{"media_edge a.example", "header X-A", "{file.PATH}"}},
	{"media: bad timeout of an origin", "media_edge {\n\torigin http://a.example {\n\t\tidle_timeout 1h\n\t}\n}", []string{mediaPlace, "timeout idle 1h", "10m"}},
	{"media: connections out of range", "media_edge {\n\torigin http://a.example {\n\t\tmax_conns -1\n\t}\n}", []string{mediaPlace, "max_conns -1", "65536"}},
	{"media: resumes out of range", "media_edge {\n\torigin http://a.example {\n\t\tresume 17\n\t}\n}", []string{mediaPlace, "resume attempts 17", "16"}},
	{"media: bad resume", "media_edge {\n\torigin http://a.example {\n\t\tresume never\n\t}\n}", []string{"Caddyfile:33", `resume "never"`}},
	{"media: missing CA", "media_edge {\n\torigin https://a.example {\n\t\tca_file /none.pem\n\t}\n}", []string{"media_edge a.example", "ca_file", "/none.pem"}},
	{"media: bad CA", "media_edge {\n\torigin https://a.example {\n\t\tca_file testdata/media.keys\n\t}\n}", []string{"ca_file testdata/media.keys", "no certificate in PEM"}},
	{"media: check at a bad path", "media_edge {\n\torigin http://a.example {\n\t\tcheck /a//b\n\t}\n}", []string{mediaPlace, `check path "/a//b"`, "canonical"}},
	{"media: check too often", "media_edge {\n\torigin http://a.example {\n\t\tcheck / {\n\t\t\tinterval 1ms\n\t\t}\n\t}\n}", []string{mediaPlace, "check", "interval 1ms"}},
	{"media: bad bucket", "media_edge {\n\torigin http://a.example {\n\t\ts3 My_Bucket\n\t}\n}", []string{mediaPlace, `bucket "My_Bucket"`, "3 to 63"}},
	{"media: bad style of a bucket", "media_edge {\n\torigin http://a.example {\n\t\ts3 my-bucket {\n\t\t\tstyle both\n\t\t}\n\t}\n}", []string{mediaPlace, `style "both"`, "path or host"}},
	{"media: bucket before an address", "media_edge {\n\torigin http://10.0.0.1 {\n\t\ts3 my-bucket {\n\t\t\tstyle host\n\t\t}\n\t}\n}", []string{mediaPlace, "endpoint 1", "before an address"}},
	{"media: key to sign with, and no keys", "media_edge {\n\torigin http://a.example {\n\t\ts3 my-bucket {\n\t\t\tsign_with one\n\t\t}\n\t}\n}", []string{mediaPlace, "sign_with", "keys is missing"}},
	{"media: missing keys of a bucket", "media_edge {\n\torigin http://a.example {\n\t\ts3 my-bucket {\n\t\t\tkeys /none\n\t\t}\n\t}\n}", []string{"media_edge a.example/my-bucket", "key file /none", "no such file"}},
	{"media: keys of another encoding", "media_edge {\n\tredirect http://a.example {\n\t\tsign akamai testdata/preview-secret\n\t}\n}", []string{"media_edge a.example", "key file testdata/preview-secret", "line 1"}},

	{"media: cache that is on", fetching("\tcache on"), []string{mediaOption, "cache: want off, or a block"}},
	{"media: kind of a time that there is not", fetching("\tcache {\n\t\tttl film 1h\n\t}"), []string{"Caddyfile:35", `"film"`, "playlist, segment"}},
	{"media: time of a kind twice", fetching("\tcache {\n\t\tttl segment 1h\n\t\tttl segment 2h\n\t}"), []string{"Caddyfile:36", "ttl segment is given twice"}},
	{"media: time that is none", fetching("\tcache {\n\t\tstale_if_error segment long\n\t}"), []string{"Caddyfile:35", `stale_if_error segment "long"`, "500ms"}},
	{"media: time of nothing", fetching("\tcache {\n\t\tttl segment 0s\n\t}"), []string{mediaPlace, "cache: ttl segment is 0s", "1ms"}},
	{"media: negative answers for ever", fetching("\tcache {\n\t\tnegative 1h\n\t}"), []string{mediaPlace, "cache: negative is 1h", "0 to 1m"}},
	{"media: bypass of an unknown kind", fetching("\tcache {\n\t\tbypass film\n\t}"), []string{mediaPlace, "cache: bypass", `"film"`}},
	{"media: cache of what is redirected", "media_edge {\n\tredirect https://cdn.example.com\n\tcache off\n}", []string{mediaPlace, "cache: nothing is kept", "leave it out"}},
	{"media: no origins of pages", fetching("\tcors"), []string{mediaOption, "cors: want origins"}},
	{"media: page with a path", fetching("\tcors https://a.example/x"), []string{mediaPlace, `origin "https://a.example/x"`, "without a slash"}},
	{"media: every page with cookies", fetching("\tcors * {\n\t\tcredentials\n\t}"), []string{mediaPlace, "CORS", `credentials for origin "*"`}},

	{"media: redirect without a URL", "media_edge {\n\tredirect\n}", []string{"Caddyfile:32", "redirect: want one value"}},
	{"media: redirect without a scheme", "media_edge {\n\tredirect cdn.example.com\n}", []string{mediaPlace, `redirect "cdn.example.com"`, "https://cdn.example.com/base"}},
	{"media: redirect to nobody", "media_edge {\n\tredirect https://:443\n}", []string{mediaPlace, `redirect "https://:443"`, "want a URL"}},
	{"media: redirect with a query", "media_edge {\n\tredirect https://a.example/?x\n}", []string{mediaPlace, "without user, query"}},
	{"media: redirect to a path that is not plain", "media_edge {\n\tredirect https://a.example/x%2fy/\n}", []string{mediaPlace, "encoded slash"}},
	{"media: redirect for good", viewers("\t\tstatus 301"), []string{mediaPlace, "status 301", "302 or 307"}},
	{"media: redirect of an unknown method", viewers("\t\tmethods LINK"), []string{mediaPlace, `method "LINK"`, "PUT, POST"}},
	{"media: redirect of a method twice", viewers("\t\tmethods PUT PUT"), []string{mediaPlace, "method PUT is given twice"}},
	{"media: redirect that is kept for less than no time", viewers("\t\tmax_age -5m"), []string{mediaPlace, "max_age is -5m", "1s to"}},
	{"media: unknown option of a redirect", viewers("\t\tcode 302"), []string{viewersOption, `unknown option "code"`, "max_age, methods"}},
	{"media: sign without keys", viewers("\t\tsign s3"), []string{viewersOption, "want a scheme and a file"}},
	{"media: unknown scheme", signed("fastly", ""), []string{mediaPlace, `sign "fastly"`, "cloudfront, cloud_cdn"}},
	{"media: unknown option of sign", signed("akamai", "\t\t\tsalt x"), []string{signedOption, `unknown option "salt"`, "escape_early"}},
	{"media: bucket of part of a second", signed("akamai", "\t\t\tbucket 1500ms"), []string{mediaPlace, "sign akamai", "bucket of 1.5s", "whole seconds"}},
	{"media: life of less than two buckets", signed("akamai", "\t\t\tlife 5m"), []string{mediaPlace, "life of 5m", "two buckets"}},
	{"media: region of what has none", signed("akamai", "\t\t\tregion eu-central-1"), []string{mediaPlace, "region: s3 needs it"}},
	{"media: s3 without its region", signed("s3", ""), []string{mediaPlace, "region: s3 needs it"}},
	{"media: directory with what cannot", signed("nginx", "\t\t\tdirectory"), []string{mediaPlace, "cookie and directory are for cloudfront"}},
	{"media: address with what cannot", signed("cloudflare", "\t\t\tclient_ip"), []string{mediaPlace, "client_ip is for"}},
	{"media: parameter with what cannot", signed("nginx", "\t\t\tparameter t"), []string{mediaPlace, "parameter is for akamai"}},
	{"media: ttl that is shorter than the life", signed("cloudflare", "\t\t\tttl 1m"), []string{mediaPlace, "ttl is 1m", "10m"}},
	{"media: cookie for an unknown site", signed("akamai", "\t\t\tcookie {\n\t\t\t\tsame_site maybe\n\t\t\t}"), []string{mediaPlace, `same_site "maybe"`, "lax, strict"}},
	{"media: uploads with what cannot", viewers("\t\tmethods PUT\n\t\tsign akamai testdata/media-hex.keys"), []string{mediaPlace, "tokens of akamai are not for methods"}},
	{"media: a parameter that is the token's", "media_edge {\n\tquery md5\n\tredirect https://cdn.example.com {\n\t\tsign nginx testdata/media.keys\n\t}\n}", []string{"media_edge cdn.example.com", "nothing can be signed", "parameter md5"}},
	{"media: a key to sign with that there is not", signed("nginx", "\t\t\tsign_with nobody"), []string{"key file testdata/media.keys", `the id "nobody"`}},
	{"media: two with one name", fetching("") + "\nmedia_edge {\n\tpath /b/\n\tname 10.0.0.1\n\torigin http://10.0.0.2\n}", []string{`the name "10.0.0.1"`, "give one of them another name"}},
}

// globalMistakes are in the global options of the media edge.
var globalMistakes = []mistake{
	{"media globally: unknown option", "media_edge {\n\tdisk /x 1GiB\n}", []string{"Caddyfile:16", `unknown option "disk"`, "cache"}},
	{"media globally: twice", "media_edge {\n}\nmedia_edge {\n}", []string{"media_edge is given twice"}},
	{"media globally: an argument", "media_edge x", []string{"Caddyfile:15", "wrong argument count"}},
	{"media globally: too little memory", "media_edge {\n\tcache {\n\t\tmemory 1MiB\n\t}\n}", []string{"Caddyfile:15", "memory is 1048576", "at least 16 MiB"}},
	{"media globally: disk without a size", "media_edge {\n\tcache {\n\t\tdisk /var/cache\n\t}\n}", []string{"Caddyfile:17", "disk: want a directory and a size"}},
	{"media globally: disk of a bad size", "media_edge {\n\tcache {\n\t\tdisk /var/cache much\n\t}\n}", []string{"Caddyfile:17", `disk "much"`, "1GiB"}},
	{"media globally: too little disk", "media_edge {\n\tcache {\n\t\tdisk /var/cache 1MiB\n\t}\n}", []string{"Caddyfile:15", "disk is 1048576", "at least 64 MiB"}},
}

var mediaJSONMistakes = []mistake{
	{"media in JSON: unknown field", `{"handler":"media_edge","orgin":{}}`, []string{"orgin"}},
	{"media in JSON: nothing", `{"handler":"media_edge"}`, []string{"media_edge", "either a redirect or an origin"}},
	{"media in JSON: origin without endpoints", `{"handler":"media_edge","origin":{}}`, []string{"media_edge", "no endpoints"}},
	{"media in JSON: extension of null", `{"handler":"media_edge","origin":{"endpoints":["http://a.example"]},"match":{"extensions":[null]}}`, []string{"media_edge a.example", "extension 1", "null"}},
	{"media in JSON: empty endpoint", `{"handler":"media_edge","name":"x","origin":{"endpoints":[""]}}`, []string{"media_edge x", "endpoint 1"}},
	{"media in JSON: negative ttl", `{"handler":"media_edge","origin":{"endpoints":["http://a.example"]},"cache":{"ttl":{"segment":"-1s"}}}`, []string{"ttl segment is -1s"}},
	{"media in JSON: field in two spellings", `{"handler":"media_edge","origin":{"endpoints":["http://a.example"],"header":{"X-A":"1","x-a":"2"}}}`, []string{"two spellings"}},
	{"media in JSON: redirect of null", `{"handler":"media_edge","redirect":null}`, []string{"either a redirect or an origin"}},
	{"media in JSON: sign of nothing", `{"handler":"media_edge","redirect":{"to":"https://a.example","sign":{}}}`, []string{`sign ""`, "want s3"}},
	{"media in JSON: negative life", `{"handler":"media_edge","redirect":{"to":"https://a.example","sign":{"scheme":"nginx","keys":"testdata/media.keys","life":"-1h"}}}`, []string{"life of -1h"}},
	{"media in JSON: cors of nothing", `{"handler":"media_edge","redirect":{"to":"https://a.example"},"cors":{}}`, []string{"CORS", "no origins"}},
}
