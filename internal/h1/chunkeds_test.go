package h1

import (
	"strings"
)

// chunkeds are bodies behind a head that announces chunks.
var chunkeds = [][3]string{
	{"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"},
	{"several", "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "hello"},
	{"none", "0\r\n\r\n", ""},
	{"a last chunk of many zeros", "1\r\nh\r\n0000\r\n\r\n", "h"},
	{"leading zeros", "0005\r\nhello\r\n0\r\n\r\n", "hello"},
	{"hexadecimal in any case", "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a"},
	{"an extension", "5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"},
	{"extensions with values", "5;a=b;c=\"d e\"\r\nhello\r\n0\r\n\r\n", "hello"},
	{"a semicolon alone", "5;\r\nhello\r\n0\r\n\r\n", "hello"},
	{"line ends in content", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"},
	{"a chunk in content", "7\r\n0\r\n\r\nGE\r\n0\r\n\r\n", "0\r\n\r\nGE"},
	{"a trailer", "1\r\nh\r\n0\r\nX-A: b\r\n\r\n", "h"},
	{"a trailer of several fields", "1\r\nh\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n", "h"},
	{"no size", "\r\nhello\r\n0\r\n\r\n", "! without a size"},
	{"no size but an extension", ";a\r\nhello\r\n0\r\n\r\n", "! without a size"},
	{"a negative size", "-5\r\nhello\r\n0\r\n\r\n", "! without a size"},
	{"a size with plus", "+5\r\nhello\r\n0\r\n\r\n", "! without a size"},
	{"a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"a space before the size", " 5\r\nhello\r\n0\r\n\r\n", "! without a size"},
	{"a space behind the size", "5 \r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"a space before the extension", "5 ;a\r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"a tab behind the size", "5\t\r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"an underscore in the size", "1_0\r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"a comma in the size", "5,5\r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"a size beyond hexadecimal", "5g\r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"a NUL in the size", "5\x00\r\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"a size beyond int64", "8000000000000000\r\nhello\r\n0\r\n\r\n", "! chunk's size"},
	{"a size of 17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", "! chunk's size"},
	{"a size that wraps around", "10000000000000005\r\nhello\r\n0\r\n\r\n", "! chunk's size"},
	{"a size that is never reached", "7fffffffffffffff\r\nhello", "! unexpected EOF"},
	{"bare LF behind the size", "5\nhello\r\n0\r\n\r\n", "! bad character in a chunk's size"},
	{"bare CR behind the size", "5\rhello\r\n0\r\n\r\n", "! bare CR"},
	{"CR CR LF behind the size", "5\r\r\nhello\r\n0\r\n\r\n", "! bare CR"},
	{"bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", "! control character in a chunk's extension"},
	{"bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", "! bare CR"},
	{"a NUL in an extension", "5;a\x00\r\nhello\r\n0\r\n\r\n", "! control character in a chunk's extension"},
	{"a long extension", "5;" + strings.Repeat("a", 256) + "\r\nhello\r\n0\r\n\r\n", "hello"},
	{"too long an extension", "5;" + strings.Repeat("a", 257) + "\r\nhello\r\n0\r\n\r\n", "! a chunk's extension"},
	{"too many extensions", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 200) + "0\r\n\r\n", "! the extensions of chunks"},
	{"small chunks", strings.Repeat("1\r\nx\r\n", 5000) + "0\r\n\r\n", strings.Repeat("x", 5000)},
	{"bare LF behind content", "5\r\nhello\n0\r\n\r\n", "! goes on behind its size"},
	{"bare CR behind content", "5\r\nhello\r0\r\n\r\n", "! goes on behind its size"},
	{"nothing behind content", "5\r\nhello0\r\n\r\n", "! goes on behind its size"},
	{"content beyond its size", "4\r\nhello\r\n0\r\n\r\n", "! goes on behind its size"},
	{"content short of its size", "6\r\nhello\r\n0\r\n\r\n", "! goes on behind its size"},
	{"no last chunk", "5\r\nhello\r\n", "! unexpected EOF"},
	{"no end of the trailer", "5\r\nhello\r\n0\r\n", "! unexpected EOF"},
	{"bare LF behind the last chunk", "0\n\r\n", "! bad character in a chunk's size"},
	{"bare LF as the end", "0\r\n\n", "! bare LF"},
	{"a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "! folded"},
	{"a trailer with a bad name", "0\r\nA b: c\r\n\r\n", "! space in a field's name"},
	{"a trailer with a NUL", "0\r\nA: \x00\r\n\r\n", "! control character"},
	{"a length in the trailer", "0\r\nContent-Length: 5\r\n\r\n", "! framing in the trailer"},
	{"a TE in the trailer", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "! framing in the trailer"},
	{"a host in the trailer", "0\r\nHost: a\r\n\r\n", "! framing in the trailer"},
	{"too many trailers", "0\r\n" + strings.Repeat("A: b\r\n", 101) + "\r\n", "! too many fields"},
	{"too large a trailer", "0\r\nA: " + strings.Repeat("b", 8<<10) + "\r\n\r\n", "! a trailer"},
}

func init() {
	for _, c := range chunkeds {
		want := c[2]
		if !strings.HasPrefix(want, "! ") {
			want = "200 " + want
		}
		responses = append(responses, [3]string{"chunked: " + c[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + c[1], want})
	}
}
