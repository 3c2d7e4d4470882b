// Package cache is the shield in front of a media origin: a shared cache by RFC
// 9111 that asks for each byte once, however many want it.
//
//	c, err := cache.New(cache.Options{Memory: 1 << 30})
//	…
//	go c.Run(ctx)
//	…
//	out, err := c.Serve(w, r, cache.Request{
//		Key: "bucket /vod/1.mp4", Scope: "bucket", Path: "/vod/1.mp4",
//		Origin: fetcher, Terms: cache.Terms{TTL: time.Hour},
//	})
//	switch {
//	case errors.Is(err, cache.ErrAborted):
//		panic(http.ErrAbortHandler)
//	case err != nil: // nothing was written: 502, 503, 504
//	}
//
// The promise: a client gets the bytes of one version of the object, or an error
// that it can see. It is as good as the origin's strong ETags: an origin that
// gives one to two contents mixes them by itself.
//
// # Two kinds of object
//
// One with a strong ETag and a known size is kept in aligned blocks. Each can be
// asked for by itself, with Range and If-Match, and is taken only from a 206 of
// the same ETag that is exactly what was asked for. A request for a range fetches
// the blocks around it and not the object; blocks that follow each other are one
// request.
//
// All others, without a strong ETag or with a length that is not known before the
// end, are kept in one piece, from one fetch that ended cleanly, up to an eighth
// of Options.Memory and 256 MiB. What is larger passes through, each for itself,
// or, if that shows on the way only, is shared through a window of that size. A
// request for a range of one that is not held passes through. A body that ends
// with its connection is never kept.
//
// # Who asks, and how far
//
// Requests that miss wait for one question to the origin; the body then goes to
// all of them as it comes in. One that leaves ends nothing for the rest. When the
// last has left, what is nearly done is finished, and the rest given up; an answer
// that the origin holds back (Request.Held) is then not waited for. A fetch is at
// most four blocks ahead of its fastest reader; one whose readers take longer than
// a second for a block gives its connection back, and they fetch four blocks at a
// time from there on.
//
// # Freshness
//
// CDN-Cache-Control (RFC 9213), s-maxage, max-age, Expires, and then the Terms, in
// this order. What is private, no-store or varies by "*" is not kept, and each of
// those who wait asks for itself; for ten seconds then nobody waits for others.
// no-cache is kept, and revalidated each time. A live HLS playlist, one with
// Terms.Small, a target duration and no end, is fresh for half of a segment, or
// half of a part, if the origin says nothing and Terms.TTL is not less, and stale
// for a segment at most. Other members of Vary are not looked at: a caller sends
// the origin the same fields for all requests with one key.
//
// What clients say in Cache-Control and Pragma is not heard, or each viewer could
// have the origin asked; only-if-cached is, with a 504.
//
// Errors are shared by those who wait and not kept; 404 and 410 are, for
// Terms.Negative. A redirect is an error: the cache neither follows nor passes it.
//
// # Bounds
//
// Blocks are within Options.Memory, their objects' heads within a sixteenth of
// it. On top come, for as long as they are in use: one block for each client that
// is being sent one, since it cannot be taken away while it is written; for each
// of at most Options.Fills fetches up to nine blocks, or six if all of them hold
// more than half of Options.Memory; and objects in one piece that are on their way
// in, half of Options.Memory at most. A client of an object in one piece holds all
// of it.
package cache
