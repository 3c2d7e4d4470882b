package resume

// Reason is why an exchange is not eligible, a continuation was refused, or a
// transfer was cut: a short stable word, fit for a label of a metric. The empty
// Reason is none.
type Reason string

// Of an exchange that is not eligible (Start) and, but for the first five, of a
// continuation that was refused (Accept).
const (
	ReasonMethod       Reason = "method"        // not GET
	ReasonRequestBody  Reason = "request_body"  // a GET with content
	ReasonAcceptRanges Reason = "accept_ranges" // a 200 without exactly "Accept-Ranges: bytes"
	ReasonRange        Reason = "range"         // a 206 that is not what Range asked for
	ReasonSmall        Reason = "small"         // shorter than MinLength

	ReasonStatus           Reason = "status"            // neither 200 nor 206; of a continuation: not 206
	ReasonContentRange     Reason = "content_range"     // missing, malformed, without a total, or another
	ReasonLength           Reason = "length"            // unknown, or it disagrees
	ReasonETagMissing      Reason = "etag_missing"      // no ETag
	ReasonETagWeak         Reason = "etag_weak"         // W/
	ReasonETagInvalid      Reason = "etag_invalid"      // malformed, or several
	ReasonETagChanged      Reason = "etag_changed"      // of a continuation: another, or one where there was none
	ReasonLastModified     Reason = "last_modified"     // unfit for a strong validator; of a continuation: another
	ReasonContentEncoding  Reason = "content_encoding"  // any but identity
	ReasonTransferEncoding Reason = "transfer_encoding" // any; of a continuation: any but chunked
	ReasonTrailers         Reason = "trailers"          // announced
	ReasonMultipart        Reason = "multipart"         // multipart/byteranges
)

// ReasonFailed is that of a continuation of which no head came.
const ReasonFailed Reason = "failed"

// Of a transfer that was cut.
const (
	ReasonAttempts   Reason = "attempts"    // all are spent
	ReasonPatience   Reason = "patience"    // no continuation in time
	ReasonLimit      Reason = "limit"       // too many look for one already
	ReasonNoUpstream Reason = "no_upstream" // Next knows no other
	ReasonSurplus    Reason = "surplus"     // more bytes than were announced
)

// Reasons returns all of them, for metrics that begin at zero.
func Reasons() []Reason {
	return []Reason{
		ReasonMethod, ReasonRequestBody, ReasonAcceptRanges, ReasonRange, ReasonSmall,
		ReasonStatus, ReasonContentRange, ReasonLength,
		ReasonETagMissing, ReasonETagWeak, ReasonETagInvalid, ReasonETagChanged, ReasonLastModified,
		ReasonContentEncoding, ReasonTransferEncoding, ReasonTrailers, ReasonMultipart,
		ReasonFailed,
		ReasonAttempts, ReasonPatience, ReasonLimit, ReasonNoUpstream, ReasonSurplus,
	}
}
