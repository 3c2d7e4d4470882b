package h1

import (
	"net/http"
	"strconv"
)

// Field is one field line.
type Field struct{ Name, Value string }

// Request is what is to be sent. WriteHead reads it and keeps nothing of it
// but Trailers.
type Request struct {
	Method string
	// Target is the request-target (RFC 9112 §3.2), in origin-form, or "*".
	Target string
	// Host is the field of that name. It may be empty.
	Host string
	// Header is sent but for what is hop-by-hop (RFC 9110 §7.6.1), what its
	// Connection names, and what follows here. "TE: trailers" goes on.
	Header http.Header
	// Omit reports which further fields are left out. nil: none.
	Omit func(name string) bool
	// Set are sent instead of those of their names in Header; one name may
	// come several times. None may be hop-by-hop or part of the framing.
	Set []Field
	// Length is that of the content. 0: there is none; -1: it is not known,
	// and chunked.
	Length int64
	// Trailers are the names that may come behind a chunked content. Those
	// that are hop-by-hop or part of the framing are left out.
	Trailers []string
	// Upgrade is the protocol to switch to. Empty: none, and a 101 is an
	// error. Such a request has no content.
	Upgrade string
	// Expect asks for 100 (Continue) before the content: AwaitContinue.
	Expect bool
	// Close tells the upstream that the connection serves no more.
	Close bool
}

// maxListed bounds what a Connection may name: each is compared with each field.
const maxListed = 64

// append writes the head behind b, or says why it cannot be.
func (r *Request) append(b []byte) ([]byte, string) {
	if what := r.check(); what != "" {
		return b, what
	}
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, r.Target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	listed := r.Header["Connection"]
	if names(listed) > maxListed {
		return b, "too many names in Connection"
	}
	for name, values := range r.Header {
		if reserved(name) || r.sets(name) || listed != nil && lists(listed, name) || r.Omit != nil && r.Omit(name) {
			continue
		}
		for _, value := range values {
			var what string
			if b, what = appendField(b, name, value); what != "" {
				return b, what
			}
		}
	}
	for _, f := range r.Set {
		if reserved(f.Name) {
			return b, "a field of the connection among those to set"
		}
		var what string
		if b, what = appendField(b, f.Name, f.Value); what != "" {
			return b, what
		}
	}
	return append(r.appendConnection(b), "\r\n"...), ""
}

// check looks at all that is no field.
func (r *Request) check() string {
	switch {
	case r.Method == "" || stray(r.Method, inToken) >= 0:
		return "a bad method"
	case r.Method == http.MethodConnect:
		return "a CONNECT, whose answer is framed otherwise"
	case r.Target == "" || stray(r.Target, inTarget) >= 0:
		return "a bad request-target"
	case r.Target[0] != '/' && r.Target != "*":
		return "a request-target that is not in origin-form"
	case stray(r.Host, inHost) >= 0:
		return "a bad Host"
	case r.Upgrade != "" && stray(r.Upgrade, inToken) >= 0:
		return "a bad protocol to switch to"
	case r.Length < -1:
		return "a negative length"
	case r.Upgrade != "" && r.Length != 0:
		return "an upgrade with content"
	case r.Trailers != nil && r.Length != -1:
		return "trailers without chunks"
	}
	for _, name := range r.Trailers {
		if name == "" || stray(name, inToken) >= 0 {
			return "a bad name of a trailer"
		}
	}
	return ""
}

func (r *Request) sets(name string) bool {
	for i := range r.Set {
		if same(r.Set[i].Name, name) {
			return true
		}
	}
	return false
}

// appendConnection writes what is about this connection and this message.
func (r *Request) appendConnection(b []byte) []byte {
	te := lists(r.Header["Te"], "trailers")
	if te {
		b = append(b, "TE: trailers\r\n"...)
	}
	if r.Upgrade != "" {
		b = append(append(append(b, "Upgrade: "...), r.Upgrade...), "\r\n"...)
	}
	if te || r.Close || r.Upgrade != "" {
		b = append(b, "Connection: "...)
		for _, option := range [...]struct {
			on   bool
			name string
		}{{r.Upgrade != "", "Upgrade"}, {te, "TE"}, {r.Close, "close"}} { // RFC 9110 §7.8, §10.1.4
			if option.on {
				b = append(append(b, option.name...), ", "...)
			}
		}
		b = append(b[:len(b)-2], "\r\n"...)
	}
	if r.Expect && r.Length != 0 {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	switch {
	case r.Length == -1:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		for _, name := range r.Trailers {
			if !reserved(name) {
				b = append(append(append(b, "Trailer: "...), name...), "\r\n"...)
			}
		}
	case r.Length > 0, r.Method == http.MethodPost, r.Method == http.MethodPut, r.Method == http.MethodPatch:
		b = append(b, "Content-Length: "...) // of 0 too, where content is usual (RFC 9110 §8.6)
		b = append(strconv.AppendInt(b, r.Length, 10), "\r\n"...)
	}
	return b
}

// appendField writes one line.
func appendField(b []byte, name, value string) ([]byte, string) {
	if name == "" || stray(name, inToken) >= 0 {
		return b, "a bad name of a field"
	}
	if stray(value, inValue) >= 0 {
		return b, "a control character in a field's value"
	}
	b = append(append(b, name...), ": "...)
	return append(append(b, trimmed(value)...), "\r\n"...), ""
}
