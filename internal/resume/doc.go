// Package resume lets the body of a GET go on from another upstream when the
// one that sends it dies midway.
//
// The promise: what a reader gets is byte for byte what the first response
// began to send, or it gets an error. Never a body that is silently short,
// padded, or made of two versions. It is as good as the upstreams' strong
// validators: those that give one ETag to different bytes mix them by
// themselves.
//
// It goes in four steps, and dials nothing itself:
//
//   - Start decides by request and response whether the exchange is eligible,
//     and makes the Plan.
//   - Plan.Request turns the fields of a clone of the request into those that
//     ask for the rest.
//   - Plan.Accept says whether an answer is that rest.
//   - Transfer counts the bytes, and finds a continuation within its bounds;
//     Body is a reader over it. Who moves bytes otherwise uses Transfer alone.
//
// The choice of upstreams, signatures, timeouts of single reads and metrics are
// the caller's.
//
// Fields are looked up in canonical form, as net/http keeps them.
//
// Sources, all of RFC 9110: §14.1 and §14.2 (range units, Range), §14.3
// (Accept-Ranges), §14.4 (Content-Range), §15.3.7 (206, and what may be
// combined), §8.8.1 to §8.8.3 (strong validators, Last-Modified, ETag), §13.1.1
// (If-Match compares strongly), §13.1.4 (If-Unmodified-Since), §8.4
// (Content-Encoding), §6.5 (trailers). Framing: RFC 9112 §6, RFC 9113 §8.1.1.
package resume
