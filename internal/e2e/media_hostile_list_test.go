package e2e

import "strings"

// hostileRequest is a request of the corpus: the bytes as they go over the wire, and
// what is to come of them. HOST stands for the edge's address.
type hostileRequest struct {
	raw  string
	want string // several are divided by |: see verdict
}

// shut at the end of a request closes the direction in which it was sent.
const shut = "\x00SHUT"

// What comes of a request, beside "media <path>", "part <path>" and "redirect
// <path>".
const (
	no   = "no"   // refused, or the connection is closed
	app  = "app"  // it is for the application
	cut  = "cut"  // in the middle of the answer
	none = "none" // an answer without content, such as 304
)

func plainGet(target string, fields ...string) string {
	return plainAsk("GET", target, fields...)
}

func plainAsk(method, target string, fields ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

// crooked are targets that have two readings, of which one is media. {P} is media
// or cdn: an origin is behind the one, a redirect behind the other.
var crooked = []string{
	// Dot segments, plain and encoded, once and twice.
	"/{P}/../app", "/{P}/..", "/{P}/.", "/{P}/./a.mp4", "/./{P}/a.mp4", "/../{P}/a.mp4", "/{P}/../{P}/a.mp4", "/{P}/x/../a.mp4", "/{P}/../../private/secret.mp4",
	"/{P}/%2e%2e/private/secret.mp4", "/{P}/%2E%2e/%2e%2E/private/secret.mp4", "/{P}/.%2e/private/secret.mp4", "/{P}/%2e./private/secret.mp4", "/{P}/%2e/a.mp4",
	"/app/../{P}/a.mp4", "/app/%2e%2e/{P}/a.mp4", "/{P}/a.mp4/..", "/{P}/a.mp4/.", "/{P}/a.mp4/../../../private/secret.mp4",
	"/{P}/..%252f..%252fprivate/secret.mp4", "/{P}/%252e%252e/private/secret.mp4", "/{P}/%25252e%25252e/private/secret.mp4", "/{P}/a%252emp4", "/{P}/%%32%65%%32%65/x.mp4",
	// Encoded slashes and backslashes.
	"/{P}%2fa.mp4", "/{P}/..%2fprivate%2fsecret.mp4", "/{P}/%2e%2e%2fprivate/secret.mp4", "/%2f{P}/a.mp4", "/{P}/x%2fa.mp4", "/{P}/%2f%2fevil.example/a.mp4",
	`/{P}\a.mp4`, `/{P}/..\private\secret.mp4`, `/\{P}/a.mp4`, `/{P}/\evil.example/a.mp4`, "/{P}%5ca.mp4", "/{P}/..%5c..%5cprivate%5csecret.mp4", "/%5c{P}/a.mp4",
	// Empty segments.
	"//{P}/a.mp4", "/{P}//a.mp4", "/{P}/a.mp4//", "/{P}//evil.example/a.mp4", "/{P}///evil.example/a.mp4", "//evil.example/{P}/a.mp4",
	// Control characters, and what would split a head.
	"/{P}/a.mp4%00", "/{P}/a%00.mp4", "/app%00/{P}/a.mp4", "/{P}/a.mp4%0d%0aX-Injected:%20yes", "/{P}/%0d%0aSet-Cookie:%20x=y/a.mp4", "/{P}/%0aX-Injected:yes.mp4",
	"/{P}/%E5%98%8A%E5%98%8DX-Injected:yes%00.mp4", "/{P}/a%0b.mp4", "/{P}/a%7f.mp4", "/{P}/a%c2%85.mp4", "/{P}/a%09.mp4",
	// What is not UTF-8, and percent signs that encode nothing.
	"/{P}/%c0%ae%c0%ae/private/secret.mp4", "/{P}/%e0%80%ae%e0%80%ae/private/secret.mp4", "/{P}%c0%afa.mp4", "/{P}/a%ff.mp4", "/{P}/a%ed%a0%80.mp4", "/{P}/a\xff.mp4",
	"/{P}/a%.mp4", "/{P}/a%zz.mp4", "/{P}/%u002e%u002e/private/secret.mp4", "/{P}/a.mp4%", "/{P}/a.mp4%2",
	// Parameters, queries and fragments in the path.
	"/{P}/a.mp4;x=y", "/{P}/a.mp4;jsessionid=1", "/{P};/a.mp4", "/{P}/..;/private/secret.mp4", "/{P}/..%3b/private/secret.mp4", "/{P}/a.mp4%3bx",
	"/{P}/a.mp4%3Facl", "/{P}/a.mp4%3fversionId=1", "/{P}/a.mp4%23x", "/{P}/a.mp4#x", "/app%3F/{P}/a.mp4", "/{P}/%23/../a.mp4",
	// Dots and spaces that file systems drop.
	"/{P}/a.mp4.", "/{P}/a.mp4%20", "/{P}./a.mp4", "/{P}/.../a.mp4", "/{P}%20/a.mp4", "/{P}/a.mp4%2e", "/{P}/dir%20/b.m4s",
	// Targets with an authority.
	"http://HOST//{P}/a.mp4", "http://HOST/{P}/../a.mp4", "http://user@HOST/{P}/a.mp4", "http://user:pass@HOST/{P}/a.mp4", "http://@HOST/{P}/a.mp4",
	"http://HOST\\@evil.example/{P}/a.mp4", "ftp://HOST/{P}/a.mp4", "file:///{P}/a.mp4", "http:///{P}/a.mp4",
	// What is no path, and spaces in targets.
	"{P}/a.mp4", "@evil.example/{P}/a.mp4", "/{P}/a b.mp4", "/{P}/a.mp4\tHTTP/1.1", "/{P}/a.mp4\x00", "/{P}/a\r.mp4",
}

// spelled are targets that have one reading, though not the usual spelling.
var spelled = [][2]string{
	{"/{P}/%61.mp4", "/a.mp4"}, {"/%{H}/a.mp4", "/a.mp4"}, {"/{P}/a%2emp4", "/a.mp4"}, {"/{P}/a.%6Dp4", "/a.mp4"}, {"/{P}/dir/%62.m4s", "/dir/b.m4s"},
	{"/{P}/c%20d%2Be%3Df.mp4", "/c d+e=f.mp4"}, {"/{P}/c%20d+e=f.mp4", "/c d+e=f.mp4"}, {"/{P}/%E2%82%AC.mp4", "/€.mp4"}, {"/{P}/€.mp4", "/€.mp4"},
	{"http://HOST/{P}/a.mp4", "/a.mp4"}, {"HTTP://HOST/{P}/a.mp4", "/a.mp4"}, {"http://host:1/{P}/a.mp4", "/a.mp4"},
	{"/{P}/a.mp4?", "/a.mp4"}, {"/{P}/a.mp4?x=/../../private/secret.mp4", "/a.mp4"}, {"/{P}/a.mp4?x=%0d%0aX-Injected:yes", "/a.mp4"}, {"/{P}/a.mp4?http://evil.example/", "/a.mp4"},
	{"/{P}/a.mp4?x=%", "/a.mp4"}, {"/{P}/a.mp4?%zz=1&x", "/a.mp4"}, {"/{P}/a.mp4?a;b;c", "/a.mp4"}, {"/{P}/a.mp4?&&&===", "/a.mp4"}, {"/{P}/a.mp4??x", "/a.mp4"}, {"/{P}/a.mp4?x#y", "/a.mp4"},
	// What buckets and CDNs take as commands.
	{"/{P}/a.mp4?acl", "/a.mp4"}, {"/{P}/a.mp4?uploads", "/a.mp4"}, {"/{P}/a.mp4?versionId=null", "/a.mp4"}, {"/{P}/a.mp4?list-type=2&prefix=private", "/a.mp4"},
	{"/{P}/a.mp4?response-content-type=text/html&response-content-disposition=inline", "/a.mp4"}, {"/{P}/a.mp4?delete", "/a.mp4"}, {"/{P}/a.mp4?torrent", "/a.mp4"},
	{"/{P}/a.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00&X-Amz-Credential=x&X-Amz-Date=x&X-Amz-Expires=604800", "/a.mp4"}, {"/{P}/a.mp4?x-amz-security-token=x", "/a.mp4"},
	{"/{P}/a.mp4?hdnts=exp=9999999999~acl=/*~hmac=00", "/a.mp4"}, {"/{P}/a.mp4?__token__=x&Policy=x&Signature=x&Key-Pair-Id=x", "/a.mp4"}, {"/{P}/a.mp4?Expires=1&KeyName=k&Signature=x&URLPrefix=x", "/a.mp4"},
	{"/{P}/a.mp4?verify=1-x", "/a.mp4"}, {"/{P}/a.mp4?md5=x&expires=1", "/a.mp4"}, {"/{P}/a.mp4?CMCD=sid%3D%22x%22", "/a.mp4"}, {"/{P}/a.mp4?CM%43D=x&cmcd=y&CMCD", "/a.mp4"},
	{"/{P}/a.mp4?_HLS_msn=1&_HLS_part=99", "/a.mp4"}, {"/{P}/live.m3u8?_HLS_msn=../../x&_HLS_skip=NO", "/live.m3u8"}, {"/{P}/live.m3u8?_HLS_msn=1%0d%0aX-Injected:yes", "/live.m3u8"},
	{"/{P}/a.mp4?v%00=1&%76", "/a.mp4"}, {"/{P}/a.mp4?callback=evil&utm_source=x&cb=12345", "/a.mp4"},
}

// elsewhere are targets beside the media: the application's, or nobody's.
var elsewhere = []hostileRequest{
	{plainGet("/mediafoo/a.mp4"), app}, {plainGet("/medi/a.mp4"), app}, {plainGet("/MEDIA/a.mp4"), app}, {plainGet("/Cdn/a.mp4"), app}, {plainGet("/x/media/a.mp4"), app}, {plainGet("/media"), app}, {plainGet("/cdn"), app},
	{plainGet("/cdn/"), app}, {plainGet("/cdn/page.html"), app}, {plainGet("/cdn/a.mp4/page"), app}, {plainGet("/cdn/.mp4"), app}, {plainGet("/cdn/a.mp4.exe"), app}, {plainGet("/cdn/a_mp4"), app}, {plainGet("/cdnx/a.mp4"), app},
	{plainGet("/media/"), no}, {plainGet("/media/dir"), no}, {plainGet("/media/dir/"), no}, {plainGet("/media/nothing.mp4"), no}, {plainGet("/media/a.mp4/"), no}, {plainGet("/media/media/a.mp4"), no}, {plainGet("/media/store/a.mp4"), no},
	{plainGet("/media/http://evil.example/a.mp4"), no}, {plainGet("/media/http:/evil.example/a.mp4"), no}, {plainGet("/media/evil.example:80/a.mp4"), no}, {plainGet("/media/@evil.example/a.mp4"), no}, {plainGet("/media/.git/config"), no},
	{plainGet("/cdn/@evil.example/a.mp4"), "redirect /@evil.example/a.mp4"}, {plainGet("/cdn/evil.example/a.mp4"), "redirect /evil.example/a.mp4"}, {plainGet("/cdn/http:/evil.example/a.mp4"), "redirect /http:/evil.example/a.mp4"},
	{plainGet("/cdn/.evil.example/a.mp4"), "redirect /.evil.example/a.mp4"}, {plainGet("/cdn/:80@evil.example/a.mp4"), "redirect /:80@evil.example/a.mp4"}, {plainGet("/cdn/~hmac=00~acl=*/a.mp4"), "redirect /~hmac=00~acl=*/a.mp4"},
	{plainGet("/cdn/*/a.mp4"), "redirect /*/a.mp4"}, {plainGet("/cdn/<script>/a.mp4"), "redirect /<script>/a.mp4"}, {plainGet("/cdn/%22onload=%22/a.mp4"), "redirect /\"onload=\"/a.mp4"},
	{plainGet("/private/secret.mp4"), app}, {plainGet("/store/a.mp4"), app}, {plainGet("*"), no + "|" + app}, {plainGet("//"), no}, {plainGet("/?/media/a.mp4"), app}, {plainGet("/#/media/a.mp4"), no + "|" + app},
	{plainGet("/cmcd"), no}, {plainAsk("PUT", "/cmcd"), no}, {plainAsk("POST", "/cmcd", "Content-Length: 3") + "x\x00\xff", none}, {plainGet("/media/" + strings.Repeat("a", 5000) + ".mp4"), no},
	{plainGet("/cdn/" + strings.Repeat("a", 5000) + ".mp4"), no}, {plainGet("/media/a.mp4?" + strings.Repeat("x=1&", 5000)), no}, {plainGet("/cdn/a.mp4?v=" + strings.Repeat("x", 20000)), no},
	{plainGet("/media/" + strings.Repeat("%2525", 20000) + ".mp4"), no}, {plainGet("/media/" + strings.Repeat("a/", 2000) + "a.mp4"), no},
}

// laden are fields of a request for an object that must make no difference to
// what it is, and never reach the origin.
var laden = []string{
	"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443", "Forwarded: host=evil.example;proto=http", "X-Forwarded-Prefix: /private",
	"X-Forwarded-Uri: /private/secret.mp4", "X-Host: evil.example", "X-Original-URL: /private/secret.mp4", "X-Rewrite-URL: /private/secret.mp4", "X-Real-IP: 127.0.0.1", "True-Client-IP: 127.0.0.1",
	"X-HTTP-Method-Override: DELETE", "X-Method-Override: PUT", "X-HTTP-Method: PUT", "Authorization: AWS4-HMAC-SHA256 Credential=x", "Authorization: Basic eDp5", "Proxy-Authorization: Basic eDp5",
	"Cookie: session=secret; CloudFront-Policy=x", "Cookie2: $Version=1", "X-Amz-Security-Token: x\r\nX-Amz-Date: 20260101T000000Z", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD", "X-Amz-Copy-Source: /other/secret",
	"X-Amz-Server-Side-Encryption-Customer-Key: x", "X-Goog-User-Project: evil", "X-Ms-Blob-Type: x", "Accept-Encoding: gzip, br, zstd, *;q=0", "Accept-Encoding: identity;q=0", "Accept: text/html\r\nAccept-Language: xx",
	"Origin: https://evil.example", "Origin: null", "Origin: https://player.example.com", "Origin: https://player.example.com\r\nOrigin: https://evil.example", "Referer: https://evil.example/?token=x", "Vary: *", "TE: trailers, gzip;q=1",
	"Trailer: X-Injected", "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Cache-Control: no-cache, no-store, max-age=0\r\nPragma: no-cache",
	"Connection: close, X-Secret, Host", "Connection: Range\r\nRange: bytes=0-1,bytes=", "Keep-Alive: timeout=99999", "Expect: 100-continue", "Content-Length: 0", "Via: 1.1 greenroom, 1.1 greenroom", "Max-Forwards: 0", "CDN-Loop: greenroom",
	"Surrogate-Capability: x", "X-Accel-Redirect: /private/secret.mp4", "X-Sendfile: /etc/passwd", "CMCD-Session: sid=\"" + strings.Repeat("x", 3000) + "\"", "CMCD-Object: ((((\"", "Cmcd-Request: \x80\xff", "X-Padding: " + strings.Repeat("x", 8000),
	"Early-Data: 1", "Priority: u=0, i", "Sec-Fetch-Dest: document", "X-Greenroom-Color: green\r\nX-Preview: 1", "X-Cache-Key: /private/secret.mp4", "X-Injected: yes", "Host-Override: evil.example",
	// Ranges that are none, and conditions that do not hold.
	"Range: bytes=", "Range: bytes=-", "Range: bytes=a-b", "Range: bytes=5-4", "Range: items=0-1", "Range: bytes 0-1", "Range: bytes=0x0-0x1", "Range: bytes=+0-1", "Range: bytes=0--1", "Range: bytes=18446744073709551616-",
	"Range: bytes=0-0\r\nRange: bytes=1-1", "Range: bytes=0-1\r\nIf-Range: \"another\"", "Range: bytes=0-1\r\nIf-Range: W/\"x\"", "Range: bytes=0-1\r\nIf-Range: yesterday", "Range: bytes=-0,-0", "Range: bytes=" + strings.Repeat("0-0,", 100) + "0-0",
	"Range: bytes=0-1;x", "Range: none", "Range: bytes=" + strings.Repeat("9", 400) + "-", "If-None-Match: \"another\"", "If-Modified-Since: never", "If-Unmodified-Since: never", "If-None-Match: " + strings.Repeat("\"x\",", 5000) + "\"x\"",
}

// parted are fields of a request for /media/a.mp4 to which a part, or something
// else than all of it, is the answer.
var parted = []hostileRequest{
	{"Range: bytes=0-0", "part /a.mp4"}, {"Range: bytes=-1", "part /a.mp4"}, {"Range: bytes=0-", "part /a.mp4"}, {"range: BYTES=0-1", "part /a.mp4|media /a.mp4"}, {"Range: bytes=0-0,2-2,4-4", "part /a.mp4|media /a.mp4"},
	{"Range: bytes=0-18446744073709551615", "part /a.mp4|media /a.mp4"}, {"Range: bytes=0-999999999999999999", "part /a.mp4|media /a.mp4"}, {"Range: bytes= 0 - 1", "part /a.mp4|media /a.mp4"},
	{"Range: bytes=99999999999-", no}, {"Range: bytes=99999999999-99999999999999", no}, {"Range: bytes=-0", no + "|media /a.mp4"}, {"Range: bytes=0-,0-,0-,0-,0-", "part /a.mp4|media /a.mp4"},
	{"Range: bytes=" + strings.Repeat("0-,", 14) + "0-", "part /a.mp4|media /a.mp4"}, {"If-None-Match: *", none}, {"If-Match: \"another\"", no}, {"If-Match: *", "media /a.mp4"}, {"If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", no + "|media /a.mp4"},
	{"If-Match: " + strings.Repeat("\"x\",", 5000) + "\"x\"", no}, {"Cache-Control: only-if-cached", "media /a.mp4|no"}, {"Range: bytes=0-1,", "part /a.mp4|media /a.mp4"}, {"Range: bytes=,0-1", "part /a.mp4|media /a.mp4"},
}

// methods that nothing but GET and HEAD may be taken for.
var methods = []string{
	"PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "TRACK", "PROPFIND", "PURGE", "LINK", "SEARCH", "COPY", "MKCOL", "LOCK", "REPORT", "get", "Get", "GETX", "HEADGET", "G\xc3\x8bT", "PRI", "BREW",
}

// broken are bytes that are no request, or two. All for which a proxy and a
// server behind it might count bytes in two ways end with a request for what
// must never be asked for.
var broken = []hostileRequest{
	{"GET /media/a.mp4 HTTP/1.1\r\nConnection: close\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nRange : bytes=0-0\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nRange: bytes=0-1 ,\x00\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n", no}, {"GET /cdn/a.mp4 HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n", no},
	{"GET /cdn/a.mp4 HTTP/1.1\r\nHost: HOST\r\n Host: evil.example\r\n\r\n", no}, {"GET /cdn/a.mp4 HTTP/1.1\r\nHost: a b\r\n\r\n", no}, {"GET /cdn/a.mp4 HTTP/1.1\r\nHost: evil.example/x\r\n\r\n", no}, {"GET /cdn/a.mp4 HTTP/1.1\r\nHost : HOST\r\n\r\n", no},
	{"GET /cdn/a.mp4 HTTP/1.1\r\nHost: x@evil.example\r\nConnection: close\r\n\r\n", no + "|redirect /a.mp4"}, {"GET /media/a.mp4 HTTP/0.9\r\n\r\n", no}, {"GET /media/a.mp4\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/2.0\r\nHost: HOST\r\n\r\n", no},
	{"GET /media/a.mp4 HTTP/1.2\r\nHost: HOST\r\nConnection: close\r\n\r\n", no + "|media /a.mp4"}, {"GET /media/a.mp4 HTTP/9.9\r\nHost: HOST\r\n\r\n", no}, {"GET  /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\n\r\n", no}, {"GET /media/a.mp4  HTTP/1.1\r\nHost: HOST\r\n\r\n", no},
	{"GET /media/a.mp4 HTTP/1.1\nHost: HOST\nConnection: close\n\n", no + "|media /a.mp4"}, {"GET\t/media/a.mp4\tHTTP/1.1\r\nHost: HOST\r\n\r\n", no}, {"GET /media/a.mp4 http/1.1\r\nHost: HOST\r\n\r\n", no}, {"\r\n\r\nGET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", no + "|media /a.mp4"},
	{"GET /media/a.mp4 HTTP/1.0\r\n\r\n", "media /a.mp4"}, {"GET /cdn/a.mp4 HTTP/1.0\r\n\r\n", "redirect /a.mp4"}, {"GET /media/a.mp4 HTTP/1.0\r\nHost: HOST\r\nRange: bytes=0-0\r\n\r\n", "part /a.mp4|media /a.mp4"}, {"HEAD /media/a.mp4 HTTP/1.0\r\n\r\n", "media /a.mp4"},
	{"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "media /a.mp4"}, {"GET /cdn/a.mp4 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "redirect /a.mp4"},
	{"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 41\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET /private/secret.mp4 HTTP/1.1\r\nX: x\r\n", no + "|media /a.mp4"},
	{"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /private/secret.mp4 HTTP/1.1\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", no},
	{"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nContent-Length: +5\r\n\r\nhello", no},
	{"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nX-Bad\x00: x\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nX-Bad: a\x00b\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\n: x\r\n\r\n", no},
	{"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nX-Bad: a\rX-Injected: yes\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nRange: bytes=0-0\r\n ,5-5\r\nConnection: close\r\n\r\n", no + "|part /a.mp4|media /a.mp4"}, {"CONNECT /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", no},
	{"CONNECT evil.example:443 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", no}, {"CONNECT HOST HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", no}, {"OPTIONS * HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", no + "|" + app + "|" + none}, {"GET" + shut, no}, {"\x00\x00\x00\x00" + shut, no}, {"\x16\x03\x01\x00\x01\x00" + shut, no},
	{"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nX-Huge: " + strings.Repeat("x", 2<<20) + "\r\n\r\n", no}, {"GET /" + strings.Repeat("x", 2<<20) + " HTTP/1.1\r\nHost: HOST\r\n\r\n", no}, {"GET /cdn/a.mp4 HTTP/1.1\r\nHost: HOST\r\n" + strings.Repeat("X-Many: x\r\n", 20000) + "Connection: close\r\n\r\n", no + "|redirect /a.mp4"},
	{"PUT /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n", no}, {"PUT /cdn/a.mp4 HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n", no}, {"GET /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nExpect: 200-maybe\r\n\r\n", no},
	{"HEAD /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 46\r\nConnection: close\r\n\r\nGET /private/secret.mp4 HTTP/1.1\r\nHost: HOST\r\n\r\n", "media /a.mp4"}, {"OPTIONS /media/a.mp4 HTTP/1.1\r\nHost: HOST\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n", none},
}

// hosts are what a Host field may hold; {V} is a path of media.
var hosts = []hostileRequest{
	{"evil.example", "{V}"}, {"EVIL.EXAMPLE:80", "{V}"}, {"evil.example.", "{V}"}, {"127.0.0.1", "{V}"}, {"[::1]", "{V}"}, {"[::1]:80", "{V}"}, {"localhost", "{V}"}, {"cdn.example.com", "{V}"}, {"-", "{V}"}, {"a,b", "{V}|no"}, {"%00", "{V}|no"},
	{"evil.example:99999", "{V}|no"}, {"evil.example:x", "{V}|no"}, {"[::1", "{V}|no"}, {"x'\"<>", "{V}|no"}, {"", "{V}|no"}, {"xn--mnchen-3ya.example", "{V}"}, {"evil.example#", "{V}|no"}, {"..", "{V}|no"}, {strings.Repeat("a", 5000), "{V}|no"}, {"evil\texample", no}, {"münchen.example", "{V}|no"},
}

// corpus is all of it, over HTTP/1.1.
func corpus() (all []hostileRequest) {
	for _, p := range []struct{ prefix, hex, kind string }{{"media", "6dedia", "media"}, {"cdn", "63dn", "redirect"}} {
		place := strings.NewReplacer("{P}", p.prefix, "{H}", p.hex, "{V}", p.kind+" /a.mp4")
		for _, target := range crooked {
			all = append(all, hostileRequest{plainGet(place.Replace(target)), no})
		}
		for _, s := range spelled {
			all = append(all, hostileRequest{plainGet(place.Replace(s[0])), p.kind + " " + s[1]})
		}
		for _, fields := range laden {
			all = append(all, hostileRequest{plainGet("/"+p.prefix+"/a.mp4", fields), p.kind + " /a.mp4"})
		}
		for _, m := range methods {
			all = append(all, hostileRequest{plainAsk(m, "/"+p.prefix+"/a.mp4"), no})
		}
		for _, h := range hosts {
			all = append(all, hostileRequest{"GET /" + p.prefix + "/a.mp4 HTTP/1.1\r\nHost: " + h.raw + "\r\nConnection: close\r\n\r\n", place.Replace(h.want)})
		}
	}
	for _, h := range parted {
		all = append(all, hostileRequest{plainGet("/media/a.mp4", h.raw), h.want})
	}
	// Who closes one direction gets an answer or is cut, and never an empty one.
	for _, h := range []hostileRequest{{"/media/a.mp4", "media /a.mp4"}, {"/media/dir/b.m4s", "media /dir/b.m4s"}, {"/media/nothing.mp4", no}, {"/cdn/a.mp4", "redirect /a.mp4"}, {"/", app}} {
		all = append(all, hostileRequest{plainGet(h.raw) + shut, h.want + "|" + no + "|" + cut})
	}
	return append(append(all, elsewhere...), broken...)
}
