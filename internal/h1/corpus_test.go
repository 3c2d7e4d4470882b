package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// responses are what upstreams may say to a GET, or to a HEAD where a name
// begins so, and what is to become of it: "200 body", with "; close" where the
// connection may not serve again, or "! " and what the error tells.
var responses = [][3]string{
	{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello"},
	{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 "},
	{"no reason", "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", "200 x"},
	{"no reason, no space", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", "200 x"},
	{"a reason of bytes beyond ASCII", "HTTP/1.1 404 gefällt\r\nContent-Length: 0\r\n\r\n", "404 "},
	{"an odd status", "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", "999 "},
	{"no fields", "HTTP/1.1 200 OK\r\n\r\nrest", "200 rest; close"},
	{"white space around values", "HTTP/1.1 200 OK\r\nContent-Length: \t 2 \t\r\n\r\nab", "200 ab"},
	{"no white space", "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nab", "200 ab"},
	{"an empty value", "HTTP/1.1 200 OK\r\nX:\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"names in any case", "HTTP/1.1 200 OK\r\ncONTENT-lENGTH: 2\r\n\r\nab", "200 ab"},
	{"leading zeros", "HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nab", "200 ab"},
	{"the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"connection close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", "200 ab; close"},
	{"connection close in a list", "HTTP/1.1 200 OK\r\nConnection: x, CLOSE ,y\r\nContent-Length: 2\r\n\r\nab", "200 ab; close"},
	{"connection close in a second line", "HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", "200 ab; close"},
	{"connection closely", "HTTP/1.1 200 OK\r\nConnection: closely\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"keep-alive", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"until close", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nab", "200 ab; close"},

	{"204", "HTTP/1.1 204 No Content\r\n\r\n", "204 "},
	{"204 with a length of zero", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 "},
	{"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "204 ; close"},
	{"204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "204 ; close"},
	{"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 "},
	{"304 with content", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "304 ; close"},
	{"205 with content", "HTTP/1.1 205 Reset\r\nContent-Length: 5\r\n\r\nhello", "205 hello"},
	{"HEAD with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 "},
	{"HEAD without a length", "HTTP/1.1 200 OK\r\n\r\n", "200 "},
	{"HEAD with chunks announced", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 "},
	{"HEAD with content", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 ; close"},
	{"HEAD with both", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "! both"},
	{"HEAD with a bad length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "! bad Content-Length"},

	{"bytes behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", "200 ab; close"},
	{"a response behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxx", "200 ab; close"},
	{"a line end behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\r\n", "200 ab; close"},
	{"bytes behind no content", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", "200 ; close"},
	{"bytes behind 204", "HTTP/1.1 204 No\r\n\r\nx", "204 ; close"},
	{"bytes behind chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nx", "200 ab; close"},
	{"a response behind a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "200 ; close"},
	{"less than a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "! unexpected EOF"},

	{"length with chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! both"},
	{"chunks with length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", "! both"},
	{"length zero with chunks", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! both"},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "! several"},
	{"two lengths that are equal as numbers", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 02\r\n\r\nab", "! several"},
	{"three lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "! several"},
	{"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab", "! bad Content-Length"},
	{"a list of other lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2,3\r\n\r\nab", "! bad Content-Length"},
	{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "! bad Content-Length"},
	{"a length of minus zero", "HTTP/1.1 200 OK\r\nContent-Length: -0\r\n\r\n", "! bad Content-Length"},
	{"a length with plus", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", "! bad Content-Length"},
	{"an empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "! bad Content-Length"},
	{"an empty length beside one", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length:\r\n\r\nab", "! several"},
	{"a hexadecimal length", "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nab", "! bad Content-Length"},
	{"a length of digits and letters", "HTTP/1.1 200 OK\r\nContent-Length: 2a\r\n\r\nab", "! bad Content-Length"},
	{"a length with a fraction", "HTTP/1.1 200 OK\r\nContent-Length: 2.0\r\n\r\nab", "! bad Content-Length"},
	{"a length with an exponent", "HTTP/1.1 200 OK\r\nContent-Length: 2e0\r\n\r\nab", "! bad Content-Length"},
	{"a length with a space", "HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\nab", "! bad Content-Length"},
	{"a length with an underscore", "HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nab", "! bad Content-Length"},
	{"a length in quotes", "HTTP/1.1 200 OK\r\nContent-Length: \"2\"\r\n\r\nab", "! bad Content-Length"},
	{"a length beyond int64", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nab", "! bad Content-Length"},
	{"a length beyond uint64", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nab", "! bad Content-Length"},
	{"a length in other digits", "HTTP/1.1 200 OK\r\nContent-Length: ２\r\n\r\nab", "! bad Content-Length"},
	{"a length that is never reached", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nab", "! unexpected EOF"},

	{"TE identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nab", "! not chunked alone"},
	{"TE gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab", "! not chunked alone"},
	{"TE gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE chunked, gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE chunked, identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE chunked twice in a list", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE chunked in two lines", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE chunked and gzip in two lines", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE with an empty item", "HTTP/1.1 200 OK\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE with a comma at its end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE with a parameter", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE in quotes", "HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE xchunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE chunked with a byte beyond ASCII", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE empty", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE with a vertical tab", "HTTP/1.1 200 OK\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "! control character"},
	{"TE with a no-break space", "HTTP/1.1 200 OK\r\nTransfer-Encoding: \u00a0chunked\r\n\r\n0\r\n\r\n", "! not chunked alone"},
	{"TE with white space before the colon", "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "! before the colon"},
	{"TE in capitals", "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n", "200 "},
	{"TE in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! in HTTP/1.0"},

	{"HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "200 ab; close"},
	{"HTTP/1.0 until close", "HTTP/1.0 200 OK\r\n\r\nab", "200 ab; close"},
	{"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", "200 ab; close"},
	{"HTTP/1.0 with an interim response", "HTTP/1.0 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nab", "! interim response in HTTP/1.0"},
	{"HTTP/0.9", "<html>hello</html>", "! no HTTP/1 status line"},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", "! not 1.0 or 1.1"},
	{"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", "! not 1.0 or 1.1"},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", "! no HTTP/1 status line"},
	{"an HTTP/2 preface", "\x00\x00\x12\x04\x00\x00\x00\x00\x00", "! no HTTP/1 status line"},
	{"a TLS alert", "\x15\x03\x01\x00\x02\x02\x46", "! no HTTP/1 status line"},
	{"SSH", "SSH-2.0-x\r\n", "! no HTTP/1 status line"},
	{"ICY", "ICY 200 OK\r\n\r\n", "! no HTTP/1 status line"},
	{"http in lower case", "http/1.1 200 OK\r\n\r\n", "! no HTTP/1 status line"},
	{"an empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n", "! no HTTP/1 status line"},
	{"a space before", " HTTP/1.1 200 OK\r\n\r\n", "! no HTTP/1 status line"},
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", "! three digits"},
	{"a tab", "HTTP/1.1\t200 OK\r\n\r\n", "! not 1.0 or 1.1"},
	{"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "! three digits"},
	{"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "! three digits"},
	{"a status of letters", "HTTP/1.1 2xx OK\r\n\r\n", "! three digits"},
	{"a negative status", "HTTP/1.1 -20 OK\r\n\r\n", "! three digits"},
	{"a status with plus", "HTTP/1.1 +20 OK\r\n\r\n", "! three digits"},
	{"a status of zero", "HTTP/1.1 000 OK\r\n\r\n", "! below 100"},
	{"a status below 100", "HTTP/1.1 099 OK\r\n\r\n", "! below 100"},
	{"no status", "HTTP/1.1\r\n\r\n", "! not 1.0 or 1.1"},
	{"a NUL in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n", "! control character"},
	{"a CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", "! control character"},
	{"an escape in the reason", "HTTP/1.1 200 \x1b[31m\r\n\r\n", "! control character"},

	{"bare LF behind the status", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "! bare LF"},
	{"bare LF behind a field", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", "! bare LF"},
	{"bare LF as the empty line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", "! bare LF"},
	{"bare LF throughout", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "! bare LF"},
	{"bare LF in a value", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n", "! bare LF"},
	{"bare CR in a value", "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 2\r\n\r\n", "! control character"},
	{"bare CR in a name", "HTTP/1.1 200 OK\r\nX\r: a\r\n\r\n", "! field's name"},
	{"CR CR LF", "HTTP/1.1 200 OK\r\nX: a\r\r\n\r\n", "! control character"},
	{"CR CR LF as the empty line", "HTTP/1.1 200 OK\r\n\r\r\n\r\n", "! without a field's name"},
	{"bare CR behind the status", "HTTP/1.1 200 OK\rX: y\r\n\r\n", "! control character"},
	{"obs-fold with a space", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "! folded"},
	{"obs-fold with a tab", "HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\n\r\n", "! folded"},
	{"obs-fold that hides a length", "HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 2\r\n\r\nab", "! folded"},
	{"obs-fold of a TE", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "! folded"},
	{"obs-fold as the first field", "HTTP/1.1 200 OK\r\n X: a\r\n\r\n", "! folded"},
	{"a line of white space", "HTTP/1.1 200 OK\r\nX: a\r\n \r\n\r\n", "! folded"},
	{"a space before a colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab", "! before the colon"},
	{"a tab before a colon", "HTTP/1.1 200 OK\r\nContent-Length\t: 2\r\n\r\nab", "! before the colon"},
	{"a space in a name", "HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\nab", "! space in a field's name"},
	{"no colon", "HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\nab", "! without a field's name"},
	{"no name", "HTTP/1.1 200 OK\r\n: 2\r\n\r\nab", "! without a field's name"},
	{"a NUL in a name", "HTTP/1.1 200 OK\r\nX\x00: 2\r\n\r\n", "! bad character"},
	{"a NUL in a value", "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", "! control character"},
	{"a DEL in a value", "HTTP/1.1 200 OK\r\nX: a\x7fb\r\n\r\n", "! control character"},
	{"a byte beyond ASCII in a name", "HTTP/1.1 200 OK\r\nContent-L\u00ebngth: 2\r\n\r\n", "! bad character"},
	{"a byte beyond ASCII in a value", "HTTP/1.1 200 OK\r\nX: \xe9\r\nContent-Length: 0\r\n\r\n", "200 "},
	{"quotes in a name", "HTTP/1.1 200 OK\r\n\"X\": 2\r\n\r\n", "! bad character"},
	{"a second status line", "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\n", "! without a field's name"},
	{"a second status line with a colon", "HTTP/1.1 200 OK\r\nHTTP/1.1 200 a: b\r\n\r\n", "! bad character|space in a field's name"},

	{"100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"103 first", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"102 and 103", "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"199", "HTTP/1.1 199 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"101 unasked", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "! nobody asked"},
	{"103 with a length", "HTTP/1.1 103 E\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "! interim response with content"},
	{"103 with chunks", "HTTP/1.1 103 E\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "! interim response with content"},
	{"103 and no more", "HTTP/1.1 103 E\r\n\r\n", "! unexpected EOF"},
	{"103 and garbage", "HTTP/1.1 103 E\r\n\r\nhello", "! no HTTP/1 status line"},
	{"1xx to the bound", strings.Repeat("HTTP/1.1 103 E\r\n\r\n", 32) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "200 ab"},
	{"1xx beyond the bound", strings.Repeat("HTTP/1.1 103 E\r\n\r\n", 33) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "! more than 32 interim"},
	{"100 beyond the bound", strings.Repeat("HTTP/1.1 100 E\r\n\r\n", 33) + "HTTP/1.1 200 OK\r\n\r\n", "! more than 32 interim"},

	{"as many fields as may be", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + strings.Repeat("X: y\r\n", 99) + "\r\n", "200 "},
	{"too many fields", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n", "! too many fields"},
	{"a large head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + strings.Repeat("y", 60<<10) + "\r\n\r\n", "200 "},
	{"too large a head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + strings.Repeat("y", 64<<10) + "\r\n\r\n", "! a head"},
	{"too long a reason", "HTTP/1.1 200 " + strings.Repeat("y", 70<<10) + "\r\n\r\n", "! a head"},
	{"too long a name", "HTTP/1.1 200 OK\r\n" + strings.Repeat("y", 70<<10) + ": x\r\n\r\n", "! a head"},
	{"a head without an end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20<<10), "! a head"},
}

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

// verdict runs one exchange with c, in reads of size bytes, and says what came
// of it, in the language of responses.
func verdict(c *Conn, head bool, size int) string {
	r := *get
	if head {
		r.Method = "HEAD"
	}
	if err := c.WriteHead(&r); err != nil {
		return "! " + err.Error()
	}
	res, err := c.ReadHead(nil, nil)
	if err != nil {
		return "! " + err.Error()
	}
	var body []byte
	for p := make([]byte, size); ; {
		n, err := c.Read(p)
		body = append(body, p[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "! " + err.Error()
		}
	}
	s := fmt.Sprintf("%d %s", res.Status, body)
	if !c.out.done || !c.in.keep || c.in.surplus || c.ahead() {
		s += "; close"
	}
	return s
}

// meets reports whether a verdict is the one wanted.
func meets(got, want string) bool {
	texts, refused := strings.CutPrefix(want, "! ")
	if !refused {
		return got == want
	}
	for text := range strings.SplitSeq(texts, "|") {
		if strings.HasPrefix(got, "! ") && strings.Contains(got, text) {
			return true
		}
	}
	return false
}

func TestResponsesAreReadInOneWayOrRefused(t *testing.T) {
	for _, c := range responses {
		t.Run(c[0], func(t *testing.T) {
			head := strings.HasPrefix(c[0], "HEAD")
			for _, piece := range []int{0, 1, 2, 3, 7} {
				for _, size := range []int{1, 3, 512, 64 << 10} {
					if len(c[1]) > 4096 && (piece > 0 && piece < 7 || size < 512) {
						continue
					}
					want := c[2]
					got := verdict(NewConn(&script{say: c[1], piece: piece}, Limits{}), head, size)
					// What was not read yet is for the pool to see.
					if !meets(got, want) && (piece == 0 && size == 64<<10 || !meets(got, strings.TrimSuffix(want, "; close"))) {
						t.Errorf("in pieces of %d, read by %d: got %.200q, want %.200q", piece, size, got, want)
					}
				}
			}
		})
	}
}

func TestResponsesOverRealSocketsLeaveOnlyCleanConnections(t *testing.T) {
	for _, c := range responses {
		t.Run(c[0], func(t *testing.T) {
			pool := NewPool(Config{Dial: serve(t, func(nc net.Conn, br *bufio.Reader) {
				if hear(br) != nil {
					return
				}
				_, _ = io.WriteString(nc, c[1])
				if !meets(c[2], "! unexpected EOF") && !strings.Contains(c[2], "close") {
					<-t.Context().Done() // until the Cleanup closes it
				}
			})})
			defer pool.Close()
			conn, _, err := pool.Get(t.Context(), now)
			must(t, err)
			got := verdict(conn, strings.HasPrefix(c[0], "HEAD"), 4096)
			if !meets(got, c[2]) && !meets(got, strings.TrimSuffix(c[2], "; close")) {
				t.Errorf("got %.200q, want %.200q", got, c[2])
			}
			pool.Put(conn, now)
			if strings.HasSuffix(c[2], "; close") || strings.HasPrefix(c[2], "! ") {
				eventually(t, "the connection is useless", func() bool {
					pool.mu.Lock()
					defer pool.mu.Unlock()
					return len(pool.idle) == 0 || pool.idle[0].Waiting()
				})
			} else {
				equal(t, "idle connections", pool.Stats().Idle, 1)
			}
		})
	}
}

// Of what is cut anywhere, nothing looks whole that is not.
func TestATruncatedResponseIsNeverTakenForWhole(t *testing.T) {
	for _, whole := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-T: y\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\n\r\n",
	} {
		for cutAt := range len(whole) {
			for _, piece := range []int{0, 1} {
				for _, end := range []error{nil, errors.New("reset")} {
					got := verdict(NewConn(&script{say: whole[:cutAt], piece: piece, end: end}, Limits{}), false, 4096)
					if !strings.HasPrefix(got, "! ") {
						t.Errorf("%q, cut at %d: %q", whole, cutAt, got)
					}
				}
			}
		}
		if got := verdict(NewConn(&script{say: whole}, Limits{}), false, 4096); strings.HasPrefix(got, "! ") {
			t.Errorf("whole: %s", got)
		}
	}
}

// The corpus is also a list of where h1 and net/http differ, all in one direction.
func TestWhatIsTakenNetHTTPTakesToo(t *testing.T) {
	stricter := 0
	for _, c := range responses {
		if likeNetHTTP(t, []byte(c[1]), strings.HasPrefix(c[0], "HEAD")) {
			stricter++
		}
	}
	t.Logf("h1 refuses %d of %d that net/http takes", stricter, len(responses))
}

func FuzzResponse(f *testing.F) {
	for _, c := range responses {
		if len(c[1]) < 2048 {
			f.Add([]byte(c[1]), strings.HasPrefix(c[0], "HEAD"))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) { likeNetHTTP(t, raw, head) })
}

// likeNetHTTP wants net/http to take what h1 takes, and to agree on it. It
// reports whether net/http takes what h1 does not.
func likeNetHTTP(t *testing.T, raw []byte, head bool) (stricter bool) {
	t.Helper()
	r := *get
	if head {
		r.Method = "HEAD"
	}
	ours := func(piece, size int) (res Response, body []byte, c *Conn, err error) {
		c = NewConn(&script{say: string(raw), piece: piece}, Limits{})
		must(t, c.WriteHead(&r))
		if res, err = c.ReadHead(nil, nil); err != nil {
			return
		}
		for p := make([]byte, size); ; {
			n, err := c.Read(p)
			body = append(body, p[:n]...)
			if err == io.EOF {
				return res, body, c, nil
			}
			if err != nil {
				return res, body, c, err
			}
		}
	}
	res, body, c, err := ours(0, 4096)
	small, smallBody, _, smallErr := ours(1, 3)
	if (err == nil) != (smallErr == nil) || res.Status != small.Status || !bytes.Equal(body, smallBody) {
		t.Fatalf("%q: whole %v %q %v, in pieces %v %q %v", raw, res, body, err, small, smallBody, smallErr)
	}

	br := bufio.NewReaderSize(bytes.NewReader(raw), 128<<10)
	theirs, terr := http.ReadResponse(br, &http.Request{Method: r.Method})
	for terr == nil && theirs.StatusCode < 200 && theirs.StatusCode != 101 {
		theirs, terr = http.ReadResponse(br, &http.Request{Method: r.Method})
	}
	var theirBody []byte
	if terr == nil {
		theirBody, terr = io.ReadAll(theirs.Body)
	}
	if err != nil {
		return terr == nil
	}
	if terr != nil {
		t.Fatalf("%q: we take it, net/http says %v", raw, terr)
	}
	if theirs.StatusCode != res.Status || !bytes.Equal(theirBody, body) {
		t.Fatalf("%q: ours %d %q, theirs %d %q", raw, res.Status, body, theirs.StatusCode, theirBody)
	}
	sameFields(t, raw, plainFields(res.Header, res.Status), plainFields(theirs.Header, res.Status))
	sameFields(t, raw, c.Trailer(), theirs.Trailer)
	if n := theirs.ContentLength; !head && res.Status != 304 && res.Status != 204 && n != res.Length {
		t.Fatalf("%q: length %d, theirs %d", raw, res.Length, n)
	}
	return false
}

// plainFields leaves out what net/http takes out of a header, or puts in.
func plainFields(h http.Header, status int) http.Header {
	h = h.Clone()
	for _, name := range []string{"Transfer-Encoding", "Trailer", "Connection", "Cache-Control"} {
		delete(h, name)
	}
	if status == 204 {
		delete(h, "Content-Length")
	}
	return h
}

func sameFields(t *testing.T, raw []byte, ours, theirs http.Header) {
	t.Helper()
	for name, values := range theirs {
		if values != nil && !reserved(name) && strings.Join(ours[name], "\x00") != strings.Join(values, "\x00") {
			t.Fatalf("%q: %s is %q, theirs %q", raw, strconv.Quote(name), ours[name], values)
		}
	}
	for name := range ours {
		if _, ok := theirs[name]; !ok {
			t.Fatalf("%q: %s is ours alone", raw, strconv.Quote(name))
		}
	}
}
