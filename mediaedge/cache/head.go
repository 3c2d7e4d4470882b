package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

const (
	maxField = 2 << 10  // of one field of an origin; what is longer is left out
	maxHead  = 14 << 10 // of all
)

// kept are the fields of an origin that are kept and sent on; all others, such
// as Set-Cookie, Vary and those that a bucket is known by, are not. Those that
// it would be wrong to lose come first: there is room for them in any case.
var kept = [...]string{
	"Etag", "Content-Encoding", "Content-Type", "Cache-Control", "Cdn-Cache-Control", "Expires", "Date",
	"Last-Modified", "Content-Language", "Content-Disposition", "Cache-Status",
}

// head is what is known of a response beside its body. It is never edited.
type head struct {
	fields   http.Header
	modified time.Time // Last-Modified; zero: none
	policy
	received  time.Time
	immutable bool // by the terms
}

func newHead(h http.Header, t Terms, requested, received time.Time) *head {
	hd := &head{fields: pick(h), received: received, immutable: t.Immutable, policy: judge(h, t, requested, received)}
	switch ct := hd.fields.Get("Content-Type"); {
	case ct != "" && ct != "application/octet-stream" && ct != "binary/octet-stream":
	case t.ContentType != "":
		hd.fields["Content-Type"] = []string{t.ContentType}
	case ct == "":
		hd.fields["Content-Type"] = []string{"application/octet-stream"}
	}
	hd.modified = lastModified(hd.fields)
	return hd
}

// lastModified takes a Last-Modified that is no date away.
func lastModified(h http.Header) time.Time {
	t, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		delete(h, "Last-Modified")
		return time.Time{}
	}
	return t
}

// pick copies the fields that are kept. An entity tag that is malformed, or
// there twice, is left out: nothing may be compared with it.
func pick(h http.Header) http.Header {
	fields, size := make(http.Header, len(kept)), 0
	for _, key := range kept {
		values := h[key]
		if len(values) == 0 {
			continue
		}
		if key != "Cache-Control" && key != "Cdn-Cache-Control" && key != "Cache-Status" {
			values = values[:1]
		}
		value := strings.Join(values, ", ")
		if size += len(value); len(value) > maxField || size > maxHead {
			size -= len(value)
			continue
		}
		fields[key] = []string{value}
	}
	if _, reason := resume.StrongETag(h); reason != "" && reason != resume.ReasonETagWeak {
		delete(fields, "Etag")
	}
	return fields
}

// freshened is the head after a 304 (RFC 9111 §3.2, §4.3.4): its fields in the
// place of the old ones, but for those that describe the bytes.
func (hd *head) freshened(h http.Header, t Terms, requested, received time.Time) *head {
	fields := hd.fields.Clone()
	for key, values := range pick(h) {
		switch key {
		case "Etag", "Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition":
		default:
			fields[key] = values
		}
	}
	all := fields.Clone()
	if age := h["Age"]; len(age) > 0 {
		all["Age"] = age
	}
	if vary := h["Vary"]; len(vary) > 0 {
		all["Vary"] = vary
	}
	next := &head{fields: fields, received: received, immutable: t.Immutable, policy: judge(all, t, requested, received)}
	next.modified = lastModified(fields)
	return next
}

// current is the age at now (RFC 9111 §4.2.3).
func (hd *head) current(now time.Time) time.Duration {
	return min(hd.age+max(0, now.Sub(hd.received)), longest)
}

// left is for how long the response is still fresh; it was so long ago if the
// time is negative.
func (hd *head) left(now time.Time) time.Duration { return hd.ttl - hd.current(now) }

// fresh reports whether it can be sent without asking.
func (hd *head) fresh(now time.Time) bool { return hd.left(now) > 0 }

// stale reports whether it may still be sent, within one of its windows.
func (hd *head) stale(now time.Time, window time.Duration) bool { return hd.left(now)+window > 0 }

// write puts the fields into h. The values are copied: what comes after the
// cache may edit them in place. The lifetime in a Cache-Control of its own is
// the whole one, since Age is beside it.
func (hd *head) write(h http.Header, now time.Time, aged bool) {
	values := make([]string, 0, len(hd.fields)+2)
	for key, vv := range hd.fields {
		if key == "Cache-Status" {
			continue // status adds this cache's own
		}
		values = append(values, vv[0])
		h[key] = values[len(values)-1 : len(values) : len(values)]
	}
	if hd.shared && !hd.has("Cache-Control") && !hd.has("Cdn-Cache-Control") && !hd.has("Expires") {
		h["Cache-Control"] = []string{hd.control()}
	}
	if age := hd.current(now); aged || age >= time.Second {
		h["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
	}
}

func (hd *head) has(key string) bool { return len(hd.fields[key]) > 0 }

// control is the Cache-Control for clients where the origin says nothing.
func (hd *head) control() string {
	s := "public, max-age=" + strconv.FormatInt(int64(hd.ttl/time.Second), 10)
	if hd.immutable {
		s += ", immutable"
	}
	return s
}
