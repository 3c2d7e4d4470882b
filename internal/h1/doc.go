// Package h1 is the client's half of HTTP/1.1 (RFC 9112) for a proxy: a codec
// over one connection, and a pool of connections to one address.
//
// The promise: the upstream sees exactly one request, the one that was meant;
// what is handed out as its answer is framed in one way only, or it is an
// error; and a connection serves again only after both sides of an exchange
// have ended cleanly and nothing waits on it. Where the RFC leaves a choice
// between mending and refusing, h1 refuses, because what it mends another may
// read differently:
//
//   - lines end with CRLF; a bare LF or CR is refused (§2.2);
//   - obs-fold, space before a colon and control characters are refused (§5);
//   - Transfer-Encoding is one field with the one value "chunked", without
//     Content-Length, in HTTP/1.1 (§6.1, §6.3);
//   - Content-Length is digits; repeated, it says the same each time (§6.3);
//   - chunk sizes are digits right up to ";" or CRLF (§7.1);
//   - a peer of HTTP/1.0 is heard, and its connection closed.
//
// An exchange on a Conn:
//
//	c, idled, err := pool.Get(ctx, now)
//	err = c.WriteHead(&request)       // and Write, End where it has content
//	res, err := c.ReadHead(nil, hint) // 1xx go to hint
//	n, err := c.Read(p)               // to io.EOF: the clean end
//	pool.Put(c, now)                  // kept, or closed
//
// It starts no goroutine but in Pool.Warm, and no timer: deadlines are the
// caller's. One goroutine may write while another reads.
package h1
