package proxy

import (
	"fmt"
	"strings"
	"testing"
)

func TestNoClientSmugglesARequest(t *testing.T) {
	besiege(t, func(t *testing.T, s *siege) {
		for n, c := range hostileRequests() {
			s.throw(t, n, c)
		}
		t.Logf("%d requests", len(hostileRequests()))
	})
}

// posting is a POST with fields, each of which ends itself, and what follows the head.
func posting(fields, rest string) string {
	return "POST TARGET HTTP/1.1\r\nHost: HOST\r\n" + fields + "\r\n" + rest
}

func getting(fields string) string { return "GET TARGET HTTP/1.1\r\nHost: HOST\r\n" + fields + "\r\n" }

// asChunk has smuggled as the content of a chunk, and then the end.
const asChunk = smuggledHex + "\r\n" + smuggled + "\r\n0\r\n\r\n"

func hostileRequests() (all []hostileRequest) {
	add := func(name, raw, want, body string) {
		all = append(all, hostileRequest{name, raw, want, body})
	}
	chunkedFields, length := "Transfer-Encoding: chunked\r\n", "Content-Length: 49\r\n"

	add("plain", getting(""), passed, "")
	add("a length", posting(length, smuggled), passed, smuggled)
	add("chunks", posting(chunkedFields, asChunk), passed, smuggled)

	// Two framings. net/http takes the chunks, as RFC 9112 §6.3 has it; that the
	// connection has to end then it does not know.
	add("a length that covers the chunks", posting("Content-Length: 45\r\n"+chunkedFields, "0\r\n\r\nGET TARGET/next HTTP/1.1\r\nHost: HOST\r\n\r\n"), passed, "")
	add("chunks behind a shorter length", posting("Content-Length: 4\r\n"+chunkedFields, asChunk), passed, smuggled)
	add("chunks before a shorter length", posting(chunkedFields+"Content-Length: 4\r\n", asChunk), passed, smuggled)
	add("chunks and a length of 0", posting("Content-Length: 0\r\n"+chunkedFields, asChunk), passed, smuggled)
	add("chunks and a bad length", posting("Content-Length: x\r\n"+chunkedFields, asChunk), open, smuggled)
	add("chunks and two lengths", posting("Content-Length: 0\r\nContent-Length: 49\r\n"+chunkedFields, asChunk), open, smuggled)

	for _, te := range []string{
		"chunked, identity", "identity, chunked", "identity", "xchunked", "chunkedx", "chunked, chunked", "gzip, chunked", "chunked, gzip", "gzip", "chunked;q=1", "chunked,", ",chunked",
		"\"chunked\"", "'chunked'", "chunked\x0b", "\x0bchunked", "\x0cchunked", "chunked\x00", "chunked\x7f", "\u00a0chunked", "chun\u212aed", "ch\u00fcnked", "chunked chunked", "cow", "", "*", "chunked\rX: x", "chunked\r\r",
	} {
		add(fmt.Sprintf("TE %q", te), posting("Transfer-Encoding: "+te+"\r\n", asChunk), stopped, "")
		add(fmt.Sprintf("TE %q and a length", te), posting(length+"Transfer-Encoding: "+te+"\r\n", smuggled), stopped, "")
	}
	add("TE in capitals", posting("TRANSFER-ENCODING: CHUNKED\r\n", asChunk), passed, smuggled)
	add("TE behind white space", posting("Transfer-Encoding: \t chunked \t\r\n", asChunk), passed, smuggled)
	add("TE twice", posting(chunkedFields+chunkedFields, asChunk), stopped, "")
	add("TE twice, the second identity", posting(chunkedFields+"Transfer-Encoding: identity\r\n", asChunk), stopped, "")
	add("TE twice, the first identity", posting("Transfer-Encoding: identity\r\n"+chunkedFields, asChunk), stopped, "")
	add("TE twice, the second unknown", posting(chunkedFields+"Transfer-Encoding: cow\r\n", asChunk), stopped, "")
	add("TE with a space before its colon", posting(length+"Transfer-Encoding : chunked\r\n", smuggled), stopped, "")
	add("TE with a tab before its colon", posting(length+"Transfer-Encoding\t: chunked\r\n", smuggled), stopped, "")
	add("TE behind a fold", posting(length+"X: x\r\n Transfer-Encoding: chunked\r\n", smuggled), open, smuggled)
	add("TE whose value is folded", posting(length+"Transfer-Encoding:\r\n chunked\r\n", smuggled), open, smuggled)
	add("TE behind a bare CR", posting(length+"X: x\rTransfer-Encoding: chunked\r\n", smuggled), stopped, "")
	add("TE behind a bare LF", posting("X: x\nTransfer-Encoding: chunked\r\n", asChunk), passed, smuggled)
	add("TE with an underscore", posting(length+"Transfer_Encoding: chunked\r\n", smuggled), passed, smuggled)
	add("TE with a space before its name", posting(length+"X: x\r\n\tTransfer-Encoding: chunked\r\n", smuggled), open, smuggled)
	add("TE as the first field behind white space", "POST TARGET HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: HOST\r\n"+length+"\r\n"+smuggled, stopped, "")
	add("TE that Connection names", posting("Connection: Transfer-Encoding\r\n"+chunkedFields, asChunk), passed, smuggled)
	add("a length that Connection names", posting("Connection: Content-Length\r\n"+length, smuggled), passed, smuggled)
	add("a Host that Connection names", posting("Connection: Host\r\n"+length, smuggled), passed, smuggled)

	addLengths(add)
	addChunks(add)
	addHeads(add)
	return all
}

// addLengths adds what is wrong, or odd, with lengths.
func addLengths(add func(name, raw, want, body string)) {
	chunkedFields, length := "Transfer-Encoding: chunked\r\n", "Content-Length: 49\r\n"
	for _, l := range []string{
		"+49", "-49", "-0", "-1", "49, 49", "49,49", "0, 49", "0x31", "0b1", "0o61", "4 9", "4_9", "49.0", "4e1", "49;x", "\"49\"", "49\x0b", "\x0b49", "49\x00", "\u00a049", "", "\u0664\u0660", "９", "NaN",
		"9223372036854775808", "18446744073709551665", "99999999999999999999999999", "49\r49", "49 HTTP/1.1",
	} {
		add(fmt.Sprintf("a length of %q", l), posting("Content-Length: "+l+"\r\n", smuggled), stopped, "")
	}
	add("a length with white space", posting("Content-Length: \t49 \t\r\n", smuggled), passed, smuggled)
	add("a length with zeros", posting("Content-Length: 00049\r\n", smuggled), passed, smuggled)
	add("the same length twice", posting(length+length, smuggled), passed, smuggled)
	add("two lengths", posting("Content-Length: 0\r\n"+length, smuggled), stopped, "")
	add("two lengths, the longer first", posting(length+"Content-Length: 0\r\n", smuggled), stopped, "")
	add("two spellings of a length", posting("Content-Length: 049\r\n"+length, smuggled), stopped, "")
	add("a length and an empty one", posting(length+"Content-Length:\r\n", smuggled), stopped, "")
	add("a length with a space before its colon", posting("Content-Length : 49\r\n", smuggled), stopped, "")
	add("a length behind a fold", posting("Content-Length: 4\r\n 9\r\n", smuggled), stopped, "")
	add("a length with an underscore", posting("Content_Length: 3\r\n"+length, smuggled), passed, smuggled)
	add("a GET with a length", "GET TARGET HTTP/1.1\r\nHost: HOST\r\n"+length+"\r\n"+smuggled, passed, smuggled)
	add("a HEAD with a length", "HEAD TARGET HTTP/1.1\r\nHost: HOST\r\n"+length+"\r\n"+smuggled, passed, smuggled)
	add("a DELETE with chunks", "DELETE TARGET HTTP/1.1\r\nHost: HOST\r\n"+chunkedFields+"\r\n"+asChunk, passed, smuggled)
	add("an OPTIONS with chunks", "OPTIONS TARGET HTTP/1.1\r\nHost: HOST\r\n"+chunkedFields+"\r\n"+asChunk, passed, smuggled)
}

// addChunks adds what is wrong, or odd, with chunks.
func addChunks(add func(name, raw, want, body string)) {
	for _, c := range [][2]string{
		{"an extension", ";a=b"}, {"an extension without a value", ";a"}, {"an extension of nothing", ";"}, {"an extension in quotes", ";a=\"b;c\""}, {"an open quote", ";a=\""},
		{"a space before an extension", " ;a"}, {"white space behind a size", " \t"}, {"an extension with a length", ";Content-Length: 3"},
	} {
		add("a chunk with "+c[0], posting("Transfer-Encoding: chunked\r\n", smuggledHex+c[1]+"\r\n"+smuggled+"\r\n0"+c[1]+"\r\n\r\n"), open, smuggled)
	}
	for _, c := range []string{
		"\n", ";a\n", ";\n", "\r", "\r\r\n", ";a\rb\r\n", " x\r\n", "x\r\n", "+\r\n", "\x00\r\n", ";\x00\r\n", ",31\r\n", "\x0b\r\n", ":\r\n",
	} {
		add(fmt.Sprintf("a chunk's line that ends with %q", c), posting("Transfer-Encoding: chunked\r\n", smuggledHex+c+smuggled+"\r\n0\r\n\r\n"), open, smuggled)
	}
	// Of these no reading has all of the smuggled one as content.
	for _, size := range []string{
		"0x31", "+31", "-31", "-0", " 31", "\t31", "", ";", "g", "0_0", "31h", "10000000000000031", "fffffffffffffffff", "7fffffffffffffff1", "\"31\"", strings.Repeat("0", 20) + "31", "３１", "31 31",
	} {
		add(fmt.Sprintf("a chunk's size of %q", size), posting("Transfer-Encoding: chunked\r\n", size+"\r\n"+smuggled+"\r\n0\r\n\r\n"), open, smuggled)
	}
	for _, size := range []string{"ffffffffffffffff", "8000000000000000", "7fffffffffffffff"} { // which never comes
		add("a chunk's size of "+size, posting("Transfer-Encoding: chunked\r\n", size+"\r\n"+smuggled+"\r\n0\r\n\r\n")+shut, open, smuggled+"\r\n0\r\n\r\n")
	}
	add("a chunk that is longer than its size", posting("Transfer-Encoding: chunked\r\n", "5\r\nhello"+smuggled+"\r\n0\r\n\r\n"), open, "hello")
	add("a chunk without CRLF behind it", posting("Transfer-Encoding: chunked\r\n", "5\r\nhello0\r\n\r\n"+smuggled), open, "hello")
	add("a chunk with LF behind it", posting("Transfer-Encoding: chunked\r\n", "5\r\nhello\n0\r\n\r\n"+smuggled), open, "hello")
	add("a chunk with CR behind it", posting("Transfer-Encoding: chunked\r\n", "5\r\nhello\r0\r\n\r\n"+smuggled), open, "hello")
	add("a chunk with XX behind it", posting("Transfer-Encoding: chunked\r\n", "5\r\nhelloXX0\r\n\r\n"+smuggled), open, "hello")
	add("an extension without an end", posting("Transfer-Encoding: chunked\r\n", "5;"+strings.Repeat("a", 100<<10)), open, "")
	add("very many extensions", posting("Transfer-Encoding: chunked\r\n", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 500)+"0\r\n\r\n"), open, strings.Repeat("x", 500))
	for name, trailer := range map[string]string{
		"a length": "Content-Length: 49\r\n", "TE": "Transfer-Encoding: chunked\r\n", "a Host": "Host: evil.example\r\n", "a trailer": "X-T: x\r\n", "a fold": "X-T: x\r\n y\r\n",
		"a space before a colon": "X-T : x\r\n", "no colon": "hello\r\n", "a NUL": "X-T: \x00\r\n", "a bare LF": "X-T: x\nX-U: y\r\n", "a bare CR": "X-T: x\rX-U: y\r\n", "a request line": "GET /smuggled HTTP/1.1\r\nHost: HOST\r\n",
	} {
		for _, announced := range []string{"", "Trailer: X-T\r\n", "Trailer: Content-Length, Transfer-Encoding, Host\r\n", "Trailer: X-T\r\nConnection: X-T\r\n"} {
			add("a trailer with "+name+", announced "+announced, posting("Transfer-Encoding: chunked\r\n"+announced, "5\r\nhello\r\n0\r\n"+trailer+"\r\n"), open, "hello")
		}
	}
}

// addHeads adds what is wrong, or odd, with heads.
func addHeads(add func(name, raw, want, body string)) {
	for _, field := range []string{
		"X : x", "X\t: x", ": x", "X", "X x: x", "X\x00: x", "X: \x00", "X: a\rb", "X\r: x", "X\x0b: x", "X: \x0b", "X: \x7f", "X: \x1b[2J", "X\u00e9: x", "X(: x", "\"X\": x", "X/: x", "X@: x", "[X]: x", "X;: x",
		"GET /smuggled HTTP/1.1", "Host: evil.example", "Host: HOST", "Host : evil.example", "X: x\r\n\x00", "\x00X: x",
	} {
		add(fmt.Sprintf("the field %q", field), getting(field+"\r\n"), stopped, "")
	}
	for _, field := range []string{
		"X: x\r\n folded", "X: x\r\n\tGET /smuggled HTTP/1.1", "X:\r\n ", "X: a\n b", "X:x", "X:", "X:  a \t b  ", "X: \xe9\xff", "X: %0d%0aTransfer-Encoding: chunked", "X_Y: x", "Host_: evil.example", "X: " + strings.Repeat("x", 30000),
		"Expect: 100-continue", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "Connection: keep-alive, X", "Connection: " + strings.Repeat("a,", 60) + "a", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
		"Upgrade: websocket", "Upgrade: x\r\nConnection: Upgrade", "TE: trailers, chunked", "Trailer: Content-Length", "Max-Forwards: 0", "X-HTTP-Method-Override: CONNECT", "Content-Type: message/http", "Range: bytes=0-0",
	} {
		add(fmt.Sprintf("the field %.60q", field), getting(field+"\r\n"), open, "")
	}
	for _, line := range []string{
		"GET TARGET", "GET TARGET HTTP/1.1 x", "GET  TARGET HTTP/1.1", "GET TARGET  HTTP/1.1", " GET TARGET HTTP/1.1", "GET\tTARGET\tHTTP/1.1", "GET TARGET HTTP/1.1\r", "GET TARGET\x00 HTTP/1.1", "GET TARGET\x0b HTTP/1.1", "GET TARGET\rX HTTP/1.1",
		"GET TARGET http/1.1", "GET TARGET HTTP/1.2x", "GET TARGET HTTP/2.0", "GET TARGET HTTP/11", "GET TARGET HTTP/1", "GET TARGET HTTP/0.9", "G(T TARGET HTTP/1.1", "GE\x00T TARGET HTTP/1.1", "\x00GET TARGET HTTP/1.1", "GET: TARGET HTTP/1.1",
		"CONNECT HOST HTTP/1.1", "CONNECT TARGET HTTP/1.1", "TRACE TARGET HTTP/1.1", "GET TARGET/../x HTTP/1.1", "GET TARGET%2fx HTTP/1.1", "GET //evil.example TARGET HTTP/1.1", "GET evil.example HTTP/1.1", "PRI * HTTP/2.0",
	} {
		add(fmt.Sprintf("the line %q", line), line+"\r\nHost: HOST\r\n\r\n", stopped, "")
	}
	add("an absolute target", "GET http://HOSTTARGET HTTP/1.1\r\nHost: HOST\r\n\r\n", passed, "")
	add("an absolute target and another Host", "GET http://HOSTTARGET HTTP/1.1\r\nHost: evil.example\r\n\r\n", passed, "")
	add("an absolute target of another host", "GET http://evil.exampleTARGET HTTP/1.1\r\nHost: HOST\r\n\r\n", stopped, "")
	add("an absolute target with a user", "GET http://user@HOSTTARGET HTTP/1.1\r\nHost: HOST\r\n\r\n", open, "")
	add("an absolute target and two Hosts", "GET http://HOSTTARGET HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n", stopped, "")
	add("an absolute target without a Host", "GET http://HOSTTARGET HTTP/1.1\r\n\r\n", stopped, "")
	add("an absolute target of ftp", "GET ftp://HOSTTARGET HTTP/1.1\r\nHost: HOST\r\n\r\n", open, "")
	add("no Host", "GET TARGET HTTP/1.1\r\n\r\n", stopped, "")
	add("bare LFs", "GET TARGET HTTP/1.1\nHost: HOST\n\n", passed, "")
	add("empty lines before", "\r\n\r\nGET TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n", open, "")
	add("a head without an end", "GET TARGET HTTP/1.1\r\nHost: HOST\r\n"+strings.Repeat("X: y\r\n", 300<<10), stopped, "")
	add("HTTP/1.0", "GET TARGET HTTP/1.0\r\nHost: HOST\r\n\r\n", passed, "")
	add("HTTP/1.0 with keep-alive", "GET TARGET HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n", passed, "")
	add("HTTP/1.0 with a length", "POST TARGET HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\nContent-Length: 49\r\n\r\n"+smuggled, passed, smuggled)
	add("HTTP/1.0 with chunks", "POST TARGET HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"+asChunk, open, "")
	add("HTTP/1.0 with chunks and a length", "POST TARGET HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n"+asChunk, open, asChunk)
	add("HTTP/1.0 with Expect", "POST TARGET HTTP/1.0\r\nHost: HOST\r\nExpect: 100-continue\r\nConnection: keep-alive\r\nContent-Length: 49\r\n\r\n"+smuggled, open, smuggled)
	add("Expect, and no waiting", posting("Expect: 100-continue\r\nContent-Length: 49\r\n", smuggled), passed, smuggled)
	add("Expect of something else", posting("Expect: 100-continue, x\r\nContent-Length: 49\r\n", smuggled), open, smuggled)
	add("less than a length", posting("Content-Length: 50\r\n", smuggled)+shut, open, smuggled)
	add("less than a chunk", posting("Transfer-Encoding: chunked\r\n", "32\r\n"+smuggled)+shut, open, smuggled)
	add("no last chunk", posting("Transfer-Encoding: chunked\r\n", "31\r\n"+smuggled+"\r\n")+shut, open, smuggled)
	add("half of a last chunk", posting("Transfer-Encoding: chunked\r\n", "31\r\n"+smuggled+"\r\n0\r\n")+shut, open, smuggled)
}
