package cache

import (
	"net/http"
	"strconv"
	"time"
)

// cacheStatus adds this cache's member to Cache-Status (RFC 9211), behind those
// of the caches that the answer has come through.
func (d *delivery) cacheStatus(h http.Header) {
	b := make([]byte, 0, 64)
	b = append(b, d.c.name...)
	var hd *head
	if d.o != nil {
		hd = d.o.head.Load()
	}
	switch d.result {
	case Hit, Stale:
		b = append(b, "; hit"...)
	case Revalidated:
		b = append(b, "; fwd=stale"...)
	case Partial:
		b = append(b, "; fwd=partial"...)
	case Bypass:
		b = append(b, "; fwd=bypass"...)
	default:
		b = append(b, "; fwd=uri-miss"...)
	}
	if status := d.choice.status; status != 0 && d.result != Hit {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(status), 10)
	}
	if hd != nil && d.result != Bypass && hd.shared {
		if d.result != Hit && d.result != Stale {
			b = append(b, "; stored"...)
		}
		b = strconv.AppendInt(append(b, "; ttl="...), int64(hd.left(time.Now()).Round(time.Second)/time.Second), 10)
	}
	if d.collapsed && d.result != Bypass || d.result == Collapsed {
		b = append(b, "; collapsed"...)
	}
	if d.detail != "" {
		b = append(append(b, "; detail="...), d.detail...)
	}
	if hd != nil && hd.has("Cache-Status") {
		h.Add("Cache-Status", hd.fields["Cache-Status"][0])
	}
	h.Add("Cache-Status", string(b))
}

// conditions are the part of a client's request that is passed through with what
// is not cached.
var conditions = [...]string{"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}

// conditional copies the conditions of a request, each if it is there once and
// not too long.
func conditional(r *http.Request) http.Header {
	h := http.Header{}
	for _, key := range conditions {
		if vv := r.Header[key]; len(vv) == 1 && len(vv[0]) <= maxField {
			h[key] = []string{vv[0]}
		}
	}
	return h
}
