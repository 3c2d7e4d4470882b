package mediaedge

// hostile are request targets that must be answered 400: each is media to one
// reader and something else to another, or nothing at all.
var hostile = []string{
	// Dot segments, plain and encoded.
	"/vod/../app", "/vod/..", "/vod/.", "/vod/./a.mp4", "/./vod/a.mp4", "/../vod/a.mp4", "/vod/../a.mp4", "/vod/a/../../app.mp4",
	"/vod/%2e%2e/app.mp4", "/vod/%2E%2E/app.mp4", "/vod/.%2e/app.mp4", "/vod/%2e./app.mp4", "/vod/%2e/a.mp4", "/%2e%2e/vod/a.mp4",
	"/app/%2e%2e/vod/a.mp4", "/app/../vod/a.mp4", "/vod/a.mp4/..", "/vod/a.mp4/.", "/vod/a.mp4/%2e%2e", "/vod/a.mp4/../../app", "/vod/a.mp4/../",
	"/vod/.../../app.mp4", "/vod/x/..", "/..", "/.", "/../", "/./", "/%2e%2e", "/%2e", "/%2E/", "/vod/%2e%2e", "/vod/%2E.",

	// Encoded slashes and backslashes.
	"/vod%2fa.mp4", "/vod%2Fa.mp4", "/vod/..%2fapp.mp4", "/vod/..%2Fapp.mp4", "/vod/%2e%2e%2fapp.mp4", "/%2fvod/a.mp4", "/%2f/vod/a.mp4",
	"/app%2fa.mp4", "/app%2F..%2Fvod%2Fa.mp4", "/vod/a.mp4%2f", "/vod/a.mp4%2f..%2f..%2fapp", "/vod/%2f%2fevil.example/a.mp4", "%2fvod/a.mp4",
	`/vod\a.mp4`, `/vod\..\app.mp4`, `/vod/..\app.mp4`, `\vod\a.mp4`, `/\vod/a.mp4`, `/\evil.example/a.mp4`, `/\/evil.example/a.mp4`, `/vod/a.mp4\`,
	"/vod%5ca.mp4", "/vod%5Ca.mp4", "/vod/..%5capp.mp4", "/vod/%2e%2e%5capp.mp4", "/%5cvod/a.mp4", "/vod/a.mp4%5c..%5capp", "/%5c%5cevil.example/a.mp4",

	// Double encoding.
	"/vod/%252e%252e/app.mp4", "/vod/%252e%252e%252fapp.mp4", "/vod%252fa.mp4", "/vod%255ca.mp4", "/vod/a%25.mp4", "/vod/%25%32%65/app.mp4",
	"/vod/%25252e%25252e/app.mp4", "/vod/a%252emp4", "/vod/a.mp4%2500", "/vod/a.mp4%253b", "/vod/100%25.mp4", "/vod/a.mp4%25", "/vod/%2525/a.mp4",
	"/vod/%2%65%2%65/app.mp4", "/vod/%%32%65/app.mp4",

	// Empty segments.
	"//vod/a.mp4", "/vod//a.mp4", "/vod/a.mp4//", "///vod/a.mp4", "//", "/vod//", "//evil.example/vod/a.mp4", "//evil.example", "/app//vod/a.mp4",
	"/vod/a//b.mp4", "//vod//a.mp4", "/vod///a.mp4", "//a.mp4", "//@evil.example/a.mp4", "//evil.example:80/a.mp4",

	// NUL and other control characters.
	"/vod/a.mp4%00", "/vod/a%00.mp4", "/app%00.mp4", "/app.php%00.mp4", "/%00/vod/a.mp4", "/vod/%00a.mp4", "/vod/a.mp4%00.html", "/vod/a.mp4\x00",
	"/vod/a%0a.mp4", "/vod/a%0d%0aSet-Cookie:x.mp4", "/vod/a.mp4%0d%0a", "/vod/a%09.mp4", "/vod/a%7f.mp4", "/vod/a%1b.mp4", "/vod/a%08.mp4",
	"/vod/a.mp4%0a", "/vod/a.mp4%09", "/vod/a%c2%85.mp4", "/vod/a%C2%80.mp4", "/vod/a%c2%9f.mp4", "/vod/a\u0085.mp4", "/vod/a%01.mp4", "/vod/a\x7f.mp4",
	"/app%0a/a.mp4", "/app%0d/a.mp4", "/vod/a\x01.mp4", "/vod/a%0B.mp4", "/vod/a%0C.mp4", "/vod/a%1F.mp4",

	// What is not UTF-8, overlong forms, surrogates.
	"/vod/%c0%ae%c0%ae/app.mp4", "/vod/%c0%afapp.mp4", "/vod%c0%afa.mp4", "/vod/%e0%80%ae/app.mp4", "/vod/%e0%80%afapp.mp4", "/vod/%f0%80%80%ae/a.mp4",
	"/vod/%c1%9capp.mp4", "/vod/caf%e9.mp4", "/vod/a%ff.mp4", "/vod/a%fe.mp4", "/vod/a%80.mp4", "/vod/%ed%a0%80.mp4", "/vod/%ed%bf%bf.mp4",
	"/vod/%f5%80%80%80.mp4", "/vod/%f8%80%80%80%ae.mp4", "/vod/a%c3.mp4", "/vod/a%e2%82.mp4", "/vod/a\xff.mp4", "/vod/\xc0\xae\xc0\xae/app.mp4",

	// Percent signs that encode nothing.
	"/vod/a%.mp4", "/vod/a%2.mp4", "/vod/a.mp4%", "/vod/a.mp4%2", "/vod/a%zz.mp4", "/vod/%u002e%u002e/app.mp4", "/vod/%u2215app.mp4", "/vod/a%2 f.mp4",
	"/vod/a%-1.mp4", "/vod/%%/a.mp4", "/vod/a%x2e.mp4", "/vod/a%0x2e.mp4",

	// Parameters.
	"/vod/a.mp4;", "/vod/a.mp4;jsessionid=1", "/app;.mp4", "/app;x=a.mp4", "/app;/a.mp4", "/vod/..;/app.mp4", "/vod/.;/a.mp4", "/vod;x=y/a.mp4",
	"/vod/a.mp4%3b", "/app%3B.mp4", "/vod/..%3b/app.mp4", "/vod/%2e%2e;/app.mp4", "/;/vod/a.mp4", "/vod/;a.mp4", "/app%3bx%3da.mp4", "/vod/a;b.mp4",

	// Queries and fragments that come encoded, and fragments.
	"/app%3F.mp4", "/app%3fx=a.mp4", "/vod/a.mp4%3Fx=y", "/vod/a.mp4%3f", "/app%23.mp4", "/vod/a.mp4%23", "/app%23/a.mp4", "/vod/%23/../a.mp4",
	"/app#.mp4", "/vod/a.mp4#", "/vod/#a.mp4", "/app%3F/vod/a.mp4",

	// Dots and spaces that file systems drop.
	"/vod/a.mp4.", "/vod/a.mp4..", "/vod/a.mp4...", "/vod/a.mp4%2e", "/vod./a.mp4", "/vod../a.mp4", "/vod.../a.mp4", "/vod/a.mp4%20", "/vod%20/a.mp4",
	"/vod/a.mp4.%20", "/vod/a.mp4%20.", "/vod/...", "/vod/%20/a.mp4", "/%20", "/vod/a./b.mp4",

	// Authorities, absolute forms and what is no path.
	"http://evil.example", "http:vod/a.mp4", "http:", "vod/a.mp4", "a.mp4", "*", "", "?", "?a.mp4", "media.example.com:443", "@evil.example/a.mp4",
	"http://user@media.example.com/vod/a.mp4", "http://user:pass@media.example.com/vod/a.mp4", "http://@media.example.com/vod/a.mp4",
	"ftp://media.example.com/vod/a.mp4", "file:///vod/a.mp4", "javascript:/vod/a.mp4", "http:///vod/a.mp4/..", "http://media.example.com//vod/a.mp4",
	"http://media.example.com/vod/../a.mp4", "http://media.example.com", "https:/vod/../a.mp4", "data:,/vod/a.mp4", "http:\\\\evil.example\\a.mp4",
}

// spellings are targets that are written otherwise than need be, but have one
// reading: the canonical path that stands beside them.
var spellings = [][2]string{
	{"/vod/a.mp4", "/vod/a.mp4"}, {"/vod/a.mp4?x=/../y", "/vod/a.mp4"}, {"/vod/a.mp4?x=%2F%00%25;y#z", "/vod/a.mp4"}, {"/vod/a.mp4?", "/vod/a.mp4"},
	{"/%76od/a.mp4", "/vod/a.mp4"}, {"/%76%6F%64/%61%2Emp4", "/vod/a.mp4"}, {"/vod/a%2emp4", "/vod/a.mp4"}, {"/vod/a.%6dp4", "/vod/a.mp4"},
	{"/vod/a.MP4", "/vod/a.MP4"}, {"/vod/a%20b.mp4", "/vod/a b.mp4"}, {"/vod/a+b.mp4", "/vod/a+b.mp4"}, {"/vod/a%2bb.mp4", "/vod/a+b.mp4"},
	{"/vod/a=b.mp4", "/vod/a=b.mp4"}, {"/vod/a%3db.mp4", "/vod/a=b.mp4"}, {"/vod/%E2%82%AC.mp4", "/vod/€.mp4"}, {"/vod/€.mp4", "/vod/€.mp4"},
	{"/vod/a..b.mp4", "/vod/a..b.mp4"}, {"/vod/..a.mp4", "/vod/..a.mp4"}, {"/vod/.well-known/a.mp4", "/vod/.well-known/a.mp4"},
	{"/vod/a:b@c,d!e$f&g'h(i)*.mp4", "/vod/a:b@c,d!e$f&g'h(i)*.mp4"}, {"/vod/%2a.mp4", "/vod/*.mp4"}, {"/vod/~a.mp4", "/vod/~a.mp4"},
	{"/vod/%7Ea.mp4", "/vod/~a.mp4"}, {"/vod/e%CC%81.mp4", "/vod/e\u0301.mp4"}, {"/vod/第１話／前編.mp4", "/vod/第１話／前編.mp4"},
	{"http://media.example.com/vod/a.mp4", "/vod/a.mp4"}, {"http://MEDIA.example.com/vod/%61.mp4", "/vod/a.mp4"},
}
