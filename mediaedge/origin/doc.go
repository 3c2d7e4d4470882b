// Package origin fetches media from where it is kept: an HTTP origin, or a
// bucket that speaks S3.
//
//	o, err := origin.New(origin.Config{
//		Name:      "vod",
//		Endpoints: []origin.Endpoint{{URL: "https://s3-a.example.com"}, {URL: "https://s3-b.example.com"}},
//		S3:        &origin.S3{Bucket: "media", Signer: signer},
//	})
//	…
//	go o.Run(ctx)
//	res, err := o.Object(found.Path, "").Fetch(ctx, http.MethodGet, r.Header)
//
// # What the origin sees
//
// GET or HEAD, of a URL made of the configuration and a canonical path; Range
// and the five conditions of RFC 9110 §13.1 and §14.2; fixed fields, those of
// the configuration, and the signature. Nothing else of the client's, so that
// the origin answers all clients alike. A bucket sees no query, and is never
// listed.
//
// # What the caller gets
//
// A response with a short list of fields, and a body that is exactly what was
// announced, or an error: never one that is short and ends cleanly. A body that
// dies midway goes on from another endpoint where package resume's rules allow
// it. A redirect is an error. An error of a bucket has its status, and nothing
// of its text, which names the bucket and the key. Bytes behind the end of a
// response are not taken for the next one.
//
// A bucket answers 403 to a request for a key that is not there, if who asks
// may not list it. So AccessDenied becomes 404, and is logged once a minute:
// it may also mean that nothing at all may be read. What is the fault of the
// edge (a wrong secret, region, bucket or clock) is an *Error instead, so that
// nobody takes it for an answer about the object.
//
// # Endpoints
//
// They are asked in the order of the configuration. An attempt that brings no
// head, or 500, 502, 503 or 504, goes on to the next one; three at most. Three
// failures in a row take an endpoint out for a second, and longer each time, up
// to 30 s; then one request is let through, and its answer decides. With a
// Check, probes decide as well. When none is healthy all are asked anyhow.
//
// An endpoint is not blamed for a client that leaves.
package origin
